from collections.abc import Callable

import numpy as np
import pytest

from damond.core import Snapshot
from damond.report.series import MAX_WINDOWS, WorkingSets, means

Make = Callable[..., Snapshot]


def test_between(snapshot_of: Make) -> None:
    """Windows by their end, the begin of the span excluded."""
    sets = WorkingSets()
    for index in range(5):
        sets.add(snapshot_of([(0, 100 * (index + 1), 20), (1000, 2000, 0)], index * 10, index * 10 + 10))
    end_ns, accessed = sets.between(10, 40)
    assert (end_ns.tolist(), accessed.tolist()) == ([20, 30, 40], [200, 300, 400])


def test_the_oldest_are_forgotten(snapshot_of: Make) -> None:
    """There are never more than there is room for, and they stay in order."""
    sets, one = WorkingSets(), snapshot_of([(0, 100, 20)])
    object.__setattr__(one, "end_ns", 0)
    for index in range(MAX_WINDOWS + 10):
        object.__setattr__(one, "end_ns", index + 1)
        sets.add(one)
    end_ns, _ = sets.between(0, 10**9)
    assert len(sets) == MAX_WINDOWS
    assert end_ns.tolist() == list(range(11, MAX_WINDOWS + 11))


def test_time_set_back_begins_anew(snapshot_of: Make) -> None:
    """As the heat map beside it does."""
    sets = WorkingSets()
    for start in (1000, 2000, 5):
        sets.add(snapshot_of([(0, 100, 20)], start, start + 10))
    assert sets.between(0, 10**6)[0].tolist() == [15]


def test_means() -> None:
    """An average per column; the end of a window belongs to the column that it closes; none is NaN."""
    edges = np.array([0, 10, 20, 30], np.int64)
    found = means(np.array([5, 10, 11, 40], np.int64), np.array([100, 200, 50, 9], np.int64), edges)
    assert found.tolist()[:2] == pytest.approx([150, 50])
    assert np.isnan(found[2])
