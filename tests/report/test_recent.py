import itertools
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot
from damond.report.recent import JOINED, NR_LEVELS, SLICES_PER_LEVEL, Recent, peak_of

Make = Callable[..., Snapshot]

MANY: Final = 4000
"""Snapshots: enough for three levels."""


@pytest.fixture(scope="module")
def long_run(snapshot_of: Make) -> Recent:
    """A run of which every tenth snapshot is hot."""
    recent = Recent()
    for index in range(MANY):
        recent.add(snapshot_of([(0, 1000, 20 * (index % 10 == 0)), (5000, 6000, 0)], index * 100, index * 100 + 100))
    return recent


def test_what_is_older_is_coarser(long_run: Recent) -> None:
    """The newest slices are single snapshots, those before of four, of sixteen, ...; no time is lost or known twice."""
    slices = list(long_run)
    assert [each.nr_snapshots for each in slices[-SLICES_PER_LEVEL:]] == [1] * SLICES_PER_LEVEL
    assert slices[0].nr_snapshots == JOINED**2
    assert all(a.end_ns == b.start_ns for a, b in itertools.pairwise(slices))
    assert sum(each.nr_snapshots for each in slices) == MANY
    assert (long_run.start_ns, long_run.end_ns) == (0, MANY * 100)


def test_averages_survive_the_joining(long_run: Recent) -> None:
    """A tenth of the time was hot, in the coarse slices as in the fine ones."""
    accessed = sum(float(each.targets[1].accessed[0]) for each in long_run)
    assert accessed == pytest.approx(MANY * 100 / 10)


def test_it_stays_within_its_bounds(snapshot_of: Make) -> None:
    """However long the run, there are no more slices than the levels hold: what is oldest is forgotten."""
    recent = Recent()
    for index in range(20 * SLICES_PER_LEVEL):
        # No two can be joined, so every level fills up at the speed of the first.
        recent.add(snapshot_of([(0, 1000, 1)], index * 1000, index * 1000 + 100))
    assert len(list(recent)) <= NR_LEVELS * (SLICES_PER_LEVEL + JOINED)
    assert recent.start_ns > 0


def test_nothing_is_joined_over_a_gap(snapshot_of: Make) -> None:
    """Time in which nothing was seen (a pause, a loss) stays a gap however old it becomes."""
    recent = Recent()
    starts = [index * 100 + (50_000 if index > 100 else 0) for index in range(1000)]
    for start in starts:
        recent.add(snapshot_of([(0, 1000, 1)], start, start + 100))
    slices = list(recent)
    gaps = [(a.end_ns, b.start_ns) for a, b in itertools.pairwise(slices) if a.end_ns != b.start_ns]
    assert gaps == [(10_100, 60_100)]


def test_time_set_back_begins_anew(snapshot_of: Make) -> None:
    """When it was can't be told any more for what was before, so it is forgotten."""
    recent = Recent()
    for start in (1_000_000, 1_000_100, 500):
        recent.add(snapshot_of([(0, 1000, 1)], start, start + 100))
    assert [(each.start_ns, each.end_ns) for each in recent] == [(500, 600)]


@given(heats=st.lists(st.integers(0, 20), min_size=1, max_size=40))
def test_the_peak_is_that_of_any_window(snapshot_of: Make, heats: list[int]) -> None:
    """The greatest heat of each address, whatever came before or after; memory without access is in it, too."""
    recent = Recent()
    for index, heat in enumerate(heats):
        recent.add(snapshot_of([(0, 1000, heat), (5000, 6000, 0)], index * 100, index * 100 + 100))
    peak = peak_of(list(recent), 1)
    assert (peak.start.tolist(), peak.end.tolist()) == ([0, 5000], [1000, 6000])
    assert peak.heat.tolist() == [max(heats) / 20, 0.0]
    assert len(peak_of(list(recent), 2)) == 0
