"""Reading what the monitored processes have mapped: pictures know then what is no memory."""

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from damond.core import Snapshot
from damond.core.mappings import Mappings, MapsByTarget

READ_EVERY_S: Final = 1.0
"""Least time between two looks at one process, as often as vaddr fits its regions. Seconds."""

MAX_TIME_SHARE: Final = 0.02
"""A process with very many mappings (65,530: 0.1 s to read and parse) is looked at less often, to keep this share."""

_READ_SZ: Final = 1 << 16
_PASSING: Final = frozenset({errno.ESRCH, errno.ENOENT, errno.EIO, errno.EACCES, errno.EPERM})
"""The process has ended, has no memory at the moment, or is nobody's while it calls execve(2)."""


@dataclass(slots=True)
class _Process:
    directory: int
    due_s: float = 0.0
    mappings: Mappings | None = None


class MapsReader:
    """What the processes behind the targets have mapped; one that has ended keeps what it had last.

    A context manager: closing lets go of the processes.
    """

    def __init__(self, proc: Path = Path("/proc"), now: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._now = now
        self._processes: dict[int, _Process] = {}

    def __len__(self) -> int:
        """Count the processes that are held, ended ones too."""
        return len(self._processes)

    def read(self, snapshot: Snapshot) -> MapsByTarget:
        """Return what the targets of a snapshot have mapped now, or a moment ago; no entry where nothing is known."""
        for target in snapshot.targets:
            if target.pid is not None:
                self._look(target.id, target.pid)
        return {target_id: each.mappings for target_id, each in self._processes.items() if each.mappings is not None}

    def _look(self, target_id: int, pid: int) -> None:
        begin_s = self._now()
        try:
            process = self._processes.get(target_id) or self._hold(target_id, pid)
            if begin_s < process.due_s:
                return
            found = Mappings.parse(_content(process.directory))
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            return
        if len(found):
            process.mappings = found
        process.due_s = begin_s + max(READ_EVERY_S, (self._now() - begin_s) / MAX_TIME_SHARE)

    def _hold(self, target_id: int, pid: int) -> _Process:
        # A directory that stays open shows this process or nothing, never another that got its pid later.
        directory = os.open(self._proc / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        held = self._processes[target_id] = _Process(directory)
        return held

    def close(self) -> None:
        """Let go of the processes."""
        while self._processes:
            os.close(self._processes.popitem()[1].directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _content(directory: int) -> bytes:
    fd = os.open("maps", os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        pieces = []
        while piece := os.read(fd, _READ_SZ):
            pieces.append(piece)
    finally:
        os.close(fd)
    return b"".join(pieces)
