"""The runtime directory of a supervisor: made, checked, locked."""

import fcntl
import os
import stat
from pathlib import Path
from typing import Self

from damond.errors import AlreadyServedError, RuntimeDirError
from damond.stream.endpoints import Endpoints


class RuntimeDir:
    """A private directory with the sockets of one supervisor, held as long as this is open.

    Args:
        directory: Made with mode 0700 if it is not there; its parent must be.

    Raises:
        RuntimeDirError: It can't be made or written, or somebody else could get at it.
        AlreadyServedError: Another supervisor holds it.
    """

    def __init__(self, directory: Path) -> None:
        self.endpoints = Endpoints(directory)
        _make_private(directory)
        self._lock = self._take_lock(directory / "lock")

    @staticmethod
    def _take_lock(path: Path) -> int:
        # The kernel drops the lock with its holder, however that ends: no stale lock is possible.
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise RuntimeDirError(f"{path}: {error.strerror}", hint="choose another with --runtime-dir") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 32, 0).decode(errors="replace").strip()
            os.close(fd)
            raise AlreadyServedError(
                f"a supervisor (pid {pid or 'unknown'}) serves on {path.parent} already",
                hint="stop it with 'damond shutdown', or choose another --runtime-dir",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def close(self) -> None:
        """Remove the sockets and let go of the directory."""
        if self._lock < 0:
            return
        for name in ("control", "stream", "workers"):
            self.endpoints.path(name).unlink(missing_ok=True)
        os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _make_private(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise RuntimeDirError(
            f"{directory}: {error.strerror}", hint="choose another with --runtime-dir, or make its parent"
        ) from error
    if not stat.S_ISDIR(found.st_mode):
        raise RuntimeDirError(f"{directory} is no directory", hint="choose another with --runtime-dir")
    if found.st_uid != os.geteuid():
        raise RuntimeDirError(
            f"{directory} belongs to uid {found.st_uid}, not to uid {os.geteuid()}",
            hint="choose another with --runtime-dir",
        )
    if found.st_mode & 0o022:
        raise RuntimeDirError(
            f"{directory} is not private: mode {stat.S_IMODE(found.st_mode):04o} lets others write",
            hint=f"chmod 700 {directory}",
        )
    if not os.access(directory, os.W_OK | os.X_OK):
        raise RuntimeDirError(f"{directory} is not writable", hint="choose another with --runtime-dir")
