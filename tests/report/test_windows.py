from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Origin, Snapshot
from damond.core.mappings import Mappings, MapsOverTime, cut
from damond.record import Block
from damond.report.windows import Windows

Make = Callable[..., Snapshot]
REGIONS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.integers(0, 20)), min_size=1, max_size=6)


def spread(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Make disjoint regions of gaps, sizes and accesses."""
    found, at = [], 0
    for gap, size, hits in rows:
        found.append((at + gap, at + gap + size, hits))
        at += gap + size
    return found


@given(st.lists(REGIONS, min_size=1, max_size=4), REGIONS)
def test_cutting_many_is_cutting_each(
    snapshot_of: Make, rows: list[list[tuple[int, int, int]]], mapped: list[tuple[int, int, int]]
) -> None:
    """Windows in columns, cut to what is mapped, are the same as snapshots cut one by one."""
    mappings = Mappings.of((start, end, "x") for start, end, _ in spread(mapped))
    snapshots = [snapshot_of(spread(each), 100 * row, 100 * row + 100) for row, each in enumerate(rows)]
    found = Windows.of(Block.of(snapshots)).cut(MapsOverTime({1: [(0, mappings)]})).targets[1]
    for row, snapshot in enumerate(snapshots):
        (expected,) = cut(snapshot, {1: mappings}).targets
        mine = found.take(found.window == row)
        assert mine.start.tolist() == expected.start.tolist()
        assert (mine.end - mine.start).tolist() == expected.size.tolist()
        assert mine.nr_accesses.tolist() == expected.nr_accesses.tolist()


def test_mappings_hold_from_their_time_on(snapshot_of: Make) -> None:
    """A window is cut to what was mapped at its end; before the first look, to what that look found."""
    early, late = (Mappings.of([(start, start + 10, "x")]) for start in (0, 50))
    maps = MapsOverTime({1: [(150, early), (300, late)]})
    snapshots = [snapshot_of([(0, 100, 1)], at, at + 100) for at in (0, 100, 200, 300)]
    regions = Windows.of(Block.of(snapshots)).cut(maps).targets[1]
    assert regions.start.tolist() == [0, 0, 50, 50]
    assert regions.window.tolist() == [0, 1, 2, 3]


def test_targets_are_told_apart(snapshot_of: Make) -> None:
    """Targets come and go; each has its own regions, in the order of windows."""
    snapshots = [
        snapshot_of({1: [(0, 10, 1)], 2: [(0, 10, 2), (10, 20, 3)]}, 0, 100),
        snapshot_of({2: [(5, 10, 4)]}, 100, 200),
        snapshot_of({1: [(7, 8, 5)], 3: [(0, 1, 6)]}, 200, 300),
    ]
    targets = Windows.of(Block.of(snapshots)).targets
    assert {each: regions.nr_accesses.tolist() for each, regions in targets.items()} == {
        1: [1, 5],
        2: [2, 3, 4],
        3: [6],
    }
    assert targets[2].window.tolist() == [0, 0, 1]


def test_a_window_without_samples_is_none(snapshot_of: Make) -> None:
    """A share of no samples is no share; it is counted, and left out."""
    good = snapshot_of([(0, 10, 5)], 0, 100)
    empty = replace(snapshot_of([(0, 10, 0)], 100, 120), max_nr_accesses=0, partial=True)
    windows = Windows.of(Block.of([good, empty]))
    assert (len(windows), windows.nr_empty) == (1, 1)
    assert windows.targets[1].heat.tolist() == [0.25]


def test_the_time_between_two_windows_is_no_gap(snapshot_of: Make) -> None:
    """A few milliseconds are what it took to sum up; half a window is a gap."""
    snapshots = [snapshot_of([(0, 10, 5)], *span) for span in ((0, 100), (103, 203), (260, 360))]
    windows = Windows.of(Block.of(snapshots)).joined_to(None)
    assert windows.start_ns.tolist() == [0, 100, 260]


def test_windows_after_a_start_adapt(snapshot_of: Make) -> None:
    """Regions double in number with each window: 10 to 80 takes three, after each start of the worker."""
    snapshots = [
        replace(
            snapshot_of([(0, 10, 5)], row * 100, row * 100 + 100, nr_regions=(10, 80)),
            origin=Origin(host="box", epoch=1 + row // 5, seq=row % 5),
        )
        for row in range(10)
    ]
    windows = Windows.of(Block.of(snapshots))
    assert windows.adapting.tolist() == [True, True, True, False, False] * 2
    settled = windows.take(~windows.adapting)
    assert settled.targets[1].window.tolist() == [0, 1, 2, 3]
    assert np.array_equal(settled.start_ns, windows.start_ns[[3, 4, 8, 9]])
