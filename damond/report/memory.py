"""How much memory all targets of a context held over time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.record import MemoryAt
from damond.report.percentiles import percentiles
from damond.report.subject import Subject
from damond.report.timeline import Series, stepped
from damond.report.windows import Ints

_MISSED: Final = 3
"""A process that was not looked at for so many of the usual intervals has ended."""

_PERCENTILES: Final = (0, 50, 100)


@dataclass(frozen=True, slots=True, eq=False)
class Amount:
    """One measure of memory over time, of all targets. Bytes.

    Attributes:
        least: The least it was.
        median: What it was below for half of the time.
        greatest: The most it was.
        newest: What it was last.
        series: How it changed.
    """

    least: int
    median: int
    greatest: int
    newest: int
    series: Series


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Memory:
    """What the targets held. None where it is not known.

    Attributes:
        vsz: Address space.
        rss: Resident memory; what processes share counts for each of them.
        pss: Resident memory; what is shared counts once.
        limit_bytes: What their cgroup may have at most, last; None too if targets are in cgroups of different limits.
    """

    vsz: Amount | None = None
    rss: Amount | None = None
    pss: Amount | None = None
    limit_bytes: int | None = None


def memory_of(subject: Subject) -> Memory:
    """Sum up what the record knows of the memory of the targets."""
    uses = [each for each in subject.memory if subject.from_ns <= each.time_ns <= subject.to_ns]
    if not uses:
        return Memory()
    every_ns = _usual_interval(uses)
    newest = {each.target_id: each for each in uses if each.time_ns >= uses[-1].time_ns - _MISSED * every_ns}
    limits = {each.limit_bytes for each in newest.values()}
    return Memory(
        vsz=_amount(uses, every_ns, subject, lambda use: use.vsz_bytes),
        rss=_amount(uses, every_ns, subject, lambda use: use.rss_bytes),
        pss=_amount(uses, every_ns, subject, lambda use: use.pss_bytes),
        limit_bytes=limits.pop() if len(limits) == 1 else None,
    )


def _usual_interval(uses: Sequence[MemoryAt]) -> int:
    """Say how often the processes were looked at. Nanoseconds."""
    by_target: dict[int, list[int]] = {}
    for each in uses:
        by_target.setdefault(each.target_id, []).append(each.time_ns)
    steps = np.concatenate([np.diff(times) for times in by_target.values()])
    return int(np.median(steps)) if len(steps) else 1_000_000_000


def _amount(
    uses: Sequence[MemoryAt], every_ns: int, subject: Subject, of: Callable[[MemoryAt], int | None]
) -> Amount | None:
    start_ns, end_ns, total = _summed(uses, every_ns, of)
    if not len(total):
        return None
    weights = np.maximum(end_ns - start_ns, 1).astype(np.float64)
    least, median, greatest = percentiles(total, weights, _PERCENTILES)
    series = stepped(start_ns, end_ns, total.astype(np.float64), subject.from_ns, subject.to_ns)
    return Amount(least, median, greatest, int(total[-1]), series)


def _summed(uses: Sequence[MemoryAt], every_ns: int, of: Callable[[MemoryAt], int | None]) -> tuple[Ints, Ints, Ints]:
    """Add up over targets, where a value holds until the next: begin and end of stretches of time, and how much."""
    known = [(use.target_id, use.time_ns, value) for use in uses if (value := of(use)) is not None]
    by_target: dict[int, list[tuple[int, int]]] = {}
    for target_id, time_ns, value in sorted(known):
        by_target.setdefault(target_id, []).append((time_ns, value))
    steps: dict[int, int] = {}
    for rows in by_target.values():
        for (time_ns, value), (next_ns, _) in zip(rows, [*rows[1:], (rows[-1][0] + every_ns, 0)], strict=True):
            end_ns = min(next_ns, time_ns + _MISSED * every_ns)
            steps[time_ns] = steps.get(time_ns, 0) + value
            steps[end_ns] = steps.get(end_ns, 0) - value
    edges = np.array(sorted(steps), np.int64)
    total = np.cumsum([steps[each] for each in edges.tolist()]).astype(np.int64)[:-1]
    there = total > 0
    return edges[:-1][there], edges[1:][there], total[there]
