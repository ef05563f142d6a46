"""A number that changes over time: a value per window, and in as many steps as a picture has columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.report.percentiles import percentiles
from damond.report.windows import Floats, Ints, Windows

NR_STEPS: Final = 512
"""Steps that a series is kept in: as many as pictures have columns."""


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A number over time, in equal steps. NaN where nothing is known.

    Attributes:
        time_ns: Edges of the steps, Unix time: one more than there are steps. Nanoseconds.
        low: The least value in each step.
        mean: The average over the known time in each step.
        high: The greatest value in each step.
    """

    time_ns: Ints
    low: Floats
    mean: Floats
    high: Floats

    def coarser(self, nr_steps: int) -> "Series":
        """Show the same span in fewer steps (or as many, if there are not more), of about the same length each."""
        nr_steps = min(nr_steps, len(self.mean))
        edges = np.linspace(0, len(self.mean), nr_steps + 1).astype(np.intp)
        known = ~np.isnan(self.mean)
        count = np.add.reduceat(known.astype(np.float64), edges[:-1])
        total = np.add.reduceat(np.where(known, self.mean, 0.0), edges[:-1])
        mean: Floats = np.full(nr_steps, np.nan)
        np.divide(total, count, out=mean, where=count > 0)
        # fmin and fmax pass over NaN.
        low, high = np.fmin.reduceat(self.low, edges[:-1]), np.fmax.reduceat(self.high, edges[:-1])
        return Series(self.time_ns[edges], low, mean, high)


@dataclass(slots=True, eq=False)
class PerWindow:
    """A whole number per window, while windows come: 24 bytes each (20 MB for a day of windows of 100 ms)."""

    _start_ns: list[Ints] = field(default_factory=list)
    _end_ns: list[Ints] = field(default_factory=list)
    _values: list[Ints] = field(default_factory=list)

    def add(self, windows: Windows, values: Ints) -> None:
        """Take the values of some windows."""
        self._start_ns.append(windows.start_ns)
        self._end_ns.append(windows.end_ns)
        self._values.append(values)

    def __len__(self) -> int:
        return sum(map(len, self._values))

    @property
    def values(self) -> Ints:
        """All values, in the order in which they came."""
        return _joined(self._values)

    def percentiles(self, wanted: Sequence[float]) -> tuple[int, ...]:
        """Read percentiles of the time off; () if there is no window."""
        if not len(self):
            return ()
        span_ns = np.maximum(_joined(self._end_ns) - _joined(self._start_ns), 1)
        return tuple(percentiles(self.values, span_ns.astype(np.float64), wanted))

    def series(self, from_ns: int, to_ns: int, nr_steps: int = NR_STEPS) -> Series:
        """Show the values in equal steps of a span; each counts where its window lies."""
        return stepped(
            _joined(self._start_ns), _joined(self._end_ns), self.values.astype(np.float64), from_ns, to_ns, nr_steps
        )


def stepped(start_ns: Ints, end_ns: Ints, values: Floats, from_ns: int, to_ns: int, nr_steps: int = NR_STEPS) -> Series:
    """Put values, each of which holds for a time, into equal steps of a span."""
    time_ns = np.linspace(0, max(to_ns - from_ns, nr_steps), nr_steps + 1).astype(np.int64) + from_ns
    order = np.argsort(start_ns, kind="stable")
    start_ns, end_ns, values = start_ns[order], end_ns[order], values[order]
    # Windows that overlap (Unix time was set back) are rare: the latest end so far is where one may still hold.
    first = np.searchsorted(np.maximum.accumulate(end_ns), time_ns[:-1], side="right")
    behind = np.searchsorted(start_ns, time_ns[1:], side="left")
    low, mean, high = (np.full(nr_steps, np.nan) for _ in range(3))
    for step in np.flatnonzero(first < behind).tolist():
        rows = slice(int(first[step]), int(behind[step]))
        overlap = np.minimum(end_ns[rows], time_ns[step + 1]) - np.maximum(start_ns[rows], time_ns[step])
        found = values[rows]
        weight = np.maximum(overlap, 0).astype(np.float64)
        if weight.any():
            there = found[weight > 0]
            low[step], high[step] = there.min(), there.max()
            mean[step] = (found * weight).sum() / weight.sum()
    return Series(time_ns, low, mean, high)


def _joined(parts: Sequence[Ints]) -> Ints:
    return np.concatenate([np.zeros(0, np.int64), *parts])
