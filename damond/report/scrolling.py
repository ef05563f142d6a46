"""A heat map that scrolls as snapshots come: every column is computed once, and rows stay where they are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import AddrRange
from damond.report.areas import MAX_AREAS, hot_places, hottest, most_accessed, whole
from damond.report.heatmap import Area, Heatmap, assemble, cells, place
from damond.report.profile import EMPTY, Floats, Profile
from damond.report.recent import Recent, peak_of

NO_DATA: Final = -1.0
"""In place of heat: no snapshot covers this time. Memory that was not monitored is NaN, as in any heat map."""

FIT_EVERY_NS: Final = 3_000_000_000
"""Least time between two looks whether the addresses that are drawn are still the right ones: rows that jump can't be
read. Nanoseconds of the run."""

_FIT_TIME_SHARE: Final = 0.03
"""That look takes 10 to 100 ms of CPU; it is made less often, to keep this share of time."""

_LOOSE: Final = 2
"""Areas of up to twice the size that would do are kept."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What of a target is drawn, and how large cells are.

    Attributes:
        target_id: The target.
        nr_addrs: Rows on a screen, addresses; there are as many as there are areas at least.
        column_ns: Time of one column. Columns begin at multiples of it. Nanoseconds.
        max_areas: Areas to draw at most: those with the most accesses.
        everything: Draw all that was monitored instead of the hottest.
        zoom: Draw these addresses only.
    """

    target_id: int
    nr_addrs: int
    column_ns: int
    max_areas: int = MAX_AREAS
    everything: bool = False
    zoom: AddrRange | None = None


class Scrolling:
    """Draws the end of a run again and again.

    Args:
        recent: The run, as far as it is known.
    """

    def __init__(self, recent: Recent) -> None:
        self._recent = recent
        self._grid: Grid | None = None
        self._peak: Profile = EMPTY
        self._areas: tuple[Area, ...] = ()
        self._columns: dict[int, Floats] = {}
        self._fit_due_ns = 0
        self._fit_due_s = 0.0

    def draw(self, grid: Grid, nr_times: int, end_ns: int) -> Heatmap | None:
        """Draw so many columns up to a time.

        Args:
            grid: What is drawn.
            nr_times: Columns on a screen.
            end_ns: It lies in the last column. Unix time, nanoseconds.

        Returns:
            The heat map, cells before and between snapshots being ``NO_DATA``; None if nothing of the target is known.
        """
        last = -(-end_ns // grid.column_ns)
        first = last - nr_times
        self._fit(grid, first * grid.column_ns, end_ns)
        if not self._areas:
            return None
        heat = np.array(self._rows(grid, first, last))
        time_ns = np.arange(first, last + 1, dtype=np.int64) * grid.column_ns
        return assemble(grid.target_id, heat, time_ns, self._areas, self._peak)

    def _fit(self, grid: Grid, start_ns: int, end_ns: int) -> None:
        """Choose addresses, if others are asked for, or at times."""
        is_new = grid != self._grid
        if not is_new and (self._fit_due_s > time.monotonic() or self._fit_due_ns > end_ns >= start_ns):
            return
        began_s = time.monotonic()
        self._peak = peak_of(self._recent.between(start_ns, end_ns), grid.target_id)
        wanted = _ranges(self._peak, grid)
        if is_new or not _fits(self._areas, wanted, _ranges(self._peak, grid, hot_places)):
            self._areas = place(wanted, grid.nr_addrs) if wanted else ()
            self._columns.clear()
        self._grid = grid
        self._fit_due_ns = end_ns + max(FIT_EVERY_NS, grid.column_ns)
        self._fit_due_s = began_s + (time.monotonic() - began_s) / _FIT_TIME_SHARE

    def _rows(self, grid: Grid, first: int, last: int) -> list[Floats]:
        self._columns = {number: row for number, row in self._columns.items() if first <= number < last}
        missing = [number for number in range(first, last) if number not in self._columns]
        found: dict[int, Floats] = {}
        if missing:
            time_ns = np.arange(missing[0], missing[-1] + 2, dtype=np.int64) * grid.column_ns
            found = dict(enumerate(self._compute(grid.target_id, time_ns), missing[0]))
        done = {number: row for number, row in found.items() if (number + 1) * grid.column_ns <= self._recent.end_ns}
        self._columns |= done
        return [self._columns[number] if number in self._columns else found[number] for number in range(first, last)]

    def _compute(self, target_id: int, time_ns: NDArray[np.int64]) -> Floats:
        slices = self._recent.between(int(time_ns[0]), int(time_ns[-1]))
        heat = np.full((len(time_ns) - 1, sum(area.nr_cells for area in self._areas)), NO_DATA)
        if not slices:
            return heat
        start = np.array([each.start_ns for each in slices], np.int64)
        end = np.array([each.end_ns for each in slices], np.int64)
        covered = np.any((start < time_ns[1:, None]) & (end > time_ns[:-1, None]), axis=1)
        heat[covered] = cells(slices, target_id, self._areas, time_ns)[covered]
        return heat


def _ranges(peak: Profile, grid: Grid, where: Callable[[Profile], list[AddrRange]] = hottest) -> list[AddrRange]:
    if grid.zoom is not None and len(within := _clip(peak, grid.zoom)):
        return most_accessed(peak, whole(within), grid.max_areas)
    return most_accessed(peak, whole(peak) if grid.everything else where(peak), grid.max_areas)


def _clip(profile: Profile, wanted: AddrRange) -> Profile:
    """Leave what lies in a range."""
    some = (profile.start < wanted.end) & (profile.end > wanted.start)
    return Profile(
        np.maximum(profile.start[some], np.uint64(wanted.start)),
        np.minimum(profile.end[some], np.uint64(wanted.end)),
        profile.accessed[some],
        profile.weight[some],
    )


def _fits(areas: Sequence[Area], wanted: Sequence[AddrRange], needed: Sequence[AddrRange]) -> bool:
    """Say whether the areas hold what is needed, and are not much larger than what is wanted, margins included."""
    held = all(any(area.start <= each.start and each.end <= area.end for area in areas) for each in needed)
    return held and sum(area.size for area in areas) <= _LOOSE * sum(each.size for each in wanted)
