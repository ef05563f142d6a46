"""Three regions, and fitting regions to them: the cases of the kernel's vaddr-test.h and what holds for all."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import AddrRange, Regions
from damond.errors import InvalidRegionError
from damond_vaddr import apply_three_regions, evenly_split, three_regions
from damond_vaddr.ranges import parse_maps

EXISTING = [(10, 20), (20, 30), (50, 55), (55, 57), (57, 59), (70, 80), (80, 90), (90, 100)]


def ranges(*bounds: tuple[int, int]) -> list[AddrRange]:
    return [AddrRange(*each) for each in bounds]


def bounds(found: list[AddrRange]) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in found]


def test_three_regions_in_vmas() -> None:
    """The two biggest gaps are left out, small ones are covered (damon_test_three_regions_in_vmas)."""
    mappings = ranges((10, 20), (20, 25), (200, 210), (210, 220), (300, 305), (307, 330))
    assert bounds(three_regions(mappings, 1)) == [(10, 25), (200, 220), (300, 330)]


def test_first_of_equal_gaps_counts() -> None:
    """Among gaps of the same size the earlier ones are left out."""
    assert bounds(three_regions(ranges((0, 1), (2, 3), (4, 5), (6, 7)), 1)) == [(0, 1), (2, 3), (4, 7)]


@pytest.mark.parametrize(
    "mappings",
    [
        pytest.param([], id="no mapping"),
        pytest.param([(0, 10), (10, 20), (20, 30)], id="no gap"),
        pytest.param([(0, 10), (20, 30)], id="one gap"),
    ],
)
def test_no_three_regions(mappings: list[tuple[int, int]]) -> None:
    """Without two gaps there are no three regions: EINVAL, as in the kernel."""
    with pytest.raises(InvalidRegionError, match="three regions") as info:
        three_regions(ranges(*mappings), 1)
    assert info.value.errno == 22


@pytest.mark.parametrize(
    ("three", "expected"),
    [
        pytest.param(
            [(5, 27), (45, 55), (73, 104)],
            [(5, 20), (20, 27), (45, 55), (73, 80), (80, 90), (90, 104)],
            id="apply_three_regions1: stretched and cut",
        ),
        pytest.param(
            [(5, 27), (56, 57), (65, 104)],
            [(5, 20), (20, 27), (56, 57), (65, 80), (80, 90), (90, 104)],
            id="apply_three_regions2: second one shrinks to a point",
        ),
        pytest.param(
            [(5, 27), (61, 63), (65, 104)],
            [(5, 20), (20, 27), (61, 63), (65, 80), (80, 90), (90, 104)],
            id="apply_three_regions3: second one is somewhere else",
        ),
        pytest.param(
            [(5, 7), (30, 32), (65, 68)],
            [(5, 7), (30, 32), (65, 68)],
            id="apply_three_regions4: all elsewhere",
        ),
    ],
)
def test_apply_three_regions(three: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    """Regions are fitted to three new ranges (damon_test_apply_three_regions1 to 4)."""
    regions = Regions(EXISTING)
    apply_three_regions(regions, ranges(*three), 1)
    assert bounds(regions.ranges()) == expected


def test_hole_within_a_range_is_filled() -> None:
    """A hole between regions of the same range is filled (since Linux 6.1; 5.15 leaves it)."""
    regions = Regions([(10, 20), (30, 40)])
    apply_three_regions(regions, ranges((10, 40)), 1)
    assert bounds(regions.ranges()) == [(10, 20), (20, 30), (30, 40)]


@pytest.mark.parametrize(
    ("whole", "nr_pieces", "expected"),
    [
        pytest.param((0, 100), 10, [(n * 10, n * 10 + 10) for n in range(10)], id="ten of ten"),
        pytest.param((5, 59), 5, [(5, 15), (15, 25), (25, 35), (35, 45), (45, 59)], id="the last takes the remainder"),
    ],
)
def test_split_evenly(whole: tuple[int, int], nr_pieces: int, expected: list[tuple[int, int]]) -> None:
    """A range is cut into equal pieces; the last absorbs the remainder (damon_test_split_evenly)."""
    assert bounds(evenly_split(AddrRange(*whole), nr_pieces, 1)) == expected


@pytest.mark.parametrize(
    ("whole", "nr_pieces"),
    [pytest.param((0, 100), 0, id="no pieces"), pytest.param((5, 6), 2, id="pieces smaller than the least")],
)
def test_split_evenly_refuses(whole: tuple[int, int], nr_pieces: int) -> None:
    """Nothing to split is EINVAL, and the range stays as it is (damon_test_split_evenly)."""
    region = AddrRange(*whole)
    with pytest.raises(InvalidRegionError) as info:
        evenly_split(region, nr_pieces, 1)
    assert info.value.errno == 22
    assert (region.start, region.end) == whole


MAPS = b"""\
55d0c0000000-55d0c0002000 r--p 00000000 fd:00 131                        /usr/bin/name with spaces
55d0c1000000-55d0c1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000100000 rw-p 00000000 00:00 0
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_maps_is_read_without_the_gate() -> None:
    """Each line is a mapping, but for the page at the end of the address space that belongs to no process."""
    found = parse_maps(MAPS)
    assert [each.start for each in found] == [0x55D0C0000000, 0x55D0C1000000, 0x7F0000000000, 0x7FFD00000000]
    assert found[2].size == 1 << 20


def test_own_maps_make_three_regions() -> None:
    """The mappings of this process are covered by three regions that begin and end with them."""
    mappings = parse_maps(Path("/proc/self/maps").read_bytes())
    three = three_regions(mappings)
    assert (three[0].start, three[2].end) == (mappings[0].start, mappings[-1].end)
    assert all(any(r.start <= m.start and m.end <= r.end for r in three) for m in mappings)


@given(st.lists(st.integers(0, 10_000), unique=True, min_size=6, max_size=40).map(sorted))
def test_three_regions_cover_every_mapping(points: list[int]) -> None:
    """Every mapping lies in one of three disjoint ranges, and no gap inside of them beats one of those left out."""
    mappings = ranges(*zip(points[::2], points[1::2], strict=False))
    three = three_regions(mappings, 1)
    assert all(any(r.start <= m.start and m.end <= r.end for r in three) for m in mappings)
    assert three[0].end < three[1].start
    assert three[1].end < three[2].start
    left_out = [three[1].start - three[0].end, three[2].start - three[1].end]
    gaps = sorted(b.start - a.end for a, b in itertools.pairwise(mappings))
    assert sorted(left_out) == gaps[-2:]
