"""Small files of sysfs and tracefs: the one place that writes."""

import errno
import os
import time
from collections.abc import Callable
from typing import Final, TypeVar

from damond_accessbits import Root

PATIENCE_S: Final = 2.0
"""How long EBUSY may be somebody who just looks: most files of DAMON's sysfs only try to take its lock
(mutex_trylock in state_store and pid_show of mm/damon/sysfs.c, Linux 5.18 to 7.2). Who asks for results holds it until
the aggregation under way ends, see :attr:`Files.patience_s`."""

_PAUSE_S: Final = 0.002

T = TypeVar("T")


class Files:
    """Reads and writes below a root.

    Attributes:
        root: Where /proc and /sys are.
        patience_s: How long EBUSY is waited for where nothing else is said. Seconds.
    """

    def __init__(self, root: Root) -> None:
        self.root = root
        self.patience_s = PATIENCE_S

    def read(self, relative: str, *, patience_s: float | None = None) -> str:
        """Return the content of a file, without the newline at its end."""
        return patiently(lambda: self.root.read(relative).decode(errors="replace").strip(), self._patience(patience_s))

    def read_int(self, relative: str) -> int:
        """Return the number that a file holds."""
        return int(self.read(relative))

    def write(self, relative: str, value: object, *, patience_s: float | None = None) -> None:
        """Write one value to a file, as ``echo`` would."""
        patiently(lambda: self._write(relative, f"{value}\n"), self._patience(patience_s))

    def _patience(self, given_s: float | None) -> float:
        return self.patience_s if given_s is None else given_s

    def _write(self, relative: str, text: str) -> None:
        fd = self.root.open(relative, os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(fd, text.encode())
        except OSError as error:
            error.filename = str(self.root.path(relative))
            raise
        finally:
            os.close(fd)

    def mkdir(self, relative: str) -> None:
        """Make a directory, which the kernel fills."""
        self.root.path(relative).mkdir()

    def rmdir(self, relative: str) -> None:
        """Remove a directory, which the kernel empties."""
        patiently(lambda: self.root.path(relative).rmdir(), self.patience_s)

    def inode(self, relative: str) -> int:
        """Return the inode number of a file: sysfs gives none again (__kernfs_new_node, Linux 5.5)."""
        return self.root.path(relative).stat().st_ino


def patiently(action: Callable[[], T], patience_s: float = PATIENCE_S) -> T:
    """Repeat an action while it fails with EBUSY, up to a limit."""
    limit = time.monotonic() + patience_s
    while True:
        try:
            return action()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= limit:
                raise
        time.sleep(_PAUSE_S)
