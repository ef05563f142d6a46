"""Adaptive regions: what holds for all inputs."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from damond.core import MIN_REGION_SZ, AddrRange, Region, Regions, Target
from damond.core.adaptation import (
    Splitter,
    evenly_split,
    initial_regions,
    merge,
    merge_targets,
    nr_regions,
    set_ranges,
    split,
)

PAGE = MIN_REGION_SZ


@st.composite
def page_ranges(draw: Any, max_size: int = 20) -> list[tuple[int, int]]:
    """Sorted, disjoint, page aligned ranges; some touch."""
    steps = draw(st.lists(st.tuples(st.sampled_from([0, 0, 1, 7]), st.integers(1, 300)), max_size=max_size))
    at, ranges = draw(st.sampled_from([0, 5, 2**35])), []  # few, so that two of them meet
    for gap, size in steps:
        ranges.append(((at + gap) * PAGE, (at + gap + size) * PAGE))
        at += gap + size
    return ranges


@st.composite
def sorted_regions(draw: Any, max_size: int = 20) -> Regions:
    """Regions with any counters."""
    counts, ages = st.integers(0, 20), st.integers(0, 1000)
    rows = [Region(start, end, draw(counts), draw(ages), draw(counts)) for start, end in draw(page_ranges(max_size))]
    return Regions(rows)


def covered(regions: Regions) -> list[tuple[int, int]]:
    """Join what touches: which addresses are covered at all."""
    joined: list[tuple[int, int]] = []
    for start, end in zip(regions.start.tolist(), regions.end.tolist(), strict=True):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def assert_well_formed(regions: Regions) -> None:
    """Check what every reader of the columns relies on."""
    columns = [getattr(regions, name) for name in Regions.COLUMNS]
    assert {len(column) for column in columns} == {len(regions)}
    assert (regions.start < regions.end).all()
    assert (regions.end[:-1] <= regions.start[1:]).all()
    assert not (regions.start % np.uint64(PAGE)).any()
    assert not (regions.end % np.uint64(PAGE)).any()


@given(regions=sorted_regions(), threshold=st.integers(0, 20), sz_limit_pages=st.integers(1, 600))
def test_merge_loses_no_address(regions: Regions, threshold: int, sz_limit_pages: int) -> None:
    """Merging covers the same addresses, invents no access and respects sz_limit."""
    before, sz_limit = regions.copy(), sz_limit_pages * PAGE
    merge(regions, threshold, sz_limit)
    assert_well_formed(regions)
    assert covered(regions) == covered(before)
    assert len(regions) <= len(before)
    for row in regions:
        inside = [old for old in before if row.start <= old.start < row.end]
        assert len(inside) == 1 or row.end - row.start <= sz_limit
        for name in ("nr_accesses", "age"):
            values = [getattr(old, name) for old in inside]
            assert min(values) <= getattr(row, name) <= max(values)
        sizes = [(old.end - old.start) * old.nr_accesses for old in inside]
        assert (row.end - row.start) * row.nr_accesses <= sum(sizes)


@given(regions=sorted_regions(), threshold=st.integers(0, 20), sz_limit_pages=st.sampled_from([1, 50, 600, 2**53]))
def test_merge_is_one_walk(regions: Regions, threshold: int, sz_limit_pages: int) -> None:
    """As the kernel's walk over its list has it, region by region (damon_merge_regions_of): the grown one counts."""
    walked: list[Region] = []
    for row in regions.copy():
        grown = walked[-1] if walked else None
        if (
            grown is not None
            and grown.end == row.start
            and abs(grown.nr_accesses - row.nr_accesses) <= threshold
            and row.end - grown.start <= sz_limit_pages * PAGE
        ):
            sizes, size = (grown.end - grown.start, row.end - row.start), row.end - grown.start
            mean = (grown.nr_accesses * sizes[0] + row.nr_accesses * sizes[1]) // size
            age = (grown.age * sizes[0] + row.age * sizes[1]) // size
            walked[-1] = replace(grown, end=row.end, nr_accesses=mean, age=age)
        else:
            walked.append(row)
    merge(regions, threshold, sz_limit_pages * PAGE)
    kept = [(row.start, row.end, row.nr_accesses, row.age, row.last_nr_accesses) for row in regions]
    assert kept == [(row.start, row.end, row.nr_accesses, row.age, row.last_nr_accesses) for row in walked]


@given(regions=sorted_regions(), sz_limit_pages=st.integers(1, 600))
def test_merge_keeps_what_differs(regions: Regions, sz_limit_pages: int) -> None:
    """With a threshold of 0 only equal neighbours are joined, so no count changes anywhere."""
    before = regions.copy()
    merge(regions, 0, sz_limit_pages * PAGE)
    at = np.searchsorted(regions.start, before.start, side="right") - 1
    assert regions.nr_accesses[at].tolist() == before.nr_accesses.tolist()


