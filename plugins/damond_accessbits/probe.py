"""What works on this machine, found out by trying."""

import mmap
import os
from functools import cache
from typing import Final

import numpy as np

from damond.core import MIN_REGION_SZ, SourceProbe
from damond.errors import DamondError, SourceUnavailableError
from damond_accessbits.idle import IdleFrames
from damond_accessbits.kdamonds import find_kdamonds
from damond_accessbits.pagemap import read_frames
from damond_accessbits.root import Root

TLB_NOTE: Final = (
    "accessed bits are cleared without a TLB flush, as the kernel's DAMON does: a hot set that fits the TLB of "
    "another CPU (64 KiB) may read as idle; from 1 MiB on none was missed"
)

# Measured for 256 MiB of small pages, Linux 6.18: clear_refs 2.3 ms, smaps 2.2 ms, reading its text 1.8 ms.
REFERENCED_NOTE: Final = (
    "sees a whole mapping at once, costs in proportion to memory (about 6 ms per 256 MiB and sample), and clears "
    "the accessed bits of the whole process for everybody else who reads them"
)


@cache
def own_page() -> tuple[mmap.mmap, int]:
    """Return a page of this process that is in memory, and its address."""
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    page[0] = 1
    return page, int(np.frombuffer(page, np.uint8).__array_interface__["data"][0])


def probe_page_idle(root: Root, *, by_process: bool) -> SourceProbe:
    """Try to open what page_idle needs and, for processes, to find the frame of a page of our own."""
    try:
        IdleFrames(root).close()
        if by_process:
            _find_own_page(root)
    except DamondError as error:
        reason = error.message.removeprefix("page_idle: ")
        return SourceProbe("page_idle", works=False, granularity=MIN_REGION_SZ, reason=reason, hint=error.hint)
    note = "one page per check; a huge page counts as a whole"
    return SourceProbe("page_idle", works=True, granularity=MIN_REGION_SZ, reason=note)


def _find_own_page(root: Root) -> None:
    _page, addr = own_page()
    try:
        fd = root.open("proc/self/pagemap")
    except OSError as error:
        raise SourceUnavailableError(
            "page_idle",
            f"/proc/PID/pagemap can't be read: {error.strerror}",
            hint="needs a kernel with CONFIG_PROC_PAGE_MONITOR",
        ) from error
    try:
        read_frames(fd, np.array([addr], np.uint64))
    finally:
        os.close(fd)


def probe_referenced(root: Root) -> SourceProbe:
    """See whether this kernel has clear_refs and smaps (CONFIG_PROC_PAGE_MONITOR)."""
    missing = [name for name in ("clear_refs", "smaps") if not root.path(f"proc/self/{name}").exists()]
    if missing:
        return SourceProbe(
            "referenced",
            works=False,
            granularity=0,
            reason=f"/proc/PID/{' and '.join(missing)} missing",
            hint="needs a kernel with CONFIG_PROC_PAGE_MONITOR",
        )
    return SourceProbe("referenced", works=True, granularity=0, reason=REFERENCED_NOTE)


def probe_warnings(root: Root, *, page_idle: bool) -> tuple[str, ...]:
    """Say what works against good results here; ``page_idle``: whether that is where they would come from."""
    running = [f"{each.owner} runs, and spoils what page_idle finds: {each.remedy}" for each in find_kdamonds(root)]
    return (*running, TLB_NOTE) if page_idle else tuple(running)
