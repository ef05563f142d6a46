"""Aggregations added up to windows."""

from dataclasses import replace

import numpy as np

from damond.bench import virtual
from damond.bench.setting import Setting
from damond.bench.windows import Windows, added_up
from damond.core import Snapshot

PAGE = 4096


def snapshots(span_us: int) -> list[Snapshot]:
    """Watch a MiB of which the first half is touched in every sample."""
    found: list[Snapshot] = []
    track = {"size": 128 * PAGE, "probability": 1.0}
    primitive = virtual.memory({"size": 256 * PAGE, "tracks": [track]}, Setting.kernel(), 1)
    virtual.watch(primitive, Setting.kernel(), span_us, 1, found.append)
    return found


def test_counts_are_added_where_regions_overlap() -> None:
    """The share of samples with an access is that of all aggregations together, between any two edges."""
    first, second, *_ = snapshots(1_000_000)
    window = added_up([first, second])
    assert (window.start_us, window.end_us) == (virtual.begin_us(first), virtual.end_us(second))
    middle = (window.edges[:-1] + window.edges[1:]) // np.uint64(2)
    for at, share in zip(middle, window.share, strict=True):
        both = [_at(each, int(at)) for each in (first, second)]
        assert share == sum(both) / (first.max_nr_accesses + second.max_nr_accesses)


def _at(snapshot: Snapshot, address: int) -> int:
    (target,) = snapshot.targets
    return int(target.nr_accesses[(target.start <= address) & (address < target.start + target.size)].sum())


def test_a_window_is_at_least_so_long() -> None:
    """Ten aggregations of 100 ms are a window of a second; an unfinished one is none."""
    windows = Windows(1_000_000)
    found = [window for each in snapshots(2_050_000) for window in windows.add(each)]
    assert [each.end_us - each.start_us for each in found] == [1_000_000, 1_000_000]


def test_an_unfinished_aggregation_is_left_out() -> None:
    """It does not complete a window."""
    (*_, last) = snapshots(1_000_000)
    assert not list(Windows(1).add(replace(last, partial=True)))
