"""Memory that the allocator holds though nothing is in it."""

import ctypes
import functools
from collections.abc import Callable


@functools.cache
def _trim() -> Callable[[int], object]:
    """Find malloc_trim(3): of glibc; other C libraries have none and need none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)


def give_back() -> None:
    """Give what is free back to the system; takes milliseconds.

    Snapshots that are kept for replay lie between buffers that were freed: glibc returns only what is free at the end
    of its heaps, and a service whose contexts come and go seems to grow by 9 KiB with each.
    """
    _trim()(0)
