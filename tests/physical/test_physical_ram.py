"""Where memory is: iomem, zoneinfo, and ranges that the user gives."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import AddrRange
from damond.errors import InvalidOptionError, SourceUnavailableError
from damond.plugin import parse_options
from damond_accessbits import Root
from damond_physical import PhysicalOptions
from damond_physical.ram import parse_ranges, system_ram
from tests.accessbits.faketree import PAGE, FakeTree

IOMEM = """\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-000fffff : Reserved
00100000-bfffffff : System RAM
  01000000-02276507 : Kernel code
100000000-63fffffff : System RAM
4000000000-43ffffffff : Persistent Memory
  4000000000-43ffffffff : System RAM (kmem)
"""
HIDDEN = "00000000-00000000 : Reserved\n00000000-00000000 : System RAM\n"
ZONEINFO = """\
Node 0, zone      DMA
  pages free     2814
        spanned  4095
        present  3998
        managed  3840
  pagesets
    cpu: 0
  start_pfn:           1
Node 0, zone    DMA32
        spanned  520160
  start_pfn:           4096
Node 0, zone   Movable
        spanned  0
        present  0
"""


def found(tree: FakeTree) -> list[tuple[int, int]]:
    return [(each.start, each.end) for each in system_ram(tree.root)]


def test_iomem_is_read(tmp_path: Path) -> None:
    """System RAM is what is called so, at any depth; whole pages only, and the last address is part of a range."""
    tree = FakeTree(tmp_path)
    tree.text("proc/iomem", IOMEM)
    tree.text("proc/zoneinfo", ZONEINFO)
    assert found(tree) == [
        (0x1000, 0x9F000),
        (0x100000, 0xC0000000),
        (0x100000000, 0x640000000),
        (0x4000000000, 0x4400000000),
    ]


@pytest.mark.parametrize("iomem", [pytest.param("", id="empty"), pytest.param(HIDDEN, id="hidden")])
def test_zones_where_iomem_does_not_tell(tmp_path: Path, iomem: str) -> None:
    """Where iomem is empty, or shows zeros for addresses, the zones say where memory is; empty zones are left out."""
    tree = FakeTree(tmp_path)
    tree.text("proc/iomem", iomem)
    tree.text("proc/zoneinfo", ZONEINFO)
    assert found(tree) == [(PAGE, 4096 * PAGE), (4096 * PAGE, (4096 + 520160) * PAGE)]


NODES = """Node 0, zone   Normal
        spanned  262144
  start_pfn:           1048576
Node 0, zone  Movable
        spanned  0
        managed  0
Node 1, zone      DMA
        spanned  0
        managed  0
Node 1, zone   Normal
        spanned  524288
  start_pfn:           2097152
"""


def test_zones_behind_empty_ones(tmp_path: Path) -> None:
    """An empty zone, of which only sizes are printed, hides none of those behind it."""
    tree = FakeTree(tmp_path)
    tree.text("proc/zoneinfo", NODES)
    assert found(tree) == [(1048576 * PAGE, (1048576 + 262144) * PAGE), (2097152 * PAGE, (2097152 + 524288) * PAGE)]


def test_nobody_tells(tmp_path: Path) -> None:
    """Where neither file tells, the error names the option that helps."""
    with pytest.raises(SourceUnavailableError, match="zoneinfo") as info:
        system_ram(Root(str(tmp_path)))
    assert "ranges" in info.value.hint


def test_this_machine_has_memory() -> None:
    """The memory of this machine is found, sorted and disjoint, and it is no less than the kernel says it manages."""
    ram = system_ram(Root())
    assert all(left.end <= right.start for left, right in itertools.pairwise(ram))
    total_kib = int(Path("/proc/meminfo").read_text().split()[1])
    assert sum(each.size for each in ram) >= total_kib * 1024


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(["0x100000-0x80000000"], [(0x100000, 0x80000000)], id="hexadecimal"),
        pytest.param(["1MiB-2GiB"], [(1 << 20, 2 << 30)], id="units"),
        pytest.param("4GiB-5GiB,1MiB-2MiB", [(1 << 20, 2 << 20), (4 << 30, 5 << 30)], id="one text, unsorted"),
        pytest.param(["0x100001-0x101fff"], [(0x100000, 0x102000)], id="whole pages"),
    ],
)
def test_ranges_as_given(given: object, expected: list[tuple[int, int]]) -> None:
    """Bounds are hexadecimal or have units; ranges are sorted and aligned outwards to pages."""
    assert [(each.start, each.end) for each in parse_ranges(given)] == expected


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(["1MiB"], id="no end"),
        pytest.param(["2MiB-1MiB"], id="end before start"),
        pytest.param(["a-b"], id="no numbers"),
        pytest.param(["0xzz-0x10"], id="no hexadecimal number"),
        pytest.param(["1MiB-3MiB", "2MiB-4MiB"], id="overlap"),
        pytest.param([1, 2], id="numbers"),
        pytest.param(7, id="no list"),
    ],
)
def test_impossible_ranges_are_refused(given: object) -> None:
    """What is no list of ranges is refused as an option, before anything starts."""
    with pytest.raises(InvalidOptionError):
        parse_options("physical", PhysicalOptions, {"ranges": given})


@given(st.lists(st.integers(0, 2**30), unique=True, max_size=20).map(sorted))
def test_ranges_come_back(points: list[int]) -> None:
    """Whole pages are read as they were written, in either notation."""
    pages = [AddrRange(a * PAGE, b * PAGE) for a, b in zip(points[::2], points[1::2], strict=False)]
    assert parse_ranges([f"{each.start:#x}-{each.end}" for each in pages]) == tuple(pages)
