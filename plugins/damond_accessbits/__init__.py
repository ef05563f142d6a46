"""Readers of the accessed bits that Linux shows to user space, shared by the primitives ``vaddr`` and ``physical``.

- :mod:`~damond_accessbits.pagemap`: virtual address -> page frame (/proc/PID/pagemap);
- :mod:`~damond_accessbits.pageflags`: what a frame is used for, and the head of a folio (/proc/kpageflags);
- :mod:`~damond_accessbits.idle`: mark frames idle, see later which were accessed (page_idle);
- :mod:`~damond_accessbits.smaps`: the same for whole mappings, without privilege (clear_refs and smaps);
- :mod:`~damond_accessbits.kdamonds`: whether the kernel's own DAMON runs, which would ruin it all;
- :mod:`~damond_accessbits.probe`: what of this works on this machine.

A library, not a plugin: it offers no hook.
"""

from damond_accessbits.idle import IdleFrames
from damond_accessbits.kdamonds import Finding, find_kdamonds, refuse_kdamonds
from damond_accessbits.pagemap import HiddenFramesError, read_frames
from damond_accessbits.probe import TLB_NOTE, probe_page_idle, probe_referenced
from damond_accessbits.root import Root
from damond_accessbits.smaps import Smaps, parse_smaps

__all__ = [
    "TLB_NOTE",
    "Finding",
    "HiddenFramesError",
    "IdleFrames",
    "Root",
    "Smaps",
    "find_kdamonds",
    "parse_smaps",
    "probe_page_idle",
    "probe_referenced",
    "read_frames",
    "refuse_kdamonds",
]
