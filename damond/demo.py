"""A small program with something to see: ``python -m damond.demo [--for SECONDS] [--size MIB]``.

Sixteen areas of memory, each a mapping of its own with a name, so that they can be told apart even where only whole
mappings can. Three neighbours are hot at a time, and every second the heat moves on by one; the last area is lukewarm
all the time. It uses no more than a few per cent of one CPU and ends by itself.
"""

import argparse
import itertools
import mmap
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

NR_AREAS: Final = 16
NR_HOT: Final = 3
"""Neighbours that are hot at a time: a seventh of the whole program is enough to be found within two aggregations of
one second, a single area is not (15 s with vaddr and source referenced, 10 samples each)."""

MOVES_EVERY_S: Final = 1.0
"""Time after which the heat moves on by one area. Each is hot for three of the aggregations that whole mappings need,
for 30 of the usual ones, and 15 s show all of them. Seconds."""

PASS_EVERY_S: Final = 0.002
"""Time between two passes over the hot area: well below the usual 5 ms between two access checks. Seconds."""

WARM_EVERY_PASSES: Final = 10
"""Every so many passes the lukewarm area is touched: 20 ms, hence in a quarter of the samples."""


def make_areas(sz_area: int) -> list[mmap.mmap]:
    """Map the areas and write all of their pages once.

    Files in memory, though nobody shares them: private neighbours become one mapping, and the kernel puts those of
    whole huge pages side by side, whatever else is mapped between two of them (get_unmapped_area, mm/mmap.c, Linux
    6.7). Files keep a mapping each, and their names can be read in /proc/PID/maps.
    """
    areas = [_map(f"area {number}", sz_area) for number in range(1, NR_AREAS)]
    return [*areas, _map("lukewarm area", sz_area)]


def _map(name: str, sz_area: int) -> mmap.mmap:
    fd = os.memfd_create(name)
    os.ftruncate(fd, sz_area)
    area = mmap.mmap(fd, sz_area)
    os.close(fd)
    area[:: mmap.PAGESIZE] = b"\x01" * (sz_area // mmap.PAGESIZE)
    return area


def hot_areas(passed_s: float) -> list[int]:
    """List the areas that are hot at a time: a window that slides over all but the lukewarm one, and starts again."""
    first = int(passed_s / MOVES_EVERY_S)
    return [(first + index) % (NR_AREAS - 1) for index in range(NR_HOT)]


def touch(area: mmap.mmap) -> int:
    """Read one byte of every page, and count the pages: a slice with a stride is one loop in C."""
    return len(area[:: mmap.PAGESIZE])


class _Ended(Exception):  # noqa: N818 - no error: SIGTERM or SIGINT
    pass


def _end(_signum: int, _frame: FrameType | None) -> None:
    raise _Ended


def run(areas: Sequence[mmap.mmap], span_s: float) -> None:
    """Touch areas until the time is up."""
    started = time.monotonic()
    for nr_pass in itertools.count():
        passed_s = time.monotonic() - started
        if passed_s >= span_s:
            return
        for index in hot_areas(passed_s):
            touch(areas[index])
        if nr_pass % WARM_EVERY_PASSES == 0:
            touch(areas[-1])
        time.sleep(PASS_EVERY_S)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; SIGTERM and SIGINT end it at once, with success."""
    parser = argparse.ArgumentParser(prog="python -m damond.demo", description="Memory whose hot part moves.")
    parser.add_argument("--for", dest="span_s", type=float, default=60.0, metavar="SECONDS", help="default: 60")
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="all areas together; default: 64")
    given = parser.parse_args(argv)
    if given.span_s <= 0 or given.size < 1:
        parser.error("--for and --size must be positive")
    sz_area = (given.size << 20) // NR_AREAS // mmap.PAGESIZE * mmap.PAGESIZE
    try:
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGINT, _end)
        run(make_areas(sz_area), given.span_s)
    except _Ended:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
