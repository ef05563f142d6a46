"""Adaptive regions: the cases of the kernel's own tests, and what is decided otherwise here."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import AddrRange, Attrs, Region, Regions, Target
from damond.core.adaptation import (
    Splitter,
    age,
    apply_min_nr_regions,
    convert_results,
    evenly_split,
    initial_regions,
    merge,
    merge_targets,
    nr_regions,
    region_sz_limit,
    set_ranges,
    split,
    split_at,
)
from damond.core.regions import MISSED_ALL
from damond.errors import InvalidRegionError
from damond.units import Usec

Ranges = list[tuple[int, int]]


def regions_of(*rows: tuple[int, int, int]) -> Regions:
    return Regions(Region(start, end, nr) for start, end, nr in rows)


def bounds(regions: Regions) -> Ranges:
    return list(zip(regions.start.tolist(), regions.end.tolist(), strict=True))


def pages(count: int, page: int = 100) -> Ranges:
    return [(at * page, (at + 1) * page) for at in range(count)]


def test_split_at() -> None:
    """Both pieces keep counters, age and the last count (kernel core-test.h, split_at)."""
    regions = Regions([Region(0, 100, nr_accesses=3, age=5, last_nr_accesses=2)])
    split_at(regions, 0, 25)
    assert bounds(regions) == [(0, 25), (25, 100)]
    assert [(r.nr_accesses, r.age, r.last_nr_accesses) for r in regions] == [(3, 5, 2)] * 2


def test_merge_two() -> None:
    """The count of a merged region is the average by size, rounded down (kernel core-test.h, merge_two)."""
    regions = regions_of((0, 100, 10), (100, 300, 20))
    merge(regions, threshold=10, sz_limit=300)
    assert list(regions) == [Region(0, 300, nr_accesses=16)]


def test_merge_regions_of() -> None:
    """Regions that touch and differ by at most the threshold are joined (kernel core-test.h, merge_regions_of)."""
    starts = [0, 100, 114, 122, 130, 156, 170, 184]
    ends = [100, 112, 122, 130, 156, 170, 184, 230]
    regions = regions_of(*zip(starts, ends, [0, 0, 10, 10, 20, 30, 1, 2], strict=True))
    merge(regions, threshold=9, sz_limit=9999)
    assert bounds(regions) == [(0, 112), (114, 130), (130, 156), (156, 170), (170, 230)]


@pytest.mark.parametrize(
    ("rows", "threshold", "sz_limit", "expected"),
    [
        pytest.param([(0, 10, 5), (10, 20, 8)], 3, 20, [(0, 20, 6)], id="the threshold itself merges"),
        pytest.param([(0, 10, 5), (10, 20, 9)], 3, 20, [(0, 10, 5), (10, 20, 9)], id="above the threshold stays"),
        pytest.param([(0, 10, 9), (10, 20, 5)], 3, 20, [(0, 10, 9), (10, 20, 5)], id="below it as well"),
        pytest.param([(0, 10, 5), (10, 20, 5)], 0, 20, [(0, 20, 5)], id="the size limit itself merges"),
        pytest.param([(0, 10, 5), (10, 20, 5)], 0, 19, [(0, 10, 5), (10, 20, 5)], id="above the size limit stays"),
        pytest.param([(0, 10, 5), (11, 20, 5)], 9, 99, [(0, 10, 5), (11, 20, 5)], id="a gap stays"),
        pytest.param(
            [(0, 10, 0), (10, 20, 4), (20, 30, 6)], 4, 99, [(0, 30, 3)], id="the grown region's average is what counts"
        ),
        pytest.param([(0, 10, 7)], 9, 99, [(0, 10, 7)], id="one region"),
        pytest.param([], 9, 99, [], id="none"),
    ],
)
def test_merge(
    rows: list[tuple[int, int, int]], threshold: int, sz_limit: int, expected: list[tuple[int, int, int]]
) -> None:
    """Each condition of a merge, at its edge."""
    regions = regions_of(*rows)
    merge(regions, threshold, sz_limit)
    assert [(r.start, r.end, r.nr_accesses) for r in regions] == expected


def test_merge_averages_age() -> None:
    """The age of a merged region is the average by size (damon_merge_two_regions, Linux 5.16)."""
    regions = Regions([Region(0, 100, age=10), Region(100, 400, age=2)])
    merge(regions, threshold=0, sz_limit=400)
    assert list(regions) == [Region(0, 400, age=4)]


@pytest.mark.parametrize(
    ("last", "now", "threshold", "expected"),
    [
        pytest.param(5, 5, 0, 8, id="the same ages"),
        pytest.param(5, 7, 2, 8, id="a change of the threshold ages"),
        pytest.param(5, 8, 2, 0, id="a greater rise starts again"),
        pytest.param(8, 5, 2, 0, id="a greater fall starts again"),
        pytest.param(1, 0, 2, 0, id="to no access starts again, whatever the threshold"),
        pytest.param(0, 1, 2, 0, id="from no access starts again, whatever the threshold"),
        pytest.param(0, 0, 0, 8, id="no access ages"),
    ],
)
def test_age(last: int, now: int, threshold: int, expected: int) -> None:
    """Age counts aggregations of about the same frequency."""
    regions = Regions([Region(0, 4096, now, age=7, last_nr_accesses=last)])
    age(regions, threshold, 20)
    assert regions[0].age == expected


def test_merge_targets_repeats_with_doubled_thresholds() -> None:
    """While more than max_nr_regions remain, the threshold doubles; 5.15 merges once and stays above."""
    target = Target(0, regions_of(*((start, end, 3 * at) for at, (start, end) in enumerate(pages(16)))))
    merge_targets([target], 1, sz_limit=10**6, max_nr_regions=4, max_threshold=100)
    assert nr_regions([target]) <= 4
    assert bounds(target.regions)[0][0] == 0
    assert target.regions.total_sz == 1600


def test_merge_targets_ends_at_the_greatest_threshold() -> None:
    """Where even the greatest threshold leaves too many (size limit), merging ends."""
    target = Target(0, regions_of(*((start, end, 0) for start, end in pages(16))))
    merge_targets([target], 0, sz_limit=100, max_nr_regions=4, max_threshold=20)
    assert nr_regions([target]) == 16


@pytest.mark.parametrize(
    ("ranges", "min_nr_regions", "min_region_sz", "greatest", "count"),
    [
        pytest.param([(0, 10)], 10, 1, 1, 10, id="evenly"),
        pytest.param([(0, 10)], 15, 1, 1, 10, id="no smaller than the minimal region"),
        pytest.param([(0, 10)], 2, 2, 6, 2, id="aligned, the last takes the rest"),
        pytest.param([(0, 10)], 10, 2, 2, 5, id="as many as fit"),
        pytest.param([(0, 100), (200, 205), (300, 400)], 10, 1, 20, 11, id="a range below one piece stays whole"),
    ],
)
def test_initial_regions(ranges: Ranges, min_nr_regions: int, min_region_sz: int, greatest: int, count: int) -> None:
    """The numbers of the kernel's apply_min_nr_regions (6.19) hold for what monitoring begins with."""
    pieces = initial_regions([AddrRange(*each) for each in ranges], min_nr_regions, min_region_sz)
    assert max(each.size for each in pieces) == greatest
    assert len(pieces) == count


