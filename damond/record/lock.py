"""One writer per record."""

import fcntl
import os
from pathlib import Path

from damond.errors import RecordBusyError, RecordError


class WriterLock:
    """Held while a record is written; ends with the process that holds it, however it ends.

    Beside the record, not on it: closing a second descriptor of the database would drop SQLite's own locks (fcntl(2)).

    Args:
        path: The record.

    Raises:
        RecordBusyError: Another process holds it.
        RecordError: Nothing can be created there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-lock")
        while not self._take(path):
            pass

    def _take(self, record: Path) -> bool:
        """Lock the file; return False if its last holder has removed it meanwhile."""
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise RecordError(f"{record} can't be written: {error.strerror}", hint="choose another with -o") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(self._fd), self._path.stat()):
                return True
        except BlockingIOError:
            os.close(self._fd)
            raise RecordBusyError(
                f"another process records into {record}", hint="end that one, or choose another file with -o"
            ) from None
        except FileNotFoundError:
            pass
        os.close(self._fd)
        return False

    def release(self) -> None:
        """Let go."""
        self._path.unlink(missing_ok=True)
        os.close(self._fd)
