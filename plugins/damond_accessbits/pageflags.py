"""What page frames are used for (/proc/kpageflags), and which frame carries the bits of a folio."""

import os
import sys
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.errors import SourceUnavailableError
from damond_accessbits.root import Root
from damond_accessbits.words import WORD_SZ, Reach, Words, read_runs, read_words

# include/uapi/linux/kernel-page-flags.h, Linux 6.12.
UPTODATE: Final = 1 << 3
LRU: Final = 1 << 5
BUDDY: Final = 1 << 10
MMAP: Final = 1 << 11
HEAD: Final = 1 << 15
TAIL: Final = 1 << 16
HUGETLB: Final = 1 << 17
NOPAGE: Final = 1 << 20
OFFLINE: Final = 1 << 23
ZERO_PAGE: Final = 1 << 24

MAX_ORDER: Final = 18
"""A folio is at most 2**18 frames: 1 GiB of 4 KiB pages (the largest hugetlb page of x86-64)."""

_BLOCK_ORDER: Final = 9
"""Sizes of folios are remembered per 2**9 frames: a transparent huge page of x86-64."""


_MEASURED: Final = 128
"""Frames whose flags are read to see what those of one cost; natively 12 us."""

Bools = NDArray[np.bool_]


def markable(flags: Words) -> Bools:
    """Say which frames can be marked idle: those on an LRU list (page_idle_get_folio, mm/page_idle.c, Linux 6.12)."""
    result: Bools = np.equal(flags & np.uint64(LRU | TAIL | HUGETLB | NOPAGE | OFFLINE), np.uint64(LRU))
    return result


def free(flags: Words) -> Bools:
    """Say which frames nobody uses, so that nobody accesses them."""
    return (flags & np.uint64(BUDDY)).astype(bool)


def waiting(flags: Words) -> Bools:
    """Say which frames look like pages that wait in a per-CPU batch for a place on an LRU list."""
    wanted = np.uint64(UPTODATE | MMAP)
    result: Bools = np.equal(flags & (wanted | np.uint64(LRU | TAIL | HUGETLB | ZERO_PAGE)), wanted)
    return result


class PageFlags:
    """/proc/kpageflags, open.

    Raises:
        SourceUnavailableError: It can't be opened.
    """

    def __init__(self, root: Root) -> None:
        try:
            self._fd = root.open("proc/kpageflags")
        except OSError as error:
            raise SourceUnavailableError(
                "page_idle",
                f"/proc/kpageflags can't be read: {error.strerror}",
                hint="run as root, on a kernel with CONFIG_PROC_PAGE_MONITOR",
            ) from error
        self._orders: dict[int, int] = {}
        self._reach = Reach()

    def read(self, frames: Words) -> Words:
        """Return the flags of frames, best in ascending order; 0 behind the last frame of the machine."""
        if not self._reach.measured and len(frames):
            offset = int(frames[0]) * WORD_SZ
            self._reach.measure(lambda words: os.pread(self._fd, words * WORD_SZ, offset), _MEASURED)
        return read_words(self._fd, frames, self._reach.words)

    def carriers(self, frames: Words, *, in_runs: bool = False) -> tuple[Words, Words]:
        """Find the frames that carry the idle bits of these ones: the head of the folio each belongs to.

        Args:
            frames: Numbers of frames.
            in_runs: Neighbours among them are likely to be neighbours in memory.

        Returns:
            The frames and their flags; a tail without a head stays as it is.
        """
        flags = read_runs(self._fd, frames) if in_runs else self.read(frames)
        tails = (flags & np.uint64(TAIL)).nonzero()[0]
        if not len(tails):
            return frames, flags
        carriers, flags = frames.copy(), flags.copy()
        tails = tails[np.argsort(frames[tails])]
        while len(tails):
            first = int(frames[tails[0]])
            head, found = self._head(first)
            # All that follow up to there are tails of the same folio, which is looked for once.
            reach = head + (1 << self._orders[first >> _BLOCK_ORDER]) if found & HEAD else first + 1
            nr_same = int(frames[tails].searchsorted(reach))
            carriers[tails[:nr_same]], flags[tails[:nr_same]] = head, found
            tails = tails[nr_same:]
        return carriers, flags

    def _head(self, tail: int) -> tuple[int, int]:
        """Return the head of a folio and its flags; (tail, TAIL) where there is none.

        A folio is aligned to its size (mm/page_alloc.c hands out aligned blocks, Linux 6.12), so that its head is
        ``tail`` with some low bits cleared, and clearing fewer stays inside: at most 18 looks, not 262,143 steps.
        """
        block = tail >> _BLOCK_ORDER
        if order := self._orders.get(block, 0):
            # The size seen last in the same place. Where the middle of it is a tail, the folio is still that large.
            head = tail >> order << order
            flags, middle = self._flags(head), self._flags(head + (1 << order - 1))
            if flags & HEAD and middle & TAIL:
                return head, flags
        for order in range(1, MAX_ORDER + 1):
            head = tail >> order << order
            flags = self._flags(head)
            if not flags & TAIL:
                self._orders[block] = order
                return (head, flags) if flags & HEAD else (tail, TAIL)
        return tail, TAIL

    def _flags(self, frame: int) -> int:
        return int.from_bytes(os.pread(self._fd, WORD_SZ, frame * WORD_SZ), sys.byteorder)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