@pytest.mark.parametrize(
    ("whole", "nr_pieces", "expected"),
    [
        pytest.param((0, 100), 10, pages(10, 10), id="ten of ten"),
        pytest.param((5, 59), 5, [(5, 15), (15, 25), (25, 35), (35, 45), (45, 59)], id="the last takes the remainder"),
        pytest.param((5, 6), 1, [(5, 6)], id="one"),
    ],
)
def test_evenly_split(whole: tuple[int, int], nr_pieces: int, expected: Ranges) -> None:
    """The last piece absorbs the remainder (kernel vaddr-test.h, split_evenly)."""
    assert evenly_split(AddrRange(*whole), nr_pieces, min_region_sz=1) == [AddrRange(*each) for each in expected]


@pytest.mark.parametrize(("whole", "nr_pieces"), [((0, 100), 0), ((5, 6), 2), ((0, 100), -1)])
def test_evenly_split_refuses(whole: tuple[int, int], nr_pieces: int) -> None:
    """No pieces, or pieces of nothing, are EINVAL (kernel vaddr-test.h, split_evenly)."""
    with pytest.raises(InvalidRegionError) as caught:
        evenly_split(AddrRange(*whole), nr_pieces, min_region_sz=1)
    assert caught.value.errno == 22


@pytest.mark.parametrize(("end", "nr_subs"), [(22, 2), (220, 4)])
def test_split_regions_of(end: int, nr_subs: int) -> None:
    """A region becomes at most so many (kernel core-test.h, split_regions_of), and some draw makes all of them."""
    counts = set()
    for seed in range(50):
        regions = Regions([(0, end)])
        split(regions, nr_subs, np.random.default_rng(seed), min_region_sz=1)
        counts.add(len(regions))
    assert max(counts) == nr_subs


