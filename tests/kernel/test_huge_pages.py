"""Huge pages, hugetlbfs and NUMA's way to drain, in the emulated machine: exact to the folio."""

import mmap
from pathlib import Path

import numpy as np
import pytest

from damond.core import Context, Target
from damond.units import PAGE_SIZE
from damond_accessbits import IdleFrames, Root
from damond_accessbits.drain import _SYS_MOVE_PAGES, _by_turns, _move_no_pages, drain_lru_batches
from damond_accessbits.pageflags import PageFlags
from damond_vaddr import Vaddr, VaddrOptions
from tests.kernel.rig import LIMIT_S, frames_of, toucher

pytestmark = [pytest.mark.thp, pytest.mark.timeout(2 * LIMIT_S)]

MIB = 1 << 20
HUGE = 2 * MIB
HUGE_PAGES = HUGE // PAGE_SIZE


def always_huge() -> bool:
    return "[always]" in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()


def accessed_after(touched: list[int], size: int, kind: str = "") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mark all pages of a mapping and touch one byte in some.

    Returns:
        The frame that carries the bit of each page, what was accessed, and what is unknown.
    """
    with toucher() as child:
        address = child.map(size, kind)
        frames = frames_of(child.pid, address, size // PAGE_SIZE)
        drain_lru_batches()
        flags = PageFlags(Root())
        idle = IdleFrames(Root())
        idle.mark(frames)
        for page in touched:
            child.ask("touch", address + page * PAGE_SIZE, PAGE_SIZE, 1)
        found = idle.accessed()
        carriers, _ = flags.carriers(frames)
        idle.close()
        flags.close()
        return carriers, found, idle.unknown


def test_exact_to_the_folio() -> None:
    """Touching single bytes of 64 MiB finds exactly their folios: huge pages where there are any, else single pages."""
    touched = [1000, 5 * HUGE_PAGES + 7, 9 * HUGE_PAGES + 511, 16000]
    carriers, found, unknown = accessed_after(touched, 64 * MIB)
    assert not unknown.any()
    assert np.flatnonzero(found != np.isin(carriers, carriers[touched])).tolist() == []
    if always_huge():
        # The mapping need not begin at a huge page: one that is touched may lie at its end, in single pages.
        assert HUGE_PAGES * (len(touched) - 1) <= found.sum() <= HUGE_PAGES * len(touched)
    else:
        assert np.flatnonzero(found).tolist() == touched


def test_pages_of_hugetlbfs_are_unknown() -> None:
    """Huge pages of hugetlbfs are on no LRU list: unknown, not accessed, and no error."""
    Path("/proc/sys/vm/nr_hugepages").write_text("4")
    try:
        _, found, unknown = accessed_after([0], 2 * HUGE, "hugetlb")
    finally:
        Path("/proc/sys/vm/nr_hugepages").write_text("0")
    assert unknown.all()
    assert not found.any()


@pytest.mark.parametrize("way", ["move_pages", "by_turns"])
def test_both_ways_drain(way: str) -> None:
    """Freshly faulted pages get to the LRU lists by either way to drain."""
    memory = mmap.mmap(-1, 64 * PAGE_SIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    pages = np.frombuffer(memory, np.uint8)
    address = int(pages.__array_interface__["data"][0])
    idle = IdleFrames(Root())
    for page in range(64):
        # Reading a file of /proc may drain the batch of this CPU, or the last fault may have filled it.
        memory[page * PAGE_SIZE] = 1
        frames = frames_of("self", address + page * PAGE_SIZE, 1)
        idle.mark(frames)
        if idle.unknown[0]:
            break
    assert idle.unknown[0]
    assert _move_no_pages(_SYS_MOVE_PAGES["x86_64"]) if way == "move_pages" else _by_turns()
    idle.mark(frames)
    assert not idle.unknown[0]
    idle.close()


def test_vaddr_finds_a_hot_huge_page() -> None:
    """A pass of vaddr over single huge pages counts an access for the touched ones, wherever it looks in them."""
    with toucher() as child:
        address = child.map(32 * MIB, "thp")
        first = -(-address // HUGE) * HUGE
        primitive = Vaddr(VaddrOptions(source="page_idle"))
        ctx = Context(attrs=primitive.attrs({}), targets=[Target(child.pid)])
        primitive.init(ctx)
        drain_lru_batches()
        ctx.targets[0].set_ranges([(first + n * HUGE, first + (n + 1) * HUGE) for n in range(8)])
        primitive.prepare_access_checks(ctx)
        whole = HUGE_PAGES
        child.ask("touch", first + 2 * HUGE, PAGE_SIZE, whole)
        assert primitive.check_accesses(ctx) == 1
        assert ctx.targets[0].regions.nr_accesses.tolist() == [0, 0, 1, 0, 0, 0, 0, 0]
        assert ctx.unknown == 0
        primitive.cleanup(ctx)
