from collections.abc import Callable

import pytest

from damond.core import Snapshot
from damond.report import touched
from damond.report.touched import TouchedCounter, adaptation_windows

Make = Callable[..., Snapshot]


def _count(*snapshots: Snapshot) -> TouchedCounter:
    counter = TouchedCounter()
    for each in snapshots:
        counter.add(each)
    return counter


def test_the_union_of_a_moving_hot_area(snapshot_of: Make) -> None:
    """What was hot at any time counts once, whatever the order, against all that was monitored."""
    windows = [[(0, 100, 20), (100, 400, 0)], [(0, 50, 0), (50, 150, 20), (150, 400, 0)], [(0, 400, 0)]]
    found = _count(*(snapshot_of(rows, i * 100, i * 100 + 100) for i, rows in enumerate(windows))).touched()
    assert (found.least_bytes, found.most_bytes, found.total_bytes) == (150, 150, 400)
    assert (found.median_bytes, found.p75_bytes, found.max_bytes) == (100, 100, 100)
    assert (found.nr_windows, found.span_ns) == (3, 300)


def test_a_region_hit_once_counts_at_most(snapshot_of: Make) -> None:
    """One hit of 20 may be one page or all of them: surely touched is nothing, at most all."""
    found = _count(snapshot_of([(0, 100, 1), (100, 200, 20), (200, 400, 0)])).touched()
    assert (found.least_bytes, found.most_bytes) == (100, 200)


def test_while_regions_adapt_only_what_is_sure_counts(snapshot_of: Make) -> None:
    """A coarse region hit once in the first windows does not make its memory touched; a hot one stays touched."""
    early = snapshot_of([(0, 1000, 1), (1000, 1100, 20)], 0, 100, nr_regions=(10, 40))
    later = snapshot_of([(0, 10, 2), (10, 1100, 0)], 200, 300, nr_regions=(10, 40))
    assert adaptation_windows(early) == 2
    found = _count(early, early, later).touched()
    assert (found.least_bytes, found.most_bytes) == (100, 110)
    assert (found.max_bytes, found.nr_windows, found.nr_adapting) == (10, 1, 2)


def test_a_run_that_ended_while_adapting_still_says_something(snapshot_of: Make) -> None:
    """Of a very short run the coarse windows are all there is: what they found counts at most."""
    found = _count(snapshot_of([(0, 1000, 1), (1000, 1100, 20)], nr_regions=(10, 1000))).touched()
    assert (found.max_bytes, found.nr_windows, found.nr_adapting) == (1100, 1, 0)
    assert (found.least_bytes, found.most_bytes) == (100, 1100)


def test_percentiles_of_a_long_run_are_kept_in_bounded_memory(
    snapshot_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every so many windows are kept when there are more than can be; the greatest is never lost."""
    monkeypatch.setattr(touched, "_MAX_WINDOWS", 16)
    windows = [snapshot_of([(0, 1 + index % 100, 20)], index, index + 1) for index in range(1000)]
    counter = _count(*windows)
    found = counter.touched()
    assert len(counter._windows) < 16
    assert found.nr_windows == 1000
    assert found.max_bytes == 100
    assert 25 <= found.median_bytes <= 75


def test_boundaries_that_came_and_went_cost_nothing(snapshot_of: Make) -> None:
    """The peak has pieces where it differs, not where regions once were split."""
    counter = _count(*(snapshot_of([(0, at, 20), (at, 1000, 20)]) for at in range(1, 500)))
    assert len(counter.peaks[1]) == 1


@pytest.mark.parametrize("rss", [None, 5000], ids=["no RSS given", "RSS given"])
def test_rss_is_handed_on(snapshot_of: Make, rss: int | None) -> None:
    """The caller's RSS comes with the result."""
    assert _count(snapshot_of([(0, 10, 1)])).touched(rss).rss_bytes == rss


def test_nothing_counted_is_nothing_touched() -> None:
    """Without a window all numbers are zero."""
    found = TouchedCounter().touched()
    assert (found.nr_windows, found.total_bytes, found.most_bytes, found.max_bytes) == (0, 0, 0, 0)
