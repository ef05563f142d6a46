import itertools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot, TargetSnapshot
from damond.core.mappings import NO_ACCESS, SHARED, Mappings, cut

PAGE = 4096
REAL = b"""\
5581a4c2f000-5581a4c30000 r--p 00000000 fe:01 3935                       /usr/bin/python3.11
5581a4c30000-5581a4c31000 r-xp 00001000 fe:01 3935                       /usr/bin/python3.11
5581b7c4d000-5581b7d67000 rw-p 00000000 00:00 0                          [heap]
7f0b48000000-7f0b48400000 rw-s 00000000 00:01 1029                       /memfd:area 15 (deleted)
7f0b48400000-7f0b48800000 rw-s 00000000 00:01 5                          /dev/zero (deleted)
7f0b48800000-7f0b48900000 ---p 00000000 00:00 0
7f0b48900000-7f0b48a00000 rw-p 00000000 00:00 0
7f0b48a00000-7f0b48b00000 r--p 00000000 fe:01 77                         /srv/with blank/libc.so.6
7ffd5ee4a000-7ffd5ee6b000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def _maps(ranges: Sequence[tuple[int, int]]) -> Mappings:
    lines = (f"{start:x}-{end:x} rw-p 00000000 00:00 0 " for start, end in ranges)
    return Mappings.parse("".join(line + "\n" for line in lines).encode())


def _target(ranges: Sequence[tuple[int, int]]) -> TargetSnapshot:
    start = np.array([each[0] for each in ranges], np.uint64)
    end = np.array([each[1] for each in ranges], np.uint64)
    count = np.arange(1, len(ranges) + 1, dtype=np.uint32)
    return TargetSnapshot(1, 1, start, end - start, count, count * np.uint32(10))


@st.composite
def ranges(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Sorted ranges, some of them without a gap between them."""
    bounds = sorted(draw(st.sets(st.integers(1, 200), max_size=24)))
    pairs = list(itertools.pairwise(bounds))
    there = draw(st.lists(st.booleans(), min_size=len(pairs), max_size=len(pairs)))
    return [pair for pair, used in zip(pairs, there, strict=True) if used]


NAMES = [
    (0x5581A4C2F000, "python3.11"),
    (0x5581B7C4D000, "[heap]"),
    (0x7F0B48000000, "area 15"),
    (0x7F0B48400000, SHARED),
    (0x7F0B48800000, NO_ACCESS),
    (0x7F0B48900000, "anonymous"),
    (0x7F0B48A00000, "libc.so.6"),
    (0x7FFD5EE4A000, "[stack]"),
    (0x5581B0000000, ""),
    (0xFFFFFFFFFF600000, ""),
]


@pytest.mark.parametrize(("addr", "name"), NAMES, ids=[name or hex(addr) for addr, name in NAMES])
def test_names(addr: int, name: str) -> None:
    """Files by their last part, memory without a file in words; a hole and the kernel's gate have no name."""
    assert Mappings.parse(REAL).name(addr, addr + PAGE) == name


def test_a_mixture_is_counted() -> None:
    """Half of a range may give it its name; of less the reader learns what else is there."""
    maps = Mappings.parse(REAL)
    assert maps.name(0x7F0B48000000, 0x7F0B48800000) == "area 15"
    assert maps.name(0x7F0B48700000, 0x7F0B48B00000) == f"{SHARED} +3"


@given(regions=ranges(), mapped=ranges())
def test_cut_leaves_what_is_in_both(regions: list[tuple[int, int]], mapped: list[tuple[int, int]]) -> None:
    """Byte by byte: what is left was monitored and mapped, with the age of its region; pieces stay in order.

    What its samples found is put down to what is mapped of it, at most twice.
    """
    left = _maps(mapped).cut(_target(regions))
    by_byte = {
        byte: (int(nr), int(age))
        for start, size, nr, age in zip(left.start, left.size, left.nr_accesses, left.age, strict=True)
        for byte in range(int(start), int(start + size))
    }
    is_mapped = {byte for start, end in mapped for byte in range(start, end)}
    expected = {}
    for number, (start, end) in enumerate(regions, 1):
        there = is_mapped & set(range(start, end))
        accesses = round(number * min((end - start) / max(len(there), 1), 2))
        expected |= dict.fromkeys(there, (accesses, number * 10))
    assert by_byte == expected
    assert np.all(left.size > 0)
    assert np.all(left.start[1:] >= (left.start + left.size)[:-1])


@pytest.mark.parametrize(
    ("share", "least", "most"),
    [(1.0, 0.79, 0.81), (0.75, 0.77, 0.83), (0.5, 0.75, 0.85), (0.25, 0.37, 0.43), (0.01, 0.0, 0.05)],
)
def test_holes_do_not_make_it_look_colder(
    snapshot_of: Callable[..., Snapshot], share: float, least: float, most: float
) -> None:
    """Samples anywhere in a region whose mapped part is touched four times in five: on average that is its heat.

    Where less than half is mapped it looks colder still, rather than hot by chance.
    """
    rng = np.random.default_rng(7)
    heats = []
    for _ in range(2000):
        hits = int(np.count_nonzero((rng.random(20) < share) & (rng.random(20) < 0.8)))
        found = cut(snapshot_of({1: [(0, 1000, hits)]}), {1: _maps([(0, int(1000 * share))])})
        heats.append(found.targets[0].nr_accesses[0] / 20)
    assert least < np.mean(heats) < most


def test_a_hole_takes_nothing_from_the_sum(snapshot_of: Callable[..., Snapshot]) -> None:
    """Size times accesses is the same before and after, and no count exceeds the samples of the window."""
    snapshot = snapshot_of({1: [(0, 100, 9), (100, 200, 12)]})
    left = cut(snapshot, {1: _maps([(10, 40), (60, 90), (100, 150)])}).targets[0]
    assert list(zip(left.start.tolist(), left.size.tolist(), left.nr_accesses.tolist(), strict=True)) == [
        (10, 30, 15),
        (60, 30, 15),
        (100, 50, 20),
    ]


def test_mappings_side_by_side_do_not_cut() -> None:
    """Only holes do: a region over neighbouring mappings stays one."""
    left = _maps([(0, 10), (10, 20), (30, 40)]).cut(_target([(5, 35)]))
    assert list(zip(left.start.tolist(), left.size.tolist(), strict=True)) == [(5, 15), (30, 5)]


def test_only_processes_are_cut(snapshot_of: Callable[..., Snapshot]) -> None:
    """A target of which nothing is known, as in physical memory, stays as it was."""
    snapshot = snapshot_of({1: [(0, 100, 5)], 2: [(0, 100, 5)]})
    assert cut(snapshot, {}) is snapshot
    left = cut(snapshot, {1: _maps([(50, 60)])})
    assert [each.size.tolist() for each in left.targets] == [[10], [100]]
    assert (left.total_bytes, left.accessed_bytes) == (110, 110)


@given(text=st.binary(max_size=200))
def test_nothing_breaks_it(text: bytes) -> None:
    """What is no line of maps is passed over."""
    assert len(Mappings.parse(text)) >= 0


def test_samples_are_shared_by_size() -> None:
    """Those that looked at a hole say nothing about what is mapped beside it."""
    start, size = np.array([0], np.uint64), np.array([100], np.uint64)
    one = np.array([1], np.uint32)
    target = TargetSnapshot(1, 1, start, size, one, one, np.array([50], np.uint32))
    assert _maps([(0, 40), (80, 100)]).cut(target).nr_samples.tolist() == [20, 10]