def test_split_cuts_the_left_piece_again() -> None:
    """Cuts are at tenths of what remains, and the left piece is what remains (damon_split_regions_of, Linux 5.15)."""
    seconds = set()
    for seed in range(200):
        regions = Regions([(0, 10_000)])
        split(regions, 3, np.random.default_rng(seed), min_region_sz=1)
        first, second = regions.end.tolist()[:2]
        assert second % 1000 == 0
        assert 10 * first % second == 0
        seconds.add(second)
    assert seconds == set(range(1000, 10_000, 1000))


def test_split_of_nearly_all_addresses() -> None:
    """Each tenth of 2^62 bytes is a place where a region is cut; none is lost to an overflow."""
    places = set()
    for seed in range(200):
        regions = Regions([(0, 1 << 62)])
        split(regions, 2, np.random.default_rng(seed))
        places.add(round(10 * int(regions.end[0]) / (1 << 62)))
    assert places == set(range(1, 10))


def test_two_minimal_regions_are_not_split() -> None:
    """A region of at most two minimal ones stays whole, a greater one can be cut."""
    rng = np.random.default_rng(3)
    regions = Regions([(0, 8192), (8192, 20_480)])
    for _ in range(30):
        split(regions, 2, rng)
    assert bounds(regions)[0] == (0, 8192)
    assert len(regions) == 3


@pytest.mark.parametrize(
    ("count", "max_nr_regions", "expected"),
    [
        pytest.param(10, 20, 20, id="half is still split"),
        pytest.param(11, 20, 11, id="above half nothing is"),
        pytest.param(760, 1500, 760, id="760 of 1500, where kernels up to 7.2 stop too"),
    ],
)
def test_nothing_is_split_above_half(count: int, max_nr_regions: int, expected: int) -> None:
    """Two pieces each may not exceed the maximum (kdamond_split_regions, Linux 5.15)."""
    target = Target(0, Regions(pages(count)))
    Splitter(np.random.default_rng(1), min_region_sz=1).split([target], max_nr_regions)
    assert nr_regions([target]) == expected


def test_splits_in_three_where_the_last_split_changed_nothing() -> None:
    """The same count as before the last split, below a third of the maximum: three pieces each."""
    splitter = Splitter(np.random.default_rng(1), min_region_sz=1)
    counts = []
    for _ in range(3):
        target = Target(0, Regions(pages(10, 100_000)))
        splitter.split([target], 100)
        counts.append(nr_regions([target]))
    assert counts == [20, 30, 30]


def test_splitters_do_not_share_the_last_count() -> None:
    """Each context remembers its own count (5.15: one for all contexts)."""
    counts = []
    for seed in range(2):
        target = Target(0, Regions(pages(10, 100_000)))
        Splitter(np.random.default_rng(seed), min_region_sz=1).split([target], 100)
        counts.append(nr_regions([target]))
    assert counts == [20, 20]


@pytest.mark.parametrize(
    ("targets", "min_nr_regions", "expected"),
    [
        pytest.param([[(0, 40_960)], [(0, 40_960)]], 10, 8192, id="the total of all targets"),
        pytest.param([[(0, 8192)]], 10, 4096, id="at least a minimal region"),
        pytest.param([[(0, 8192)]], 0, 8192, id="no division by zero"),
        pytest.param([], 10, 4096, id="no target"),
    ],
)
def test_region_sz_limit(targets: list[Ranges], min_nr_regions: int, expected: int) -> None:
    """No region grows above the total divided by min_nr_regions."""
    assert region_sz_limit([Target(0, Regions(each)) for each in targets], min_nr_regions) == expected


@pytest.mark.parametrize(
    ("intervals", "before", "after"),
    [
        pytest.param((100, 10_000), (15, 20), (15, 2), id="both ten times as long"),
        pytest.param((1, 1_000), (15, 2), (150, 2), id="a tenth of the sampling interval"),
        pytest.param((1, 100), (150, 2), (150, 20), id="both a tenth"),
        pytest.param((10, 1_000), (15, 20), (15, 20), id="the same"),
        pytest.param((10, 30), (99, 1), (2, 33), id="rounded down"),
    ],
)
def test_convert_results(intervals: tuple[int, int], before: tuple[int, int], after: tuple[int, int]) -> None:
    """Results of 10 us / 1 ms in other intervals (kernel core-test.h, update_monitoring_result)."""
    regions = Regions([Region(3, 7, before[0], before[1], last_nr_accesses=before[0])])
    old, new = (
        Attrs(sample_interval=Usec(sample), aggr_interval=Usec(aggr)) for sample, aggr in ((10, 1_000), intervals)
    )
    convert_results(regions, old, new)
    assert list(regions) == [Region(3, 7, *after, last_nr_accesses=after[0])]


