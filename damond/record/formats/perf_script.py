"""Reading what ``perf script`` (or ``trace-cmd report``) prints of the tracepoint damon_aggregated.

One line per region::

    kdamond.0  4242 [000] 1000.100000: damon:damon_aggregated: target_id=4242 nr_regions=4 4096-8192: 20 0

The last number, the age, is missing before Linux 5.16 (include/trace/events/damon.h).
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np

from damond.errors import RecordError
from damond.record.formats.foreign import TargetRecord, Window

_LINE: Final = re.compile(
    r"(\d+)\.(\d+):\s+(?:damon:)?damon_aggregated:\s+target_id=(-?\d+)\s+nr_regions=(\d+)"
    r"\s+(\d+)-(\d+):\s+(-?\d+)(?:\s+(-?\d+))?\s*$"
)
_TUNED: Final = re.compile(r"damon_monitor_intervals_tune:\s+sample_us=(\d+)")


class _Row(NamedTuple):
    time_ns: int
    target_id: int
    nr_regions: int
    start: int
    end: int
    nr_accesses: int
    age: float
    sample_us: int | None


def read(text: str) -> list[TargetRecord]:
    """Read the lines.

    Raises:
        RecordError: There is none of DAMON, or they are out of order.
    """
    found = _by_target(_rows(text))
    if not found:
        raise RecordError(
            "it has no line of the tracepoint damon_aggregated",
            hint="perf record -e damon:damon_aggregated; perf script",
        )
    return [TargetRecord((), target_id, windows=_with_starts(windows)) for target_id, windows in found.items()]


def _with_starts(windows: list[Window]) -> list[Window]:
    """Let each window begin where the one before ended, and the first one be as long as the others on average."""
    ends = [window.end_ns for window in windows]
    mean_ns = (ends[-1] - ends[0]) // max(len(ends) - 1, 1)
    starts = [ends[0] - mean_ns, *ends[:-1]]
    return [replace(window, start_ns=start_ns) for window, start_ns in zip(windows, starts, strict=True)]


def _rows(text: str) -> Iterator[_Row]:
    sample_us = None
    for line in text.splitlines():
        if tuned := _TUNED.search(line):
            sample_us = int(tuned[1])
        if found := _LINE.search(line):
            seconds, fraction, *numbers, age = found.groups()
            target_id, nr_regions, start, end, nr_accesses = map(int, numbers)
            time_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9])
            years = float("nan") if age is None else float(age)
            yield _Row(time_ns, target_id, nr_regions, start, end, nr_accesses, years, sample_us)


def _by_target(rows: Iterator[_Row]) -> dict[int, list[Window]]:
    """Gather the regions of each window: as many lines as the first one says, or those of one time."""
    found: dict[int, list[Window]] = {}
    for target_id, lines in groupby(_in_order(rows), lambda row: row.target_id):
        waiting = list(lines)
        while waiting:
            window = waiting[: max(waiting[0].nr_regions, 1)]
            waiting = waiting[len(window) :]
            if not _is_fake(window):
                found.setdefault(target_id, []).append(_window(window))
    return found


def _in_order(rows: Iterator[_Row]) -> Iterator[_Row]:
    last_ns = 0
    for row in rows:
        if row.time_ns < last_ns:
            raise RecordError("its lines are not in the order of time", hint="sort them: perf script | sort -k 4")
        last_ns = row.time_ns
        yield row


def _is_fake(window: list[_Row]) -> bool:
    """Say whether it is what damo adds to a trace of one snapshot, for the sake of its length."""
    return all(row.start == row.end == 0 or row.nr_accesses < 0 for row in window)


def _window(rows: list[_Row]) -> Window:
    end_ns = rows[-1].time_ns
    return Window(
        end_ns,
        end_ns,
        np.array([row.start for row in rows], np.uint64),
        np.array([row.end for row in rows], np.uint64),
        np.array([row.nr_accesses for row in rows], np.float64),
        np.full(len(rows), np.nan),
        np.array([row.age for row in rows], np.float64),
        rows[0].sample_us,
    )
