from collections.abc import Callable
from dataclasses import replace

import numpy as np

from damond.core import Snapshot, summarize
from damond.report.idle import idle_times

Make = Callable[..., Snapshot]


def _aged(snapshot_of: Make, rows: list[tuple[int, int, int, int]]) -> Snapshot:
    """Make a snapshot of start, end, nr_accesses, age."""
    found = snapshot_of([row[:3] for row in rows])
    age = np.array([row[3] for row in rows], np.uint32)
    return replace(found, targets=tuple(replace(each, age=age) for each in found.targets))


def test_bytes_by_idle_time(snapshot_of: Make) -> None:
    """Accessed is not idle whatever its age; n aggregations of 100 ms are n + 1 tenths of a second; no byte is lost."""
    rows = [(0, 100, 3, 500), (100, 300, 0, 8), (300, 600, 0, 9), (600, 1000, 0, 99), (1000, 2000, 0, 10**6)]
    found = idle_times(_aged(snapshot_of, rows), (1, 10, 100))
    assert (found.accessed, list(found.buckets)) == (100, [200, 300, 400, 1000])
    assert found.total == 2000


def test_it_agrees_with_the_summary(snapshot_of: Make) -> None:
    """The bound above which half of the bytes lie is the median of DAMON_STAT's percentiles."""
    snapshot = _aged(snapshot_of, [(0, 400, 0, 4), (400, 1000, 0, 29)])
    assert summarize(snapshot).idle_ms[50] == 3000
    assert list(idle_times(snapshot, (2.9, 3.1)).buckets) == [400, 600, 0]


def test_nothing_monitored(snapshot_of: Make) -> None:
    """No targets are no bytes."""
    assert idle_times(replace(snapshot_of([(0, 1, 0)]), targets=())).total == 0