@dataclass(frozen=True)
class Fit:
    id: str
    old: Ranges
    new: Ranges
    expected: Ranges


OLD = [(10, 20), (20, 30), (50, 55), (55, 57), (57, 59), (70, 80), (80, 90), (90, 100)]
SET_RANGES = [
    Fit("three 1", OLD, [(5, 27), (45, 55), (73, 104)], [(5, 20), (20, 27), (45, 55), (73, 80), (80, 90), (90, 104)]),
    Fit("three 2", OLD, [(5, 27), (56, 57), (65, 104)], [(5, 20), (20, 27), (56, 57), (65, 80), (80, 90), (90, 104)]),
    Fit("three 3", OLD, [(5, 27), (61, 63), (65, 104)], [(5, 20), (20, 27), (61, 63), (65, 80), (80, 90), (90, 104)]),
    Fit("three 4", OLD, [(5, 7), (30, 32), (65, 68)], [(5, 7), (30, 32), (65, 68)]),
    Fit("hole is filled", [(4, 16), (24, 32)], [(8, 28)], [(8, 16), (16, 24), (24, 28)]),
    Fit("from nothing", [], [(5, 15), (15, 25)], [(5, 15), (15, 25)]),
    Fit("into a hole", [(4, 16), (24, 32)], [(18, 23)], [(18, 23)]),
    Fit("one cut, one new", [(0, 4), (4, 17)], [(0, 15), (25, 40)], [(0, 4), (4, 15), (25, 40)]),
    Fit("stretched and shrunk", [(0, 4), (42, 52)], [(0, 15), (25, 40), (44, 50)], [(0, 15), (25, 40), (44, 50)]),
    Fit("to nothing", OLD, [], []),
    Fit("one region over two ranges", [(0, 100)], [(10, 20), (30, 40)], [(10, 20), (30, 40)]),
]


@pytest.mark.parametrize("case", SET_RANGES, ids=lambda case: case.id)
def test_set_ranges(case: Fit) -> None:
    """The kernel's numbers: vaddr-test.h (5.15) apply_three_regions, core-test.h set_regions (6.19)."""
    regions = Regions(case.old)
    set_ranges(regions, [AddrRange(*each) for each in case.new], min_region_sz=1)
    assert bounds(regions) == case.expected


def test_set_ranges_takes_nothing_from_neighbours() -> None:
    """A region that only touches a wanted range has no say in it: what is new begins with no accesses."""
    regions = Regions([Region(0, 10, nr_accesses=5, age=3), Region(20, 30, nr_accesses=6, age=4)])
    set_ranges(regions, [AddrRange(10, 20)], min_region_sz=1)
    assert list(regions) == [Region(10, 20, nr_missed=MISSED_ALL)]


def test_set_ranges_aligns_outwards() -> None:
    """Bounds within a page take the whole page."""
    regions = Regions()
    set_ranges(regions, [AddrRange(5000, 9000)])
    assert bounds(regions) == [(4096, 12_288)]


@pytest.mark.parametrize(
    "ranges",
    [
        pytest.param([(20, 30), (10, 20)], id="unsorted"),
        pytest.param([(10, 21), (20, 30)], id="overlapping"),
    ],
)
def test_set_ranges_refuses(ranges: Ranges) -> None:
    """Unsorted or overlapping ranges are EINVAL and change nothing."""
    regions = Regions([(0, 15)])
    with pytest.raises(InvalidRegionError):
        set_ranges(regions, [AddrRange(*each) for each in ranges], min_region_sz=1)
    assert bounds(regions) == [(0, 15)]


def test_set_ranges_refuses_what_overlaps_by_alignment() -> None:
    """Two ranges within one page would be one page twice."""
    with pytest.raises(InvalidRegionError):
        set_ranges(Regions(), [AddrRange(0, 100), AddrRange(200, 300)])


