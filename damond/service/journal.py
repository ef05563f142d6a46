"""Standard error that never blocks and never raises: a full disk or a stuck reader must not stop the service."""

import contextlib
import io
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import Final, Self

QUEUE_SZ: Final = 1024 * 1024
"""Bytes that may wait to be written; what comes then is lost, and counted."""
_LAST_WORDS_S: Final = 1.0
"""How long the end waits for what has not been written."""


class Journal(io.TextIOBase):
    """Writes to a descriptor from a thread of its own.

    Args:
        fd: Where to; -1 is nowhere.

    Attributes:
        lost: Writes (as a rule: lines) that were lost, to a full queue or to an error.
    """

    def __init__(self, fd: int) -> None:
        self.lost = 0
        self._fd = fd
        self._queue: deque[bytes] = deque()
        self._queued_sz = 0
        self._changed = threading.Condition()
        self._ending = False
        self._thread = threading.Thread(target=self._empty, name="damond-journal", daemon=True)
        self._thread.start()

    @classmethod
    @contextlib.contextmanager
    def in_place_of_stderr(cls) -> Iterator[Self]:
        """Have everything that this process writes to its standard error go this way."""
        before = sys.stderr  # None where this process was started without: its number may be anything's by now
        journal = cls(-1 if before is None else 2)
        handlers = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
        moved = [each for each in handlers if each.stream is before]
        sys.stderr = journal
        for each in moved:
            each.setStream(journal)
        try:
            yield journal
        finally:
            sys.stderr = before
            for each in moved:
                each.setStream(before)
            journal.end()

    def put(self, raw: bytes) -> None:
        """Write bytes some time."""
        with self._changed:
            if self._queued_sz + len(raw) > QUEUE_SZ:
                self.lost += 1
                return
            self._queue.append(raw)
            self._queued_sz += len(raw)
            self._changed.notify()

    def write(self, text: str) -> int:
        """Write text some time."""
        self.put(text.encode(errors="backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        """Say that it is for writing."""
        return True

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._fd)

    def end(self) -> None:
        """Write what waits, if that is possible soon."""
        with self._changed:
            self._ending = True
            self._changed.notify()
        self._thread.join(_LAST_WORDS_S)

    def _empty(self) -> None:
        while (raw := self._next()) is not None:
            try:
                self._write_all(raw)
            except OSError:  # a full disk, a reader that is gone: told in status, for here it can't be
                self.lost += 1

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._ending)
            if not self._queue:
                return None
            raw = self._queue.popleft()
            self._queued_sz -= len(raw)
            return raw

    def _write_all(self, raw: bytes) -> None:
        while raw:
            try:
                raw = raw[os.write(self._fd, raw) :]
            except BlockingIOError:  # somebody who shares it has made it so
                select.select((), [self._fd], ())
