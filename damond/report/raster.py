"""Heat summed up over cells of time and address, exactly: each region counts by its overlap with each cell."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.core.regions import Addrs
from damond.report.windows import Bools, Floats, Ints, Rows, TargetRegions, Windows

_ROUNDING: Final = 1e-12
"""What a sum of a cell is off by at most, relative to its row. A single hit is a thousand times more: one of 1000
samples, for a thousandth of a cell's time, in a thousandth of its bytes."""


@dataclass(slots=True, eq=False)
class Raster:
    """Sums over cells, while windows of one target come.

    Attributes:
        time_ns: Edges of the rows, ascending, Unix time. Nanoseconds.
        edges: Edges of the columns, ascending addresses; what is outside of them is left out.
        accessed: Per cell: heat times bytes times nanoseconds.
        monitored: Per cell: bytes times nanoseconds that were looked at.
        total: What the sum of ``accessed`` would be with cells for every address.
    """

    time_ns: Ints
    edges: Addrs
    accessed: Floats = field(init=False)
    monitored: Floats = field(init=False)
    total: float = 0.0
    _sizes: Floats = field(init=False)

    def __post_init__(self) -> None:
        self._sizes = np.diff(self.edges).astype(np.float64)
        shape = (len(self.time_ns) - 1, len(self.edges) - 1)
        self.accessed, self.monitored = np.zeros(shape), np.zeros(shape)

    @property
    def heat(self) -> Floats:
        """Heat of each cell; NaN where nothing was looked at."""
        return divided(self.accessed, self.monitored)

    def add(self, windows: Windows, regions: TargetRegions, values: Floats | None = None) -> None:
        """Take the regions of the target in some windows.

        Args:
            windows: The windows.
            regions: The regions of the target in them.
            values: What to sum up, per region; None is its heat.
        """
        values = regions.heat if values is None else values
        first, behind = rows_of(windows, self.time_ns)
        deepest = int((behind - first).max(initial=0))
        for step in range(deepest):
            row = first + step
            inside = np.minimum(row, len(self.time_ns) - 2)
            overlap_ns = np.minimum(windows.end_ns, self.time_ns[inside + 1]) - np.maximum(
                windows.start_ns, self.time_ns[inside]
            )
            overlap = np.where(row < behind, np.maximum(overlap_ns, 0), 0).astype(np.float64)
            self._add(regions, values, inside, overlap, only_some=step > 0)

    def _add(self, regions: TargetRegions, values: Floats, row: Rows, overlap_ns: Floats, *, only_some: bool) -> None:
        if only_some:
            some = overlap_ns[regions.window] > 0
            regions, values = regions.take(some), values[some]
        weight = overlap_ns[regions.window]
        self.total += float((values * weight * regions.size).sum())
        inside = (regions.start < self.edges[-1]) & (regions.end > self.edges[0])
        if not inside.all():
            regions, values, weight = regions.take(inside), values[inside], weight[inside]
        self._spread(row[regions.window], regions.start, regions.end, values * weight, weight)

    def _spread(self, row: Rows, start: Addrs, end: Addrs, accessed: Floats, monitored: Floats) -> None:
        """Add densities over the cells from start to end: the first and the last by their share, others whole."""
        if not len(row):
            return
        rows = slice(int(row.min()), int(row.max()) + 1)
        start, end = np.maximum(start, self.edges[0]), np.minimum(end, self.edges[-1])
        first, last = self._cells(start, end)
        within = np.flatnonzero(first == last)
        across = np.flatnonzero(first != last)
        begin = (row - rows.start) * len(self.edges)  # one column more than there are cells
        size = (end - start).astype(np.float64)[within]
        to_first = (self.edges[first[across] + 1] - start[across]).astype(np.float64)
        in_last = (end[across] - self.edges[last[across]]).astype(np.float64)
        at_first, at_last = (begin + first)[across], (begin + last)[across]
        at_within = (begin + first)[within]
        for table, density in ((self.accessed, accessed), (self.monitored, monitored)):
            width = (rows.stop - rows.start) * len(self.edges)
            crossing = density[across]
            sums: Floats = np.bincount(at_within, density[within] * size, width).astype(np.float64)
            sums += np.bincount(at_first, crossing * to_first, width)
            sums += np.bincount(at_last, crossing * in_last, width)
            # In between, densities are added behind the first cell and taken away at the last, then summed up.
            entered: Floats = np.bincount(at_first + 1, crossing, width).astype(np.float64)
            left: Floats = np.bincount(at_last, crossing, width).astype(np.float64)
            between = self._by_row(entered - left).cumsum(axis=1)
            between[np.abs(between) < _ROUNDING * self._by_row(entered).sum(axis=1, keepdims=True)] = 0.0
            table[rows] += self._by_row(sums)[:, :-1] + between[:, :-1] * self._sizes

    def _cells(self, start: Addrs, end: Addrs) -> tuple[Rows, Rows]:
        """Look up the cells of the first and of the last byte of ranges."""
        first = np.searchsorted(self.edges, start, side="right") - 1
        # Most regions end where the next begins: no need to look that up again, which is what costs.
        seam = end[:-1] == start[1:]
        last = np.empty_like(first)
        last[:-1] = first[1:] - (self.edges[first[1:]] == start[1:])
        others = np.append(np.flatnonzero(~seam), len(end) - 1)
        last[others] = np.searchsorted(self.edges, end[others], side="left") - 1
        return first, last

    def _by_row(self, flat: Floats) -> Floats:
        return flat.reshape(-1, len(self.edges))


def time_edges(from_ns: int, to_ns: int, nr_times: int) -> Ints:
    """Divide a span into equal rows: their edges, one more than there are rows. Nanoseconds."""
    return np.linspace(0, to_ns - from_ns, nr_times + 1).astype(np.int64) + from_ns


def rows_of(windows: Windows, time_ns: Ints) -> tuple[Rows, Rows]:
    """Say for each window which rows between edges in time it lies in: the first, and the one behind the last."""
    first = np.searchsorted(time_ns, windows.start_ns, side="right") - 1
    behind = np.searchsorted(time_ns, windows.end_ns, side="left")
    return np.maximum(first, 0), np.minimum(behind, len(time_ns) - 1)


def recorded(windows: Windows, time_ns: Ints) -> Bools:
    """Say of each row between edges in time whether any window lies in it."""
    first, behind = rows_of(windows, time_ns)
    some = first < behind
    steps = np.bincount(first[some], minlength=len(time_ns)) - np.bincount(behind[some], minlength=len(time_ns))
    found: Bools = np.cumsum(steps)[:-1] > 0
    return found


def divided(part: Floats, whole: Floats) -> Floats:
    """Divide cell by cell; NaN where there is nothing to divide by."""
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result
