"""The memory of the monitored processes: what they have mapped, how much of it is resident, and what they may have.

Read by the worker, which may look at them, by a thread beside the loop: sampling does not wait for it.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from damond.core import Mapping, ProcessMemory
from damond.core.mappings import Mappings

READ_EVERY_S: Final = 4.9
"""Least time between two looks at all processes: one for each summary. Seconds."""

MAX_TIME_SHARE: Final = 0.01
"""Share of one CPU that reading may take; where it takes more, it is done less often."""

MAX_PSS_SHARE: Final = 0.002
"""The same for Pss, for which the kernel walks all page tables of a process: about 25 ms per GiB that is resident."""

MAX_MAPPINGS: Final = 2048
"""Mappings of all processes of a context, about 30 bytes each; of more, those with the least gaps are joined."""

OF_BUDGET: Final = 0.05
"""Part of what a context may cost that reading may take, but for new processes."""

READ_AT_LEAST_EVERY_S: Final = 60.0
"""However little that is, as far as :data:`MAX_TIME_SHARE` allows. Seconds."""

PSS_OF_BUDGET: Final = 0.02
"""The same for Pss: where ten contexts share 1 % of a CPU, that of 256 MiB is read every five minutes."""

_LEAST_MAPPINGS: Final = 16
_MAX_NAME: Final = 64
_READ_SZ: Final = 1 << 16
_MAX_MAPS_SZ: Final = 8 * 1024 * 1024
"""Bytes of /proc/PID/maps that are read: 65,530 mappings, the usual greatest number, have less."""

_PASSING: Final = frozenset({errno.ESRCH, errno.ENOENT, errno.EIO, errno.EACCES, errno.EPERM})
"""The process has ended, has no memory at the moment, is nobody's while it calls execve(2), or is not for our eyes."""

_KIB: Final = 1024
_UNLIMITED: Final = 1 << 62
"""A limit of cgroup version 1 that is none (PAGE_COUNTER_MAX, include/linux/page_counter.h, Linux 6.12)."""


