from collections.abc import Callable

from damond.core import Snapshot
from damond.report import Accumulator

Make = Callable[..., Snapshot]


def test_targets_come_hottest_first(snapshot_of: Make) -> None:
    """The default target is the one with the most accesses; one without regions is none."""
    run = Accumulator()
    run.add(snapshot_of({7: [(0, 100, 1)], 8: [(0, 100, 20)], 9: []}))
    assert run.targets() == [8, 7]
    heatmap = run.heatmap(nr_times=1, nr_addrs=1)
    assert heatmap is not None
    assert (heatmap.target_id, heatmap.heat.tolist()) == (8, [[1.0]])


def test_targets_with_the_same_addresses_are_kept_apart(snapshot_of: Make) -> None:
    """Address spaces of two processes never mix."""
    run = Accumulator()
    run.add(snapshot_of({7: [(0, 100, 10)], 8: [(0, 100, 20)]}))
    heatmap = run.heatmap(7, nr_times=1, nr_addrs=1)
    assert heatmap is not None
    assert heatmap.heat.tolist() == [[0.5]]


def test_nothing_monitored_has_no_heat_map(snapshot_of: Make) -> None:
    """Neither an empty run nor an unknown target can be drawn."""
    run = Accumulator()
    assert run.heatmap() is None
    run.add(snapshot_of([(0, 100, 1)]))
    assert run.heatmap(99) is None
