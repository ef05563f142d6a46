"""The runtime directory of a supervisor: made, checked, locked, and handed to whom the supervisor becomes."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import zmq

from damond.errors import AlreadyServedError, RuntimeDirError
from damond.service.privileges import Identity
from damond.stream.endpoints import Endpoints

_SOCKETS: Final = ("control", "query", "stream", "workers")
_OURS: Final = (*_SOCKETS, "lock")
_ELSEWHERE: Final = "choose another with --runtime-dir"


class RuntimeDir:
    """A private directory with the sockets of one supervisor, held as long as this is open.

    Args:
        directory: Made if it is not there; its parent must be.
        identity: Who the supervisor becomes: the directory is given to that user, and its group may come in. None
            keeps it to the user who runs this.

    Raises:
        RuntimeDirError: It can't be made or written, or somebody else could get at it.
        AlreadyServedError: Another supervisor holds it.
    """

    def __init__(self, directory: Path, identity: Identity | None = None) -> None:
        self.endpoints = Endpoints(directory)
        self._identity = identity
        _make_private(directory, identity)
        self._lock = _take_lock(directory / "lock")
        if identity is not None:
            # In this order: what belongs to somebody else can't be changed without CAP_FOWNER.
            directory.chmod(0o750)
            os.chown(directory, identity.uid, identity.gid)
        else:
            directory.chmod(0o700)

    @contextmanager
    def binding(self, *names: str, shared: bool) -> Iterator[None]:
        """Give the sockets that are bound meanwhile the right modes, at no moment wider ones.

        Args:
            names: Of the sockets.
            shared: Let members of the group connect.

        Raises:
            RuntimeDirError: There is no room for a socket.
        """
        before = os.umask(0o177)
        try:
            yield
        except zmq.ZMQError as error:
            raise RuntimeDirError(f"{self.endpoints.directory}: {error}", hint=_ELSEWHERE) from error
        finally:
            os.umask(before)
        for name in names:
            path = self.endpoints.path(name)
            if shared and self._identity is not None:
                os.chown(path, -1, self._identity.gid)
                path.chmod(0o660)

    def close(self) -> None:
        """Remove the sockets and let go of the directory."""
        if self._lock < 0:
            return
        _remove_sockets(self.endpoints.directory)
        os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def remove_leftovers(directory: Path) -> None:
    """Remove the sockets of a supervisor that was killed, unless another one has the directory already."""
    try:
        lock = _take_lock(directory / "lock")
    except (AlreadyServedError, RuntimeDirError):
        return
    _remove_sockets(directory)
    os.close(lock)


def _remove_sockets(directory: Path) -> None:
    for name in _SOCKETS:
        if (directory / name).is_socket():
            (directory / name).unlink(missing_ok=True)


def _make_private(directory: Path, identity: Identity | None) -> None:
    try:
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        found = directory.lstat()
    except OSError as error:
        raise RuntimeDirError(f"{directory}: {error.strerror}", hint=f"{_ELSEWHERE}, or make its parent") from error
    if not stat.S_ISDIR(found.st_mode):
        raise RuntimeDirError(f"{directory} is no directory", hint=_ELSEWHERE)
    if found.st_uid not in (os.geteuid(), identity.uid if identity is not None else os.geteuid()):
        raise RuntimeDirError(f"{directory} belongs to uid {found.st_uid}, not to uid {os.geteuid()}", hint=_ELSEWHERE)
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise RuntimeDirError(f"{directory} is not writable", hint=f"chmod 700 {directory}, or {_ELSEWHERE}")
    mode = f"mode {stat.S_IMODE(found.st_mode):04o}"
    foreign = [name for name in sorted(os.listdir(directory)) if name not in _OURS]  # noqa: PTH208 - names are all
    if foreign and found.st_mode & 0o077 & ~_shared_bits(identity):
        # It will be made private: that must not happen to /tmp or /etc.
        raise RuntimeDirError(
            f"{directory} is not private, {mode}, and not damond's own: it holds {foreign[0]!r}", hint=_ELSEWHERE
        )
    if found.st_mode & 0o022:
        raise RuntimeDirError(
            f"{directory} is not private: {mode} lets others write", hint=f"chmod 700 {directory}, or {_ELSEWHERE}"
        )


def _shared_bits(identity: Identity | None) -> int:
    """Return what a directory may grant to its group: to come in, where the service has one."""
    return 0o050 if identity is not None else 0


def _take_lock(path: Path) -> int:
    """Take the lock. The kernel drops it with its holder, however that ends: no stale lock is possible."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RuntimeDirError(f"{path}: {error.strerror}", hint=_ELSEWHERE) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, 32, 0).decode(errors="replace").strip()
        os.close(fd)
        raise AlreadyServedError(
            f"a supervisor (pid {pid or 'unknown'}) serves on {path.parent} already",
            hint="stop it with 'damond shutdown', or choose another --runtime-dir",
        ) from None
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(fd)
        raise RuntimeDirError(f"{path}: {error.strerror}", hint=_ELSEWHERE) from error
    return fd
