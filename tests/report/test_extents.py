from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot
from damond.record import Block
from damond.report.extents import Extents, TouchedSet, both, common, union
from damond.report.windows import Windows

RANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda each: (each[0], sum(each))), max_size=12)


def addresses(extents: Extents) -> set[int]:
    rows = zip(extents.start.tolist(), extents.end.tolist(), strict=True)
    return {each for start, end in rows for each in range(start, end)}


def union_of(ranges: list[tuple[int, int]]) -> Extents:
    start, end = (np.array([each[i] for each in ranges], np.uint64) for i in range(2))
    return union(start, end)


@given(RANGES)
def test_a_union_has_each_address_once(ranges: list[tuple[int, int]]) -> None:
    """Ranges in any order, overlapping or not: the same addresses, sorted, with gaps between."""
    found = union_of(ranges)
    assert addresses(found) == {each for start, end in ranges for each in range(start, end)}
    assert found.nr_bytes == len(addresses(found))
    assert (found.start[1:] > found.end[:-1]).all()


@given(RANGES, RANGES)
def test_two_sets(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    """Union and intersection of sets of addresses are those of their addresses."""
    one, other = union_of(left), union_of(right)
    assert addresses(both(one, other)) == addresses(one) | addresses(other)
    assert addresses(common(one, other)) == addresses(one) & addresses(other)


def test_targets_do_not_share_addresses(snapshot_of: Callable[..., Snapshot]) -> None:
    """The same address in two processes is two pieces of memory; the same in two windows is one."""
    windows = Windows.of(
        Block.of(
            [
                snapshot_of({1: [(0, 100, 20), (100, 200, 1), (200, 300, 0)], 2: [(0, 100, 1)]}, 0, 100),
                snapshot_of({1: [(50, 150, 20), (150, 300, 0)], 2: [(0, 100, 0)]}, 100, 200),
            ]
        )
    )
    anything, hot = TouchedSet(), TouchedSet(0.9)
    for target_id, regions in windows.targets.items():
        anything.add(target_id, regions)
        hot.add(target_id, regions)
    assert anything.nr_bytes == 200 + 100
    assert hot.nr_bytes == 150
