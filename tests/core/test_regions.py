"""Regions in columns."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import AddrRange, Region, Regions, Target, adaptation
from damond.core.regions import align_down, align_up
from damond.errors import InvalidRegionError
from damond.units import PAGE_SIZE

GIB = 1024**3


def test_target() -> None:
    """A target has its id, no process and no regions yet (kernel core-test.h, target)."""
    target = Target(42)
    assert (target.id, target.pid, len(target.regions)) == (42, None, 0)


def test_regions() -> None:
    """A new region has no accesses; a target given none has none again (kernel core-test.h, regions)."""
    target = Target(42)
    target.set_ranges([(1, 2)])
    assert list(target.regions) == [Region(1, 2, nr_accesses=0)]
    target.set_ranges([])
    assert len(target.regions) == 0


@pytest.mark.parametrize(
    "ranges",
    [
        pytest.param([(5, 5)], id="empty"),
        pytest.param([(6, 5)], id="negative"),
        pytest.param([(-1, 5)], id="below zero"),
        pytest.param([(0, 5), (4, 8)], id="overlapping"),
        pytest.param([(4, 8), (0, 4)], id="unsorted"),
        pytest.param([(0, 4), (0, 4)], id="twice"),
    ],
)
def test_impossible_ranges(ranges: list[tuple[int, int]]) -> None:
    """Empty, negative, overlapping and unsorted ranges are EINVAL and name the range."""
    with pytest.raises(InvalidRegionError, match="0x") as caught:
        Regions(ranges)
    assert (caught.value.errno, caught.value.code) == (22, "invalid_region")


def test_set_ranges_keeps_the_old_on_failure() -> None:
    """A target whose new ranges are refused keeps what it has."""
    target = Target(1)
    target.set_ranges([(0, 4)])
    with pytest.raises(InvalidRegionError):
        target.set_ranges([(4, 8), (2, 3)])
    assert target.regions.ranges() == [AddrRange(0, 4)]


def test_columns_have_the_types_of_the_kernel() -> None:
    """Addresses are 64 bits wide, counters 32."""
    regions = Regions([(2**46, 2**47)])
    assert {getattr(regions, name).dtype.name for name in ("start", "end", "sampling_addr")} == {"uint64"}
    assert {getattr(regions, name).dtype.name for name in ("nr_accesses", "last_nr_accesses", "age")} == {"uint32"}
    assert regions.total_sz == 2**46
    assert regions.size.tolist() == [2**46]


def test_copy_shares_nothing() -> None:
    """A copy keeps its values when the original changes."""
    regions = Regions([Region(0, 4, nr_accesses=1)])
    copy = regions.copy()
    regions.nr_accesses += np.uint32(5)
    regions.end += np.uint64(4)
    assert list(copy) == [Region(0, 4, nr_accesses=1)]


def test_values() -> None:
    """A region is a value: its range by the kernel's name, rows by index, sizes."""
    regions = Regions([(0, 4), Region(8, 24, 3, 2, 1, 9)])
    assert regions[1].ar == AddrRange(8, 24)
    assert regions[1].ar.size == 16
    assert regions[-1].sampling_addr == 9
    assert repr(regions) == "<Regions: 2, 20 B>"


class Fixed:
    """Chance at its end: every draw is the same number."""

    def __init__(self, value: float) -> None:
        self._value = value

    def random(self, size: Any) -> Any:
        return np.full(size, self._value)


@pytest.mark.parametrize("drawn", [0.0, 1 - 2**-53], ids=["least", "greatest"])
@given(start=st.integers(0, 2**47), size=st.one_of(st.integers(1, 2**20), st.integers(1, 2**52)))
def test_sampling_addr_is_within_its_region(drawn: float, start: int, size: int) -> None:
    """Whatever is drawn, also in regions of petabytes: start <= sampling_addr < end."""
    regions = Regions([(start, start + size), (start + size, start + 2 * size)])
    addrs = regions.pick_sampling_addrs(Fixed(drawn))  # type: ignore[arg-type]
    assert (regions.start <= addrs).all()
    assert (addrs < regions.end).all()
    assert addrs is regions.sampling_addr


