from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot
from damond.report.history import MAX_PIECES, History

Make = Callable[..., Snapshot]


def _monitored_ns(history: History) -> float:
    profiles = [profile for each in history.slices for profile in each.targets.values()]
    return float(sum((profile.weight * profile.size).sum() for profile in profiles))


@given(nr_snapshots=st.integers(1, 200), half=st.integers(1, 8))
def test_a_long_run_is_coarser_in_time_and_loses_nothing(snapshot_of: Make, nr_snapshots: int, half: int) -> None:
    """The number of slices stays below its bound; monitored time, accesses and the span are all still there."""
    history = History(max_slices=2 * half)
    for index in range(nr_snapshots):
        history.add(snapshot_of([(0, 1000, index % 21), (5000, 6000, 0)], index * 100, index * 100 + 100))
    assert 1 <= len(history.slices) < 2 * half
    assert sum(each.nr_snapshots for each in history.slices) == nr_snapshots
    assert _monitored_ns(history) == pytest.approx(nr_snapshots * 100 * 2000)
    assert (history.slices[0].start_ns, history.slices[-1].end_ns) == (0, nr_snapshots * 100)
    assert all(a.end_ns == b.start_ns for a, b in zip(history.slices, history.slices[1:], strict=False))


def test_slices_double_when_all_are_used(snapshot_of: Make) -> None:
    """Five snapshots in four slices: the first four became two, the fifth begins a third of two."""
    history = History(max_slices=4)
    for index in range(5):
        history.add(snapshot_of([(0, 1000, 10)], index * 100, index * 100 + 100))
    assert [each.nr_snapshots for each in history.slices] == [2, 2, 1]
    assert history.snapshots_per_slice == 2


def test_time_set_back_does_not_turn_the_axis(snapshot_of: Make) -> None:
    """After Unix time was set back, a snapshot follows the one before, as long as it was."""
    history = History()
    history.add(snapshot_of([(0, 1000, 10)], 10_000, 10_100))
    history.add(snapshot_of([(0, 1000, 10)], 5_000, 5_200))
    assert [(each.start_ns, each.end_ns) for each in history.slices] == [(10_000, 10_100), (10_100, 10_300)]


def test_pieces_are_bounded_over_all_targets(snapshot_of: Make) -> None:
    """Many regions in many targets fit into the pieces of one slice."""
    rows = [(index * 10, index * 10 + 10, index % 21) for index in range(700)]
    history = History()
    history.add(snapshot_of(dict.fromkeys(range(4), rows)))
    assert sum(map(len, history.slices[0].targets.values())) <= MAX_PIECES