@given(
    regions=sorted_regions(),
    nr_subs=st.integers(2, 4),
    seed=st.integers(0, 2**32),
    min_pages=st.integers(1, 8),
)
def test_split_keeps_addresses(regions: Regions, nr_subs: int, seed: int, min_pages: int) -> None:
    """Splitting keeps addresses, counters and alignment, and makes at most nr_subs of each."""
    before = regions.copy()
    split(regions, nr_subs, np.random.default_rng(seed), min_pages * PAGE)
    assert_well_formed(regions)
    assert covered(regions) == covered(before)
    assert len(regions) <= nr_subs * len(before)
    at = np.searchsorted(before.start, regions.start, side="right") - 1
    for name in ("nr_accesses", "last_nr_accesses", "age", "sampling_addr"):
        assert getattr(regions, name).tolist() == getattr(before, name)[at].tolist()
    offsets = (regions.start - before.start[at]) % np.uint64(min_pages * PAGE)
    assert not offsets.any()
    small = before.size <= 2 * min_pages * PAGE
    assert set(before.start[small].tolist()) <= set(regions.start.tolist())
    assert {row.ar for row in before if row.end - row.start <= 2 * min_pages * PAGE} <= set(regions.ranges())


@given(regions=sorted_regions(), wanted=page_ranges())
def test_set_ranges_covers_exactly_what_is_wanted(regions: Regions, wanted: list[tuple[int, int]]) -> None:
    """The regions cover the wanted ranges and nothing else; no range shares a region with another."""
    set_ranges(regions, [AddrRange(*each) for each in wanted])
    assert_well_formed(regions)
    assert covered(regions) == covered(Regions(wanted))
    for start, end in wanted:
        rows = [row for row in regions if start <= row.start < end]
        assert (rows[0].start, rows[-1].end) == (start, end)


@given(regions=sorted_regions(), wanted=page_ranges())
def test_set_ranges_keeps_results(regions: Regions, wanted: list[tuple[int, int]]) -> None:
    """A region between two others in the same wanted range is kept as it is; counters are never made up."""
    before = list(regions)
    set_ranges(regions, [AddrRange(*each) for each in wanted])
    kept = set(regions)
    for left, row, right in zip(before, before[1:], before[2:], strict=False):
        if any(start <= left.start and right.end <= end for start, end in wanted):
            assert row in kept
    counters = {(row.nr_accesses, row.last_nr_accesses, row.age) for row in before}
    assert {(row.nr_accesses, row.last_nr_accesses, row.age) for row in kept} <= counters | {(0, 0, 0)}


@given(ranges=page_ranges().filter(bool), min_nr_regions=st.integers(3, 100))
def test_initial_regions_cover_the_ranges(ranges: list[tuple[int, int]], min_nr_regions: int) -> None:
    """What monitoring begins with covers the ranges, aligned; none is twice the even share."""
    total = sum(end - start for start, end in ranges)
    pieces = Regions(initial_regions([AddrRange(*each) for each in ranges], min_nr_regions))
    assert_well_formed(pieces)
    assert covered(pieces) == covered(Regions(ranges))
    assert int(pieces.size.max()) <= 2 * max(total // min_nr_regions, PAGE) + min_nr_regions * PAGE


@given(start=st.integers(0, 2**35), nr_pages=st.integers(1, 10_000), nr_pieces=st.integers(1, 100))
def test_evenly_split_covers_the_range(start: int, nr_pages: int, nr_pieces: int) -> None:
    """Pieces follow each other and end with the range; all but the last are equal."""
    whole = AddrRange(start * PAGE, (start + max(nr_pages, nr_pieces)) * PAGE)
    pieces = evenly_split(whole, nr_pieces)
    assert covered(Regions(pieces)) == [(whole.start, whole.end)]
    assert len({piece.size for piece in pieces[:-1]}) <= 1
    assert pieces[-1].size >= pieces[0].size


@given(
    sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=3),
    max_nr_regions=st.integers(10, 60),
    seed=st.integers(0, 2**32),
)
def test_number_of_regions_stays_within_bounds(sizes: list[int], max_nr_regions: int, seed: int) -> None:
    """However wild the accesses: at most the maximum after a split, and no address is ever lost."""
    rng = np.random.default_rng(seed)
    targets = [Target(id_, Regions([(0, nr_pages * PAGE)])) for id_, nr_pages in enumerate(sizes)]
    splitter, total = Splitter(rng), sum(sizes) * PAGE
    for _ in range(12):
        for target in targets:
            target.regions.nr_accesses = rng.integers(0, 21, len(target.regions), dtype=np.uint32)
        merge_targets(targets, 2, total // 3, max_nr_regions, 20)
        assert nr_regions(targets) <= max_nr_regions
        splitter.split(targets, max_nr_regions)
        assert nr_regions(targets) <= max_nr_regions
        assert sum(target.regions.total_sz for target in targets) == total
