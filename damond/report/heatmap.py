"""Time x address: how hot was which memory when."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import AddrRange
from damond.core.regions import align_down
from damond.report.areas import Fold, distribute, folds, hottest, monitored_in, whole
from damond.report.history import Slice
from damond.report.profile import EMPTY, Floats, Profile
from damond.units import PAGE_SIZE

_ALIGNED_CELL: Final = 16 * PAGE_SIZE
"""Cells of this size or more begin at a page; what that costs in evenness can't be seen."""


@dataclass(frozen=True, slots=True)
class Area:
    """Neighbouring columns of the matrix that are one stretch of addresses.

    Attributes:
        start: First address. Bytes.
        end: First address behind it. Bytes.
        first: Its first column.
        nr_cells: Its columns.
    """

    start: int
    end: int
    first: int
    nr_cells: int

    @property
    def size(self) -> int:
        """Bytes of the stretch."""
        return self.end - self.start

    def edges(self) -> NDArray[np.uint64]:
        """Return the addresses between which the columns lie: one more than there are columns."""
        return np.array([self.cell_start(cell) for cell in range(self.nr_cells + 1)], np.uint64)

    def cell_start(self, cell: int) -> int:
        """Return the first address of a column, counted from the area's first."""
        start = self.start + self.size * cell // self.nr_cells
        aligned = self.size >= self.nr_cells * _ALIGNED_CELL and 0 < cell < self.nr_cells
        return align_down(start, PAGE_SIZE) if aligned else start


@dataclass(frozen=True, slots=True, eq=False)
class Heatmap:
    """Heat of one target over time (rows) and addresses (columns).

    Attributes:
        target_id: The target.
        heat: Share of samples that found an access, 0 to 1; weighted by the overlap of each cell with what was
            monitored, in time and in space. NaN where nothing was monitored.
        time_ns: Unix time of the edges between rows: one more than there are rows. Nanoseconds.
        areas: What the columns are, by address.
        folds: What is left out before each area and behind the last.
        drawn_bytes: How much memory the areas are, gaps within them not counted. Bytes.
    """

    target_id: int
    heat: Floats
    time_ns: NDArray[np.int64]
    areas: tuple[Area, ...]
    folds: tuple[Fold, ...]
    drawn_bytes: int

    @property
    def total_bytes(self) -> int:
        """Memory that was monitored, drawn or not. Bytes."""
        return self.drawn_bytes + sum(fold.monitored for fold in self.folds)


def rasterise(
    slices: Sequence[Slice],
    peak: Profile,
    target_id: int,
    *,
    nr_times: int,
    nr_addrs: int,
    everything: bool = False,
) -> Heatmap:
    """Draw one target.

    Args:
        slices: The run.
        peak: The greatest heat of each address: decides which are drawn.
        target_id: The target.
        nr_times: Rows, time.
        nr_addrs: Columns, addresses; there are as many as there are areas at least.
        everything: Draw all that was monitored instead of the hottest.
    """
    ranges = whole(peak) if everything else hottest(peak)
    time_ns = np.linspace(0, slices[-1].end_ns - slices[0].start_ns, nr_times + 1).astype(np.int64)
    time_ns += slices[0].start_ns
    areas = place(ranges, nr_addrs)
    return assemble(target_id, cells(slices, target_id, areas, time_ns), time_ns, areas, peak)


def cells(slices: Sequence[Slice], target_id: int, areas: Sequence[Area], time_ns: NDArray[np.int64]) -> Floats:
    """Compute the matrix of a :class:`Heatmap`: a row between each two neighbouring times, a column for each cell."""
    share = _shares(slices, time_ns)
    accessed = np.zeros((len(slices), sum(area.nr_cells for area in areas)))
    weight = np.zeros_like(accessed)
    for area in areas:
        columns = slice(area.first, area.first + area.nr_cells)
        for row, each in enumerate(slices):
            accessed[row, columns], weight[row, columns] = each.targets.get(target_id, EMPTY).integrate(area.edges())
    monitored = share @ weight
    heat: Floats = np.full(monitored.shape, np.nan)
    np.divide(share @ accessed, monitored, out=heat, where=monitored > 0)
    return np.minimum(heat, 1.0, out=heat)


def assemble(
    target_id: int, heat: Floats, time_ns: NDArray[np.int64], areas: tuple[Area, ...], peak: Profile
) -> Heatmap:
    """Put a heat map together; the peak says what was monitored besides what is drawn."""
    drawn_bytes = round(sum(monitored_in(peak, each.start, each.end) for each in areas))
    ranges = [AddrRange(each.start, each.end) for each in areas]
    return Heatmap(target_id, heat, time_ns, areas, folds(peak, ranges), drawn_bytes)


def place(ranges: Sequence[AddrRange], nr_addrs: int) -> tuple[Area, ...]:
    """Share the columns of a matrix out by size, at least one for each range."""
    areas, first = [], 0
    for each, nr_cells in zip(ranges, distribute(nr_addrs, [each.size for each in ranges]), strict=True):
        areas.append(Area(each.start, each.end, first, nr_cells))
        first += nr_cells
    return tuple(areas)


def _shares(slices: Sequence[Slice], time_ns: NDArray[np.int64]) -> Floats:
    """For each row of the matrix: which share of every slice lies in it."""
    start = np.array([each.start_ns for each in slices])
    end = np.array([each.end_ns for each in slices])
    overlap = np.minimum(time_ns[1:, None], end) - np.maximum(time_ns[:-1, None], start)
    share: Floats = np.maximum(overlap, 0) / (end - start)
    return share
