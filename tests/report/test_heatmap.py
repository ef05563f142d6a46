from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot
from damond.report import Accumulator, Heatmap

Make = Callable[..., Snapshot]


def _draw(snapshots: list[Snapshot], nr_times: int, nr_addrs: int, *, everything: bool = True) -> Heatmap:
    run = Accumulator()
    for each in snapshots:
        run.add(each)
    heatmap = run.heatmap(nr_times=nr_times, nr_addrs=nr_addrs, everything=everything)
    assert heatmap is not None
    return heatmap


def test_cells_are_weighted_by_overlap_in_space(snapshot_of: Make) -> None:
    """A cell that is a quarter hot is a quarter as hot, wherever the region began."""
    heatmap = _draw([snapshot_of([(0, 25, 20), (25, 100, 0), (100, 200, 10)])], 1, 2)
    assert heatmap.heat.tolist() == [[0.25, 0.5]]


def test_cells_are_weighted_by_overlap_in_time(snapshot_of: Make) -> None:
    """Three quarters of one window and a quarter of the next: neither the last nor the first one wins."""
    first, second = snapshot_of([(0, 100, 20)], 0, 75), snapshot_of([(0, 100, 0)], 75, 200)
    heatmap = _draw([first, second], 2, 1)
    assert heatmap.heat.ravel() == pytest.approx([0.75, 0.0])


def test_long_windows_weigh_more(snapshot_of: Make) -> None:
    """An average over time is one over time, not over windows."""
    heatmap = _draw([snapshot_of([(0, 100, 20)], 0, 10), snapshot_of([(0, 100, 0)], 10, 100)], 1, 1)
    assert heatmap.heat[0, 0] == pytest.approx(0.1)


def test_what_was_not_monitored_is_nan(snapshot_of: Make) -> None:
    """In space: a gap too narrow to fold. In time: memory that came later, and a pause. It is never drawn as cold."""
    early = snapshot_of([(0, 1000, 20), (1040, 2000, 20)], 0, 100)
    late = snapshot_of([(0, 1000, 20), (1040, 2000, 20), (2000, 4000, 20)], 300, 400)
    heat = _draw([early, late], 4, 100).heat
    assert np.isnan(heat[0]).tolist() == [column == 25 or column >= 50 for column in range(100)]
    assert np.isnan(heat[1:3]).all()
    assert np.flatnonzero(np.isnan(heat[3])).tolist() == [25]
    assert np.nanmin(heat) == pytest.approx(1.0)


def test_gaps_are_folded_and_labelled(snapshot_of: Make) -> None:
    """Three far areas: each has its columns, and the folds between them say how wide they are."""
    rows = [(0, 1000, 0), (50_000, 52_000, 20), (10**12, 10**12 + 1000, 0)]
    heatmap = _draw([snapshot_of(rows)], 1, 8)
    assert [(area.start, area.end, area.nr_cells) for area in heatmap.areas] == [
        (0, 1000, 2),
        (50_000, 52_000, 4),
        (10**12, 10**12 + 1000, 2),
    ]
    assert [fold.size for fold in heatmap.folds] == [0, 49_000, 10**12 - 52_000, 0]
    assert heatmap.heat.tolist() == [[0, 0, 1, 1, 1, 1, 0, 0]]


def test_by_default_the_hottest_is_drawn_large(snapshot_of: Make) -> None:
    """Cold memory around is counted in the folds, not drawn."""
    heatmap = _draw([snapshot_of([(0, 10_000, 0), (10_000, 10_800, 20), (10_800, 30_000, 0)])], 1, 10, everything=False)
    assert [(area.start, area.end) for area in heatmap.areas] == [(9900, 10_900)]
    assert heatmap.drawn_bytes == 1000
    assert heatmap.total_bytes == 30_000


@given(
    windows=st.lists(
        st.tuples(st.integers(1, 50), st.lists(st.integers(0, 20), min_size=1, max_size=6)), min_size=1, max_size=6
    ),
    nr_times=st.integers(1, 9),
    nr_addrs=st.integers(1, 9),
)
def test_no_access_is_invented_or_lost(
    snapshot_of: Make,
    windows: list[tuple[int, list[int]]],
    nr_times: int,
    nr_addrs: int,
) -> None:
    """Heat times time times bytes over all cells is what the snapshots held; no cell is hotter than the hottest."""
    snapshots, begin = [], 0
    for span, counts in windows:
        size = 720 // len(counts)
        rows = [(index * size, index * size + size, count) for index, count in enumerate(counts)]
        snapshots.append(snapshot_of([*rows[:-1], (rows[-1][0], 720, rows[-1][2])], begin, begin + span * 1000))
        begin += span * 1000
    heatmap = _draw(snapshots, nr_times, nr_addrs)
    spans = np.diff(heatmap.time_ns)[:, None]
    sizes = np.concatenate([np.diff(area.edges()) for area in heatmap.areas])
    held = sum(
        (each.end_ns - each.start_ns) * (each.targets[0].size * (each.targets[0].nr_accesses / 20)).sum()
        for each in snapshots
    )
    assert (heatmap.heat * spans * sizes).sum() == pytest.approx(held, rel=1e-3, abs=1)
    hottest = max(each.targets[0].nr_accesses.max() / 20 for each in snapshots)
    assert heatmap.heat.max() <= hottest + 1e-9


@pytest.mark.parametrize("nr_cells", [1, 7, 64])
def test_cells_of_many_pages_begin_at_pages(snapshot_of: Make, nr_cells: int) -> None:
    """Labels are addresses that a person finds in /proc/PID/maps."""
    (area,) = _draw([snapshot_of([(0x1000, 0x1000 + (1 << 26), 1)])], 1, nr_cells).areas
    assert not (area.edges() % 4096).any()
    assert (area.edges()[0], area.edges()[-1]) == (area.start, area.end)
