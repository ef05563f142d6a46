"""Blocks of pages: one check looks at several neighbours, so that heat that is sparse is seen sooner."""

import logging
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.units import PAGE_SIZE
from damond_accessbits.words import Words

_log = logging.getLogger(__name__)

MAX_BLOCK: Final = 64
"""Pages of the largest block: one word of page_idle/bitmap, if their frames are neighbours too."""

AUTO: Final = "auto"
"""Stands for a size that is chosen by the amount of memory."""

_PARTS: Final = 1 << 18
"""A block that is chosen is at most this part of what is monitored: single pages up to 1 GiB, 64 from 64 GiB on."""

_CHEAP_WORDS: Final = 4.0
"""Words of the bitmap that a block may lie in, on average: more of them cost more than they show."""


def parse_block(given: object) -> int | str:
    """Read the option ``block``: "auto", or a power of two from 1 to 64.

    Raises:
        ValueError: It is neither.
    """
    if given == AUTO:
        return AUTO
    number = int(given) if isinstance(given, int | str) and str(given).isdecimal() and given is not True else 0
    if number not in [1 << order for order in range(MAX_BLOCK.bit_length())]:
        raise ValueError('must be "auto" or a power of two from 1 to 64 (pages)')
    return number


def auto_block(total_sz: int) -> int:
    """Choose the pages of a block by the bytes that are monitored."""
    fitting = max(1, total_sz // PAGE_SIZE // _PARTS)
    return min(MAX_BLOCK, 1 << (fitting.bit_length() - 1))


class BlockSize:
    """How many pages one check looks at.

    Args:
        asked: As the option says.

    Attributes:
        pages: Of a block, at the moment.
    """

    def __init__(self, asked: int | str) -> None:
        self._asked = asked
        self._most = MAX_BLOCK
        self._words = self._blocks = 0
        self.pages = asked if isinstance(asked, int) else 1

    def fit(self, total_sz: int) -> None:
        """Choose anew for so many bytes, if that is wanted."""
        if self._asked == AUTO:
            self.pages = min(auto_block(total_sz), self._most)

    def passed(self, nr_blocks: int, nr_words: int) -> None:
        """Take note of what a pass cost: blocks, and words of the bitmap that their frames were in."""
        self._blocks += nr_blocks
        self._words += nr_words

    def aggregated(self, name: str) -> None:
        """Halve blocks that are not cheap here, if they were chosen: their frames are scattered."""
        words, blocks = self._words, self._blocks
        self._words = self._blocks = 0
        if self._asked == AUTO and self.pages > 1 and words > _CHEAP_WORDS * blocks:
            self.pages = self._most = self.pages // 2
            _log.info("%s: frames are scattered: a check looks at %d pages now", name, self.pages)


def pages_of(start: Words, end: Words) -> tuple[Words, NDArray[np.intp]]:
    """List the numbers of the pages of blocks, one after the other.

    Args:
        start: First address of each block. Bytes.
        end: End of each. Bytes.

    Returns:
        Numbers of pages, and for each block where its pages begin among them.
    """
    first = start // np.uint64(PAGE_SIZE)
    count = ((end - start) // np.uint64(PAGE_SIZE)).astype(np.int64)
    begin = np.cumsum(count) - count
    steps = np.arange(int(count.sum())) - np.repeat(begin, count)
    return np.repeat(first, count) + steps.astype(np.uint64), begin


def chosen_of(addrs: Words, start: Words, begin: NDArray[np.intp]) -> NDArray[np.intp]:
    """Say which page each block was chosen by: evenly among all, so that it stands for those that can't be looked at.

    Args:
        addrs: The address that each block was chosen by. Bytes.
        start: First address of each block. Bytes.
        begin: As :func:`pages_of` returns it.
    """
    return begin + ((addrs - start) // np.uint64(PAGE_SIZE)).astype(np.intp)


def any_of(values: NDArray[np.bool_], begin: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Say for each block whether any of its pages is so; ``begin`` as :func:`pages_of` returns it."""
    return np.logical_or.reduceat(values, begin) if len(begin) else np.zeros(0, bool)
