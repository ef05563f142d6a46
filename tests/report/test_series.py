from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from damond.core import Snapshot
from damond.report.series import MAX_WINDOWS, Windows, WorkingSets

Make = Callable[..., Snapshot]


def test_between(snapshot_of: Make) -> None:
    """Windows by their end, the begin of the span excluded."""
    sets = WorkingSets()
    for index in range(5):
        sets.add(snapshot_of([(0, 100 * (index + 1), 20), (1000, 2000, 0)], index * 10, index * 10 + 10))
    found = sets.between(10, 40)
    assert found.start_ns.tolist() == [10, 20, 30]
    assert found.end_ns.tolist() == [20, 30, 40]
    assert found.accessed.tolist() == [200, 300, 400]


def test_the_oldest_are_forgotten(snapshot_of: Make) -> None:
    """There are never more than there is room for, and they stay in order."""
    sets, one = WorkingSets(), snapshot_of([(0, 100, 20)])
    for index in range(MAX_WINDOWS + 10):
        sets.add(replace(one, start_ns=index, end_ns=index + 1))
    assert len(sets) == MAX_WINDOWS
    assert sets.between(0, 10**9).end_ns.tolist() == list(range(11, MAX_WINDOWS + 11))


def test_time_set_back_begins_anew(snapshot_of: Make) -> None:
    """As the heat map beside it does."""
    sets = WorkingSets()
    for start in (1000, 2000, 5):
        sets.add(snapshot_of([(0, 100, 20)], start, start + 10))
    assert sets.between(0, 10**6).end_ns.tolist() == [15]


def test_means_are_over_time() -> None:
    """A window counts by its time in each column, as in the heat map; time without a window is NaN, not 0."""
    windows = Windows(np.array([5, 10, 40]), np.array([10, 25, 45]), np.array([100, 200, 900]))
    found = windows.means(np.array([0, 10, 20, 30, 40, 50]))
    assert found[[0, 1, 2, 4]].tolist() == pytest.approx([100, 200, 200, 900])
    assert np.isnan(found[3])
    both = windows.means(np.array([0, 20]))
    assert both.tolist() == pytest.approx([(5 * 100 + 10 * 200) / 15])


def test_no_windows() -> None:
    """Nothing is known of any time."""
    nothing = np.zeros(0, np.int64)
    assert np.isnan(Windows(nothing, nothing, nothing).means(np.array([0, 1, 2]))).all()
