"""A process with a known hot set: reads one byte of every hot page over and over.

usage: python -m tests.kernel.workload PATTERN

Prints one line of JSON when its memory is there (address, size, begin of its schedule in Unix ns), runs until its
input is closed, and prints another one: when it did not get to run, and what reading took.
"""

import ctypes
import json
import mmap
import os
import select
import signal
import sys
import time
from collections.abc import Callable

import numpy as np

from tests.kernel.patterns import MIB, MSEC, PATTERNS, SEC, Pattern, Ranges

__all__ = ["MIB", "PATTERNS", "SEC", "Pattern", "Ranges"]

STALL_NS = 15 * MSEC
"""A pass over the hot set that takes longer than three samples of 5 ms was not running, or not fast enough."""

_CHUNK_NS = 100 * MSEC
_POOL = 1 << 20
_MAP_FIXED = 0x10
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Memory:
    """The mapping of a workload, and what comes and goes of it."""

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self._mapping = mmap.mmap(-1, pattern.size, flags=_PRIVATE)
        self.pages = np.frombuffer(self._mapping, np.uint8)
        self.address = int(self.pages.__array_interface__["data"][0])
        self._child = 0
        for start, end in pattern.filled if pattern.filled is not None else [(0, pattern.size)]:
            self._fill(start, end)
        if pattern.draws:
            law = 1 / np.arange(1, pattern.size // mmap.PAGESIZE + 1)
            drawn = np.random.default_rng(1).choice(len(law), _POOL, p=law / law.sum())
            self._drawn = drawn.astype(np.intp) * mmap.PAGESIZE

    def _fill(self, start: int, end: int) -> None:
        self.pages[start : end : mmap.PAGESIZE] = 1

    def begin_phase(self, phase: int) -> Callable[[], int]:
        """Map, unmap and fork what belongs to a phase; return what one pass of it reads: a function that counts."""
        if self._pattern.transient is not None:
            self._come_or_go(*self._pattern.transient, there=phase % 2 == 1)
        if self._pattern.child is not None:
            self.end_child()
            if phase % 2:
                self._fork(*self._pattern.child)
        if self._pattern.draws:
            return self._read_by_chance()
        views = [self.pages[start : end : mmap.PAGESIZE] for start, end in self._pattern.hot(phase)]
        return lambda: sum(len(view) for view in views if view.max() >= 0)

    def _read_by_chance(self) -> Callable[[], int]:
        draws = self._pattern.draws
        parts = [self._drawn[at : at + draws] for at in range(0, _POOL - draws, draws)]
        turn = iter(range(sys.maxsize))

        def read() -> int:
            self.pages[parts[next(turn) % len(parts)]].max()
            return draws

        return read

    def _come_or_go(self, start: int, end: int, *, there: bool) -> None:
        """Replace a part by a new mapping; one that nobody may access keeps the place free in the meantime."""
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
        libc.mmap.restype = ctypes.c_void_p
        protection = mmap.PROT_READ | mmap.PROT_WRITE if there else 0
        got = libc.mmap(self.address + start, end - start, protection, _PRIVATE | _MAP_FIXED, -1, 0)
        if got != self.address + start:
            raise OSError(ctypes.get_errno(), "mmap")
        if there:
            self._fill(start, end)

    def _fork(self, start: int, end: int) -> None:
        parent = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            while os.getppid() == parent:
                self.pages[start : end : mmap.PAGESIZE].max()
                time.sleep(0.004)
            os._exit(0)

    def end_child(self) -> None:
        if self._child:
            os.kill(self._child, signal.SIGKILL)
            os.waitpid(self._child, 0)
            self._child = 0


class Chunks:
    """What reading took, preemption included: time and pages, in chunks of 100 ms, without what is done between."""

    def __init__(self) -> None:
        self.done: list[tuple[int, int, int, int]] = []
        self.stopped = False
        self.restart()

    def restart(self) -> None:
        self._begin, self._reading, self._pages = time.time_ns(), 0, 0

    def add(self, pages: int, begin: int, end: int) -> None:
        self._reading += end - begin
        self._pages += pages
        if end - self._begin >= _CHUNK_NS:
            self.done.append((self._begin, end, self._reading, self._pages))
            self._begin, self._reading, self._pages = end, 0, 0
            self.stopped = bool(select.select([sys.stdin], [], [], 0)[0])


def main(name: str) -> None:
    # Where there is one CPU only, who monitors comes first, as if there were two. Nice would not do: once a tick finds
    # the monitor at work for longer than its slice, a workload of any weight runs until the next tick, 10 ms later.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    pattern = PATTERNS[name]
    memory = Memory(pattern)
    begin = time.time_ns()
    said = {"pid": os.getpid(), "address": memory.address, "size": pattern.size, "begin_ns": begin}
    print(json.dumps(said), flush=True)
    stalls, chunks = [], Chunks()
    last, due, phase = begin, begin, -1
    while not chunks.stopped:
        now = time.time_ns()
        if now - last > STALL_NS + pattern.every_ns:
            stalls.append((last, now))
        last = now
        if phase != pattern.phase(now - begin):
            phase = pattern.phase(now - begin)
            read = memory.begin_phase(phase)
            chunks.restart()
        begun = time.time_ns()
        pages = read()
        chunks.add(pages, begun, time.time_ns())
        if pattern.every_ns or not pages:
            # What was missed is made up for, but not all of a long sleep at once.
            due = max(due + (pattern.every_ns or 10 * MSEC), now - STALL_NS)
            time.sleep(max(due - time.time_ns(), 0) / SEC)
    memory.end_child()
    print(json.dumps({"stalls": stalls, "chunks": chunks.done}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