@pytest.mark.parametrize("nr_regions", [1, 7, 1000, 20_000])
def test_addresses_of_passes_to_come(nr_regions: int) -> None:
    """Passes that are told of ahead look elsewhere each, within their regions; regions that change get their own."""
    rng, regions = np.random.default_rng(1), Regions([(n * GIB, (n + 1) * GIB) for n in range(nr_regions)])
    seen = [regions.pick_sampling_addrs(rng, nr_passes=20 - n) for n in range(20)]
    for addrs in seen:
        assert (addrs >= regions.start).all()
        assert (addrs < regions.end).all()
    assert len({int(addrs[0]) for addrs in seen}) == 20
    assert regions.sampling_addr is seen[-1]
    regions.pick_sampling_addrs(rng, nr_passes=20)
    adaptation.cut(regions, np.array([0]), np.array([GIB // 2], np.uint64))
    addrs = regions.pick_sampling_addrs(rng)
    assert len(addrs) == nr_regions + 1
    assert (addrs >= regions.start).all()
    assert (addrs < regions.end).all()


@pytest.mark.parametrize("nr_passes", [1, 20])
def test_sampling_addrs_are_spread_over_huge_regions(nr_passes: int) -> None:
    """All of a region of 64 GiB is looked at (5.15: a random span of 32 bits, its first 4 GiB)."""
    rng, regions = np.random.default_rng(1), Regions([(0, 64 * GIB)])
    drawn = [int(regions.pick_sampling_addrs(rng, nr_passes)[0]) // (4 * GIB) for _ in range(1600)]
    per_part = np.bincount(drawn, minlength=16)
    # Binomial, n = 1600, p = 1/16: mean 100, sigma 9.7; five sigma on each side.
    assert per_part.min() > 51
    assert per_part.max() < 149


@given(value=st.integers(0, 2**52), alignment=st.integers(1, 2**21))
def test_alignment(value: int, alignment: int) -> None:
    """Aligning goes to the nearest multiple on its side, and a multiple stays."""
    down, up = align_down(value, alignment), align_up(value, alignment)
    assert down <= value <= up
    assert down % alignment == up % alignment == 0
    assert up - down in (0, alignment)
    assert (up == down) == (value % alignment == 0)


def test_addresses_over_the_whole_of_a_huge_region() -> None:
    """A region of 16 TiB is looked at all over: a span of 32 bits (the kernel before 7.3) would not leave 4 GiB."""
    regions = Regions([(n << 44, (n + 1) << 44) for n in range(255)])
    offset = regions.pick_sampling_addrs(np.random.default_rng(1)) - regions.start
    counts, _ = np.histogram(offset / 2.0**44, bins=10, range=(0, 1))
    assert counts.min() > 8
    assert len(np.unique(offset >> np.uint64(32))) > 200


@given(
    bounds=st.lists(st.integers(0, 5000), min_size=2, max_size=30, unique=True).map(sorted),
    order=st.integers(0, 6),
    seed=st.integers(0, 1000),
)
def test_blocks(bounds: list[int], order: int, seed: int) -> None:
    """A block is aligned, holds the address that was chosen, and does not leave its region."""
    page = PAGE_SIZE
    regions = Regions([(a * page, b * page) for a, b in itertools.pairwise(bounds)])
    start, end = regions.pick_sampling_blocks(np.random.default_rng(seed), 1 << order)
    sz_block = np.uint64(page << order)
    assert (start <= regions.sampling_addr).all()
    assert (regions.sampling_addr < end).all()
    assert (start >= regions.start).all()
    assert (end <= regions.end).all()
    assert (start // sz_block == (end - np.uint64(1)) // sz_block).all()
    whole = (regions.sampling_addr // sz_block * sz_block >= regions.start) & (start + sz_block <= regions.end)
    assert (end - start)[whole].tolist() == [int(sz_block)] * int(whole.sum())


def test_highest() -> None:
    """The highest count of all regions; without regions there is none."""
    regions = Regions([Region(0, 4096, 3), Region(4096, 8192, 7), Region(8192, 12288, 7)])
    assert regions.highest == 7
    assert isinstance(regions.highest, int)
    assert Regions().highest == 0
