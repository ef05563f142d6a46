"""A record that is written beside whoever hands messages over: he never waits for the disk."""

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from damond.errors import RecordError, RecordFullError
from damond.record.retention import Retention
from damond.record.writer import RecordWriter
from damond.stream import wire

_log = logging.getLogger(__name__)

FLUSH_EVERY_S: Final = 0.4
"""What came is on the disk at most a second later: this, what is under way when it comes, and the commit itself."""

_UPKEEP_S: Final = 0.2
"""Time for sealing and retention between two flushes; a step that has begun is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderState:
    """How a recorder is.

    Attributes:
        path: The record.
        nr_snapshots: Snapshots written by it.
        nr_dropped: Snapshots that it had to give up, because the disk took nothing for too long.
        sz_bytes: Size of the record on the disk, what is beside it included.
        trouble: Why nothing can be written at the moment, or "".
    """

    path: Path
    nr_snapshots: int
    nr_dropped: int
    sz_bytes: int
    trouble: str


class Recorder:
    """Takes messages and keeps them; a context manager.

    A thread writes twice a second. While the disk is full it tries again, and says so in :attr:`state`.

    Args:
        path: The record: appended to, or made.
        retention: What is to be kept; None keeps all.

    Raises:
        RecordBusyError: Another process writes to it.
        RecordError: It can't be written, or is no record.
    """

    def __init__(self, path: Path, retention: Retention | None = None) -> None:
        self._writer = RecordWriter(path)
        self._retention = retention or Retention()
        self._lock = threading.Lock()
        self._arrived: list[wire.Message] = []
        self._ending = threading.Event()
        self._trouble = ""
        self._failure: RecordError | None = None
        self._thread = threading.Thread(target=self._run, name="damond-recorder", daemon=True)
        self._thread.start()

    @property
    def state(self) -> RecorderState:
        """How it is."""
        writer = self._writer
        return RecorderState(
            path=writer.path,
            nr_snapshots=writer.nr_snapshots,
            nr_dropped=writer.nr_dropped,
            sz_bytes=size_of(writer.path),
            trouble=self._trouble,
        )

    def last(self, name: str, host: str) -> tuple[int, int] | None:
        """Tell epoch and seq of the newest snapshot of a context in the record; None if it has none."""
        last = self._writer.last(name, host)
        return None if last is None else (last.epoch, last.seq)

    def add(self, messages: Iterable[wire.Message]) -> None:
        """Take messages of the stream; never waits.

        Raises:
            RecordError: The record is broken, and nothing is written any more.
        """
        if self._failure is not None:
            raise self._failure
        with self._lock:
            self._arrived.extend(messages)

    def _run(self) -> None:
        try:
            while not self._ending.wait(FLUSH_EVERY_S):
                self._flush()
                self._keep_up(time.monotonic() + _UPKEEP_S)
        except RecordError as error:
            _log.error("%s", error)
            self._failure = error
        except Exception as error:  # noqa: BLE001 - the edge of the thread: who hands messages over must hear of it
            _log.exception("%s: nothing is written any more", self._writer.path)
            self._failure = RecordError(
                f"{self._writer.path} can't be written: {type(error).__name__}: {error}",
                hint="a defect of damond: its traceback is in the log",
            )

    def _flush(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, []
        for each in arrived:
            self._writer.add(each)
        try:
            self._writer.flush()
        except RecordFullError as error:
            if not self._trouble:
                _log.warning("%s", error)
            self._trouble = error.message
        else:
            if self._trouble:
                _log.warning("%s can be written again", self._writer.path)
            self._trouble = ""

    def _keep_up(self, until_s: float) -> None:
        """Pack and tidy up, a small step at a time."""
        try:
            while time.monotonic() < until_s and (self._retention.step(self._writer) or self._writer.seal_one()):
                pass
        except RecordFullError as error:
            self._trouble = error.message

    def close(self) -> None:
        """Write the rest and end.

        Raises:
            RecordError: Not all could be written.
        """
        self._ending.set()
        self._thread.join()
        if self._failure is not None:
            self._writer.abandon()
            raise self._failure
        with self._lock:
            for each in self._arrived:
                self._writer.add(each)
            self._arrived.clear()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def size_of(path: Path) -> int:
    """Sum up what a record takes on the disk. Bytes."""
    total = 0
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        try:
            total += path.with_name(name).stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total
