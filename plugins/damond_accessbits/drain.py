"""Bring freshly faulted pages from per-CPU batches to the LRU lists, where they can be marked.

Up to 31 pages per CPU wait in a batch (FOLIO_BATCH_SIZE, include/linux/pagevec.h, Linux 6.12), and
time alone does not move them.
"""

import ctypes  # numpy has loaded it anyway
import mmap
import os
import platform
from typing import Final

from damond.errors import SourceUnavailableError
from damond.units import PAGE_SIZE

_SYS_MOVE_PAGES: Final = {"x86_64": 279, "aarch64": 239, "riscv64": 239, "loongarch64": 239, "ppc64le": 301}
"""Number of the system call (arch/*/entry/syscalls and include/uapi/asm-generic/unistd.h, Linux 6.12)."""

_MADV_COLD: Final = 20
"""include/uapi/asm-generic/mman-common.h, Linux 5.4; Python 3.11's mmap module has no name for it."""

_MAX_CPUS_BY_TURNS: Final = 8
"""Visiting a CPU waits for its run queue: not for large machines, and those have CONFIG_NUMA."""


def drain_lru_batches() -> bool:
    """Drain the batches of all CPUs; return False where there is no way.

    Moving no pages at all drains them as a preparation (do_pages_move, mm/migrate.c, Linux 6.12): 0.2 to
    2.5 ms in the emulated machine. Kernels without CONFIG_NUMA have no such call, and some
    containers forbid it: see :func:`_by_turns`.
    """
    number = _SYS_MOVE_PAGES.get(platform.machine())
    return (number is not None and _move_no_pages(number)) or _by_turns()


def _move_no_pages(number: int) -> bool:
    empty = (ctypes.c_int * 1)()
    return bool(ctypes.CDLL(None).syscall(number, 0, ctypes.c_ulong(0), None, empty, empty, 0) == 0)


def _by_turns() -> bool:
    """Visit every CPU and give it advice about a page of our own.

    The kernel drains the batch of the CPU at hand first (madvise_cold, mm/madvise.c, Linux 5.4; seen on 6.12 and
    7.2): 0.3 to 0.7 ms for two CPUs in the user-mode kernel.
    """
    allowed = os.sched_getaffinity(0)
    if len(allowed) > _MAX_CPUS_BY_TURNS:
        return False
    try:
        with mmap.mmap(-1, PAGE_SIZE) as page:
            for cpu in allowed:
                os.sched_setaffinity(0, {cpu})
                page.madvise(_MADV_COLD)
    except OSError as error:
        raise SourceUnavailableError(
            "page_idle", f"the LRU batches can't be drained: {error.strerror}", hint="report this with 'damond doctor'"
        ) from error
    finally:
        os.sched_setaffinity(0, allowed)
    return True
