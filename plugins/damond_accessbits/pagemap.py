"""From virtual addresses to page frames (/proc/PID/pagemap)."""

import os
from typing import Final

import numpy as np

from damond.errors import SourceUnavailableError
from damond.units import PAGE_SIZE
from damond_accessbits.words import WORD_SZ, Reach, Words, read_runs, read_words

PRESENT: Final = 1 << 63
"""The page is in memory (PM_PRESENT, fs/proc/task_mmu.c, Linux 6.12)."""

PFN_MASK: Final = (1 << 55) - 1
"""Where the frame number is (PM_PFRAME_MASK, fs/proc/task_mmu.c, Linux 6.12)."""

_MEASURED: Final = 512
"""Entries that are read to see what one costs; natively 13 us."""

_NO_FRAME: Final = np.uint64(0)
_PRESENT: Final = np.uint64(PRESENT)
_PFN_MASK: Final = np.uint64(PFN_MASK)
_PAGE_SHIFT: Final = np.uint64(PAGE_SIZE.bit_length() - 1)


class HiddenFramesError(SourceUnavailableError):
    """The kernel shows that pages are present, but not where: the reader has no CAP_SYS_ADMIN."""

    def __init__(self) -> None:
        super().__init__(
            "page_idle",
            "/proc/PID/pagemap shows no frame numbers to a process without CAP_SYS_ADMIN",
            hint='run as root, or use source = "referenced", which needs no privilege',
        )


def frames_of(entries: Words) -> Words:
    """Return the frame numbers in entries of pagemap; 0 where no page is present.

    Raises:
        HiddenFramesError: A page is present and its frame number is 0: frame 0 is never given to a process.
    """
    present = entries >= _PRESENT
    frames: Words = np.where(present, entries & _PFN_MASK, _NO_FRAME)
    if np.count_nonzero(frames) != np.count_nonzero(present):
        raise HiddenFramesError
    return frames


def read_frames_in_runs(fd: int, pages: Words) -> Words:
    """Look up the frames behind pages, of which neighbours follow each other; 0 where no page is present.

    Raises:
        HiddenFramesError: See :func:`frames_of`.
    """
    return frames_of(read_runs(fd, pages))


def read_frames(fd: int, addrs: Words, reach: Reach | None = None) -> Words:
    """Look up the frames behind addresses in an open pagemap; 0 where no page is present.

    Args:
        fd: The pagemap.
        addrs: The addresses; best in ascending order.
        reach: How far apart entries may be that share a system call; measured here at the first occasion.

    Raises:
        HiddenFramesError: See :func:`frames_of`.
    """
    frames = frames_of(read_words(fd, addrs >> _PAGE_SHIFT, reach.words if reach is not None else 0))
    if reach is not None and not reach.measured and (there := np.flatnonzero(frames)).size:
        offset = entry_offset(addrs[there[0]])
        reach.measure(lambda words: os.pread(fd, words * WORD_SZ, offset), _MEASURED)
    return frames


def entry_offset(addr: int | np.uint64) -> int:
    """Return where in pagemap the entry of an address is. Bytes."""
    return int(addr) // PAGE_SIZE * WORD_SZ