@pytest.mark.parametrize(
    ("ranges", "min_nr_regions", "min_region_sz", "greatest", "count"),
    [
        pytest.param([(0, 10)], 10, 1, 1, 10, id="kernel: 10 of 10"),
        pytest.param([(0, 10)], 15, 1, 1, 10, id="kernel: more than there can be"),
        pytest.param([(0, 10)], 2, 2, 6, 2, id="kernel: aligned upwards"),
        pytest.param([(0, 10)], 10, 2, 2, 5, id="kernel: the least size"),
        pytest.param([(0, 100), (100, 102), (200, 290)], 4, 1, 48, 6, id="some are small enough"),
    ],
)
def test_apply_min_nr_regions(
    ranges: Ranges, min_nr_regions: int, min_region_sz: int, greatest: int, count: int
) -> None:
    """No region stays larger than the least number allows (kernel core-test.h, damon_test_apply_min_nr_regions)."""
    target = Target(0, Regions([Region(*each, nr_accesses=7, age=3, nr_samples=40) for each in ranges]))
    assert apply_min_nr_regions([target], min_nr_regions, min_region_sz) == greatest
    regions = target.regions
    assert len(regions) == count
    assert int(regions.size.max()) == greatest
    assert regions.total_sz == sum(end - start for start, end in ranges)
    assert set(regions.nr_accesses.tolist()) == {7}
    assert int(regions.nr_samples.sum()) == 40 * len(ranges)
    assert not (regions.start % np.uint64(min_region_sz)).any()


def test_samples_behind_an_age() -> None:
    """They add up while the age goes on, and are those of one aggregation where it starts again."""
    regions = Regions([Region(0, 1, 5, 7, 5, nr_samples=160), Region(1, 2, 9, 7, 5, nr_samples=160), Region(2, 3)])
    age(regions, 2, 20)
    assert regions.nr_samples.tolist() == [180, 20, 20]
    full = Regions([Region(0, 1, nr_samples=2**32 - 3)])
    age(full, 0, 20)
    assert full.nr_samples.tolist() == [2**32 - 1]


def test_samples_of_merged_regions() -> None:
    """Parts looked at equally add up; else the least looked-at part speaks for all of it."""
    equal = Regions([Region(0, 10, nr_samples=20), Region(10, 20, nr_samples=20), Region(20, 30, nr_samples=20)])
    merge(equal, 0, 1000)
    assert equal.nr_samples.tolist() == [60]
    uneven = Regions([Region(0, 1, nr_samples=20), Region(1, 100, nr_samples=99), Region(200, 201, nr_samples=5)])
    merge(uneven, 0, 1000)
    assert uneven.nr_samples.tolist() == [100, 5]
    never = Regions([Region(0, 10, nr_samples=20), Region(10, 20)])
    merge(never, 0, 1000)
    assert never.nr_samples.tolist() == [0]


def test_samples_of_pieces() -> None:
    """Pieces share by size, and keep all of them together."""
    regions = Regions([Region(0, 100, nr_samples=21), Region(100, 130, nr_samples=4)])
    split_at(regions, 0, 30)
    assert regions.nr_samples.tolist() == [6, 15, 4]


@given(
    sizes=st.lists(st.integers(3, 10**9), min_size=1, max_size=20),
    samples=st.lists(st.integers(0, 2**32 - 1), min_size=20, max_size=20),
    seed=st.integers(0, 99),
)
def test_split_keeps_samples(sizes: list[int], samples: list[int], seed: int) -> None:
    """However regions are cut: each one's pieces keep its samples, none more than its share and one."""
    ends = np.cumsum(sizes).tolist()
    regions = Regions(
        [Region(end - size, end, nr_samples=n) for size, end, n in zip(sizes, ends, samples, strict=False)]
    )
    before = regions.copy()
    split(regions, 3, np.random.default_rng(seed), 1)
    owner = np.searchsorted(before.end, regions.start, side="right")
    kept = np.zeros(len(before))
    np.add.at(kept, owner, regions.nr_samples)
    assert kept.tolist() == before.nr_samples.tolist()
    share = before.nr_samples[owner] * (regions.size / before.size[owner])
    assert (np.abs(regions.nr_samples - share) <= 1.001).all()


def test_samples_of_a_resized_region() -> None:
    """A region that shrinks keeps its share; one that grows knows nothing of what is new in it."""
    regions = Regions([Region(0, 100, nr_samples=50), Region(100, 200, nr_samples=50), Region(200, 300, nr_samples=50)])
    set_ranges(regions, [AddrRange(40, 320)], 1)
    assert [(r.start, r.end, r.nr_samples) for r in regions] == [(40, 100, 30), (100, 200, 50), (200, 320, 0)]


def test_small_changes_of_intervals_cost_no_age() -> None:
    """Many changes to and fro leave ages and counts where they were: rounded to the nearest, not down."""
    regions = Regions([Region(0, 1, 13, 9, last_nr_accesses=7)])
    pair = [Attrs(sample_interval=Usec(us), aggr_interval=Usec(30 * us)) for us in (1_000, 1_050)]
    for _ in range(20):
        convert_results(regions, *pair)
        convert_results(regions, *pair[::-1])
    assert list(regions) == [Region(0, 1, 13, 9, last_nr_accesses=7)]
