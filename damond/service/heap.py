"""Memory that the allocator holds though nothing is in it: too little makes work, too much is a loss."""

import ctypes
import functools
from collections.abc import Callable
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Parameters of mallopt(3), from malloc.h."""

_KEPT_SZ: Final = 1 << 20
"""Bytes of free memory that a worker may hold on to."""


@functools.cache
def _trim() -> Callable[[int], object]:
    """Find malloc_trim(3): of glibc; other C libraries have none and need none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)


def keep() -> None:
    """Hold on to a mebibyte that is free, for this process.

    By itself glibc gives arrays of 128 KiB back to the system at once, and takes a page fault for every 4 KiB of the
    next one: a fifth of the CPU time of a worker with 1000 regions. Other C libraries have no such parameters.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_SZ)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_SZ)


def give_back() -> None:
    """Give what is free back to the system; takes milliseconds.

    Snapshots that are kept for replay lie between buffers that were freed: glibc returns only what is free at the end
    of its heaps, and a service whose contexts come and go seems to grow by 9 KiB with each.
    """
    _trim()(0)
