"""A process with a known hot set: reads one byte of every hot page over and over.

usage: workload.py PATTERN

Prints one line of JSON when its memory is there (address, size, begin of its schedule in Unix ns), runs until SIGTERM,
and prints another one with the times at which it did not get to run. The schedule is a function of time, so that
whoever watches knows the truth of every window.
"""

import json
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

MIB = 1 << 20
SEC = 1_000_000_000

STALL_NS = 15_000_000
"""A pass over the hot set that takes longer than three samples of 5 ms was not running, or not fast enough."""

Ranges = list[tuple[int, int]]


@dataclass(frozen=True)
class Pattern:
    """What is hot, by phase.

    Attributes:
        size: Bytes of the whole mapping.
        period_ns: Time from one phase to the next; 0 if there is only one.
        hot: Phase -> hot ranges, as offsets in the mapping.
    """

    size: int
    hot: Callable[[int], Ranges]
    period_ns: int = 0

    def phase(self, since_ns: int) -> int:
        return since_ns // self.period_ns if self.period_ns else 0


PATTERNS = {
    "steady_32_of_256": Pattern(256 * MIB, lambda _: [(0, 32 * MIB)]),
    "small_2_of_512": Pattern(512 * MIB, lambda _: [(200 * MIB, 202 * MIB)]),
    "moving_16_of_256": Pattern(
        256 * MIB, lambda phase: [(phase % 4 * 64 * MIB, (phase % 4 * 64 + 16) * MIB)], 3 * SEC
    ),
    "stripes_8x2_of_256": Pattern(256 * MIB, lambda _: [(n * 32 * MIB, (n * 32 + 2) * MIB) for n in range(8)]),
    "halves_64_by_turns": Pattern(
        128 * MIB, lambda phase: [(phase % 2 * 64 * MIB, (phase % 2 + 1) * 64 * MIB)], 2 * SEC
    ),
    "idle_64": Pattern(64 * MIB, lambda _: []),
}


def main(name: str) -> None:
    # Imported here: whoever imports the patterns only needs none of it.
    import numpy as np  # noqa: PLC0415

    # Where there is one CPU only, who monitors comes first, as if there were two.
    os.nice(10)
    pattern = PATTERNS[name]
    memory = mmap.mmap(-1, pattern.size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    pages = np.frombuffer(memory, np.uint8)
    pages[:: mmap.PAGESIZE] = 1
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    begin = time.time_ns()
    address = pages.__array_interface__["data"][0]
    print(json.dumps({"pid": os.getpid(), "address": address, "size": pattern.size, "begin_ns": begin}), flush=True)
    views: dict[int, list[np.ndarray]] = {}
    stalls, last = [], begin
    while not stopped:
        now = time.time_ns()
        if now - last > STALL_NS:
            stalls.append((last, now))
        last = now
        phase = pattern.phase(now - begin)
        if phase not in views:
            views = {phase: [pages[start : end : mmap.PAGESIZE] for start, end in pattern.hot(phase)]}
        for view in views[phase]:
            view.max()
        if not views[phase]:
            signal.sigtimedwait([], 0.01)
    print(json.dumps({"stalls": stalls}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