class FootprintReader:
    """Keeps what was read last; a thread of its own reads anew when it is time.

    Args:
        proc: Where processes are shown.
        cgroups: Where cgroups are.
        now: Clock. Seconds.
        cpu: CPU time of the thread that reads. Seconds: what it was kept waiting for costs nothing.
    """

    def __init__(
        self,
        proc: Path = Path("/proc"),
        cgroups: Path = Path("/sys/fs/cgroup"),
        now: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._proc = proc
        self._cgroups = cgroups
        self._now = now
        self._cpu = cpu
        self._due_s = self._news_due_s = self._pss_due_s = 0.0
        self._share, self._pss_share = MAX_TIME_SHARE, MAX_PSS_SHARE
        self._asked: AbstractSet[int] = frozenset()
        self._directories: dict[int, int] = {}
        self._pss: dict[int, int] = {}
        self._latest: tuple[ProcessMemory, ...] = ()
        self._thread: threading.Thread | None = None

    def latest(self) -> tuple[ProcessMemory, ...]:
        """Return what was read last; () if nothing was yet."""
        return self._latest

    def look(self, targets: Sequence[tuple[int, int]], max_cpu: float | None = None) -> None:
        """Have these processes read, if it is time and the last reading has ended.

        Args:
            targets: Id and pid of each.
            max_cpu: What the context may cost, CPU time per time; None is no bound.
        """
        pids = {pid for _, pid in targets}
        due_s = self._due_s if pids <= self._asked else min(self._due_s, self._news_due_s)
        if self._now() < due_s or (self._thread is not None and self._thread.is_alive()):
            return
        self._asked = pids
        self._share, self._pss_share = MAX_TIME_SHARE, MAX_PSS_SHARE
        if max_cpu is not None:
            self._share = min(self._share, OF_BUDGET * max_cpu)
            self._pss_share = min(self._pss_share, PSS_OF_BUDGET * max_cpu)
        self._thread = threading.Thread(target=self._read_all, args=(targets,), name="damond-footprint", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait until a reading under way has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _read_all(self, targets: Sequence[tuple[int, int]]) -> None:
        begin_s, cpu_s = self._now(), self._cpu()
        self._due_s = self._news_due_s = begin_s + READ_EVERY_S
        self._hold({pid for _, pid in targets})
        max_mappings = max(MAX_MAPPINGS // max(len(targets), 1), _LEAST_MAPPINGS)
        read = [self._read(target_id, pid, max_mappings) for target_id, pid in targets]
        self._latest = tuple(each for each in read if each is not None)
        took_s, end_s = self._cpu() - cpu_s, self._now()
        self._news_due_s = begin_s + max(READ_EVERY_S, took_s / MAX_TIME_SHARE)
        self._due_s = max(self._news_due_s, begin_s + min(took_s / self._share, READ_AT_LEAST_EVERY_S))
        if end_s >= self._pss_due_s:
            self._pss = {pid: pss for _, pid in targets if (pss := self._read_pss(pid)) is not None}
            self._pss_due_s = end_s + (self._cpu() - cpu_s - took_s) / self._pss_share

    def _hold(self, pids: AbstractSet[int]) -> None:
        """Keep the directories of these processes open: they show these or nothing, never who got a pid later."""
        for pid in self._directories.keys() - pids:
            os.close(self._directories.pop(pid))
            self._pss.pop(pid, None)
        for pid in pids - self._directories.keys():
            try:
                self._directories[pid] = os.open(self._proc / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError as error:
                if error.errno not in _PASSING:
                    raise

    def _read(self, target_id: int, pid: int, max_mappings: int) -> ProcessMemory | None:
        status = self._file(pid, "status")
        sizes = dict(line.split(b":", 1) for line in status.splitlines() if line.startswith((b"VmSize:", b"VmRSS:")))
        if len(sizes) != 2:  # noqa: PLR2004 - ended, or a kernel thread: no memory
            return None
        return ProcessMemory(
            target_id=target_id,
            pid=pid,
            vsz_bytes=_kib(sizes[b"VmSize"]),
            rss_bytes=_kib(sizes[b"VmRSS"]),
            pss_bytes=self._pss.get(pid),
            limit_bytes=self._limit(self._file(pid, "cgroup")),
            mappings=joined(Mappings.parse(self._file(pid, "maps")), max_mappings),
        )

    def _read_pss(self, pid: int) -> int | None:
        lines = [line for line in self._file(pid, "smaps_rollup").splitlines() if line.startswith(b"Pss:")]
        return _kib(lines[0].split(b":", 1)[1]) if lines else None

    def _file(self, pid: int, name: str) -> bytes:
        """Return the content of a file of a process; b"" where there is none for us."""
        if pid not in self._directories:
            return b""
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directories[pid])
            with open(fd, "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor has no path
                pieces, size = [], 0
                while size < _MAX_MAPS_SZ and (piece := file.read(_READ_SZ)):
                    pieces.append(piece)
                    size += len(piece)
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            return b""
        return b"".join(pieces)

    def _limit(self, cgroup: bytes) -> int | None:
        """Return the least limit on the way up from the cgroup of a process (cgroups(7)); both versions."""
        limits = []
        for line in cgroup.decode(errors="replace").splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                limits += self._limits_above(self._cgroups, path, "memory.max")
            elif "memory" in controllers.split(","):
                limits += self._limits_above(self._cgroups / "memory", path, "memory.limit_in_bytes")
        return min(limits, default=None)

    @staticmethod
    def _limits_above(root: Path, path: str, name: str) -> list[int]:
        parts = [part for part in path.split("/") if part]
        if ".." in parts:  # outside of the namespace that we see
            return []
        limits = []
        for depth in range(len(parts) + 1):
            try:
                text = root.joinpath(*parts[:depth], name).read_text(encoding="ascii").strip()
            except OSError:  # the root has no such file; or the cgroup is gone
                continue
            if text.isdecimal() and int(text) < _UNLIMITED:
                limits.append(int(text))
        return limits


def joined(mappings: Mappings, limit: int) -> tuple[Mapping, ...]:
    """Join neighbours of the same name that touch; of what is more than ``limit``, those with the least gaps."""
    rows = zip(mappings.start.tolist(), mappings.end.tolist(), mappings.code.tolist(), strict=True)
    runs: list[tuple[int, int, int]] = []
    for start, end, code in rows:
        if runs and runs[-1][1] == start and runs[-1][2] == code:
            runs[-1] = (runs[-1][0], end, code)
        else:
            runs.append((start, end, code))
    if len(runs) > limit:
        return tuple(Mapping(*each) for each in _coarse(mappings, runs, limit))
    return tuple(Mapping(start, end, mappings.names[code][:_MAX_NAME]) for start, end, code in runs)


def _coarse(mappings: Mappings, runs: Sequence[tuple[int, int, int]], limit: int) -> list[tuple[int, int, str]]:
    start, end, _ = (np.array(column, np.uint64) for column in zip(*runs, strict=True))
    widest = np.argsort(start[1:] - end[:-1], kind="stable")[len(runs) - limit :]
    group = np.searchsorted(np.sort(widest), np.arange(len(runs)), side="left")
    spans = [list(each) for _, each in groupby(range(len(runs)), lambda row: int(group[row]))]
    bounds = [(runs[rows[0]][0], runs[rows[-1]][1]) for rows in spans]
    return [(first, behind, mappings.name(first, behind)[:_MAX_NAME]) for first, behind in bounds]


def _kib(text: bytes) -> int:
    """Read a number of KiB, ``b"  1234 kB"``. Bytes."""
    return int(text.split()[0]) * _KIB
