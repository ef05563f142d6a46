from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from damond.core import AddrRange, Snapshot
from damond.report.heatmap import Heatmap
from damond.report.recent import Recent
from damond.report.scrolling import FIT_EVERY_NS, NO_DATA, Grid, Scrolling

Make = Callable[..., Snapshot]

WINDOW_NS = 100_000_000
ALL = Grid(1, nr_addrs=10, column_ns=2 * WINDOW_NS, everything=True)


class Run:
    """Snapshots of 1000 bytes, one after the other, and their picture."""

    def __init__(self, snapshot_of: Make) -> None:
        self.recent = Recent()
        self.scrolling = Scrolling(self.recent)
        self._make = snapshot_of
        self.now_ns = 0

    def add(self, hot_start: int, hot_end: int, count: int = 1, end: int = 1000) -> None:
        regions = [(0, hot_start, 0), (hot_start, hot_end, 20), (hot_end, end, 0)]
        for _ in range(count):
            rows = [each for each in regions if each[0] < each[1]]
            self.recent.add(self._make(rows, self.now_ns, self.now_ns + WINDOW_NS))
            self.now_ns += WINDOW_NS

    def draw(self, grid: Grid = ALL, nr_times: int = 5) -> Heatmap:
        found = self.scrolling.draw(grid, nr_times, self.recent.end_ns)
        assert found is not None
        return found


@pytest.fixture
def run(snapshot_of: Make) -> Run:
    return Run(snapshot_of)


def test_the_newest_is_in_the_last_column(run: Run) -> None:
    """Time before the first snapshot is no data; columns begin at multiples of their time, so they don't swim."""
    run.add(0, 500, 3)
    heatmap = run.draw()
    assert heatmap.heat[:3].tolist() == [[NO_DATA] * 10] * 3
    assert heatmap.heat[3:].tolist() == [[1.0] * 5 + [0.0] * 5] * 2
    assert heatmap.time_ns.tolist() == [number * 2 * WINDOW_NS for number in range(-3, 3)]


def test_what_is_hot_moves_and_what_was_scrolls(run: Run) -> None:
    """Columns whose time is over stay as they were, one place further left for each that is new."""
    run.add(0, 500, 4)
    before = run.draw()
    run.add(500, 1000, 2)
    after = run.draw()
    assert after.heat[:-1].tolist() == before.heat[1:].tolist()
    assert after.heat[-1].tolist() == [0.0] * 5 + [1.0] * 5


def test_the_last_column_is_drawn_anew(run: Run) -> None:
    """While its time is not over it is an average of what has come of it."""
    run.add(0, 1000, 1)
    assert run.draw().heat[-1].tolist() == [1.0] * 10
    run.add(0, 0, 1)
    assert run.draw().heat[-1].tolist() == [0.5] * 10


def test_a_gap_in_time_is_no_data(run: Run) -> None:
    """A pause is neither cold nor not monitored."""
    run.add(0, 500, 2)
    run.now_ns += 4 * WINDOW_NS
    run.add(0, 500, 2)
    assert (run.draw().heat == NO_DATA).all(axis=1).tolist() == [True, False, True, True, False]


def test_memory_that_was_not_monitored_is_nan(run: Run) -> None:
    """As in any heat map: memory that came later was not cold before."""
    run.add(0, 500, 2)
    run.add(0, 500, 2, end=2000)
    heat = run.draw().heat
    assert np.isnan(heat[-2]).tolist() == [False] * 5 + [True] * 5
    assert not np.isnan(heat[-1]).any()


def test_rows_stay_while_they_will_do(run: Run) -> None:
    """The hottest addresses are chosen at times only, and kept while what is hot lies in them."""
    grid = replace(ALL, everything=False)
    run.add(400, 600, 10)
    first = run.draw(grid).areas
    run.add(390, 590, int(FIT_EVERY_NS / WINDOW_NS) + 1)
    run.scrolling._fit_due_s = 0.0  # what the last look took on this machine says nothing here
    assert run.draw(grid).areas == first


def test_rows_follow_what_is_hot(run: Run) -> None:
    """Hot memory outside of what is drawn comes into the picture as soon as the time to look has passed."""
    grid = replace(ALL, everything=False)
    run.add(0, 100, 10)
    assert run.draw(grid).areas[-1].end < 500
    run.add(800, 900, 10)
    run.scrolling._fit_due_s = 0.0  # what the last look took on this machine says nothing here
    assert run.draw(grid).areas[-1].end < 500
    run.add(800, 900, int(FIT_EVERY_NS / WINDOW_NS))
    run.scrolling._fit_due_s = 0.0
    areas = run.draw(grid).areas
    assert areas[-1].start <= 800
    assert areas[-1].end >= 900


def test_zoom(run: Run) -> None:
    """Only these addresses are drawn, with all cells; the rest is folded."""
    run.add(0, 500, 4)
    heatmap = run.draw(replace(ALL, zoom=AddrRange(450, 550)))
    assert [(area.start, area.end) for area in heatmap.areas] == [(450, 550)]
    assert heatmap.heat[-1].tolist() == [1.0] * 5 + [0.0] * 5
    assert [fold.monitored for fold in heatmap.folds] == [450, 450]


def test_no_more_areas_than_there_is_room_for(snapshot_of: Make) -> None:
    """Those with the most accesses are drawn; of the others it is said how much they are."""
    recent = Recent()
    far = 10**9
    recent.add(snapshot_of([(far * at, far * at + 1000, heat) for at, heat in enumerate((5, 20, 1, 15))], 0, WINDOW_NS))
    heatmap = Scrolling(recent).draw(replace(ALL, max_areas=2), 1, recent.end_ns)
    assert heatmap is not None
    assert [area.start // far for area in heatmap.areas] == [1, 3]
    assert sum(fold.monitored for fold in heatmap.folds) == 2000


def test_nothing_known_is_no_picture(run: Run) -> None:
    """Neither before the first snapshot nor of a target that was never seen."""
    assert run.scrolling.draw(ALL, 5, 1) is None
    run.add(0, 500)
    assert run.scrolling.draw(replace(ALL, target_id=2), 5, run.now_ns) is None
