from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.cli.rows import group, height
from damond.core import TargetSnapshot


def _target(regions: Sequence[tuple[int, int, int]]) -> TargetSnapshot:
    start, size, nr_accesses = (np.array([row[i] for row in regions], np.uint64) for i in range(3))
    return TargetSnapshot(1, 1, start, size, nr_accesses.astype(np.uint32), np.zeros(len(start), np.uint32))


@given(
    pieces=st.lists(
        st.tuples(st.sampled_from([0, 0, 0, 1, 100, 10**6]), st.integers(1, 1000), st.integers(0, 20)), min_size=1
    ),
    nr_lines=st.integers(1, 40),
)
def test_rows_fit_and_lose_no_memory(pieces: list[tuple[int, int, int]], nr_lines: int) -> None:
    """However many regions there are, rows fit, and their sizes and accesses add up to what was there."""
    regions, at = [], 0
    for gap, size, nr_accesses in pieces:
        regions.append((at + gap, size, nr_accesses))
        at += gap + size
    rows = group(_target(regions), 20, nr_lines)
    assert height(rows) <= nr_lines
    assert sum(row.nr_regions for row in rows) == len(regions)
    assert sum(row.size for row in rows) == sum(size for _, size, _ in regions)
    assert sum(row.heat * row.size for row in rows) == pytest.approx(sum(n * size / 20 for _, size, n in regions))


def test_the_widest_gaps_are_shown_first() -> None:
    """With few lines the widest gap is the one that separates."""
    rows = group(_target([(0, 10, 1), (20, 10, 1), (9000, 10, 1)]), 20, 3)
    assert [(row.start, row.size, row.gap_after) for row in rows] == [(0, 20, 8970), (9000, 10, 0)]


def test_averages_are_weighted_by_size() -> None:
    """A row of a small hot and a large cold region is nearly cold."""
    (row,) = group(_target([(0, 100, 20), (100, 300, 0)]), 20, 1)
    assert (row.heat, row.size, row.nr_regions) == (0.25, 400, 2)


def test_no_region_is_no_row() -> None:
    """An empty target has nothing to show."""
    assert group(_target([]), 20, 10) == []
