"""8-byte words at many places of one file: what pagemap, kpageflags and page_idle have in common.

What they cost is system calls. Natively one takes 0.4 to 1.1 us, and there is nothing to be saved (x86-64, Linux
6.18); where it takes 10 us and more, words that lie close to each other share one: see :class:`Reach`.
"""

import errno
import os
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

WORD_SZ: Final = 8
"""Bytes of one entry of pagemap and kpageflags, and of 64 frames in page_idle/bitmap."""

_SHIFT: Final = np.uint64(WORD_SZ.bit_length() - 1)
_ONE: Final = np.uint64(1)
_ANYWHERE: Final = 63
_RUNS: Final = 5

_DEAR_NS: Final = 3_000
"""Below this it costs more to look for neighbours (0.1 us per word) and to read what is between than a call does."""

_FARTHEST: Final = 2048
"""Whatever was measured: 16 KiB that are read in vain are enough."""

Words = NDArray[np.uint64]
Indexes = NDArray[np.intp]


_NONE: Final = np.zeros(0, np.intp)


class Reach:
    """How many words between two are read or written along rather than paid for with another system call.

    Natively none, in user-mode Linux about 1000 of pagemap, 300 of kpageflags and 50 of page_idle: it is to be
    measured, on a part of the file that is in use.

    Attributes:
        words: How many; 0, until it is measured and where a system call is cheap: no word shares one with another.
    """

    def __init__(self) -> None:
        self.words = 0
        self.measured = False
        self._buffer = np.zeros(0, np.uint64)

    def measure(self, access: Callable[[int], object], words: int) -> None:
        """Compare one word with a number of them; ``access`` reads or writes so many of them, without an effect."""
        clock, one, many = (_least_ns(access, number) for number in (0, 1, words))
        dear = one - clock >= _DEAR_NS
        self.words = min((one - clock) * (words - 1) // max(many - one, 1), _FARTHEST) if dear else 0
        self.measured = True

    def buffer(self, words: int) -> Words:
        """Return room for so many words, the same each time: fresh memory would cost a page fault per 512 of them."""
        if len(self._buffer) < words:
            self._buffer = np.zeros(2 * words, np.uint64)
        return self._buffer[:words]

    def forget(self) -> None:
        """Measure anew: what a word costs may have changed."""
        self.measured = False


def _least_ns(access: Callable[[int], object], words: int) -> int:
    """Time one access, the fastest of a few; none at all with 0 words, for the price of looking at the clock."""
    times = []
    for _ in range(_RUNS):
        begin = time.perf_counter_ns()
        if words:
            access(words)
        times.append(time.perf_counter_ns() - begin)
    return min(times)


class _Stretches(NamedTuple):
    """Which system calls are made for some words, and where in all their data each word is. Bytes, words."""

    offsets: list[int]
    sizes: list[int]
    places: Indexes


def _stretches(numbers: Words, reach: int, block_order: int) -> _Stretches:
    """Join words to stretches; a number that is less than the one before begins another."""
    step = numbers[1:] - numbers[:-1]  # what is less wraps round, and is far away
    near = step <= np.uint64(reach + 1)
    if block_order < _ANYWHERE:
        blocks = numbers >> np.uint64(block_order)
        near &= blocks[1:] == blocks[:-1]
    last = np.append((~near).nonzero()[0], len(near))[: len(numbers)]
    first = np.zeros_like(last)
    first[1:] = last[:-1] + 1
    begin = numbers[first]
    sizes = numbers[last] - begin + _ONE
    shift = sizes.cumsum() - sizes - begin
    places = numbers + shift.repeat(last - first + 1)
    return _Stretches((begin << _SHIFT).tolist(), (sizes << _SHIFT).tolist(), places.astype(np.intp))


def read_words(fd: int, numbers: Words, reach: Reach | None = None, *, block_order: int = _ANYWHERE) -> Words:
    """Read words by their numbers; those behind the end of the file are 0.

    Args:
        fd: The file.
        numbers: Which words, counted from its beginning. In any order; neighbours share a system call.
        reach: Which of them do; none if there is none.
        block_order: No system call goes across a multiple of 2**block_order words.
    """
    if reach is None or not reach.words:
        pread = os.pread
        words = [pread(fd, WORD_SZ, offset) for offset in (numbers << _SHIFT).tolist()]
        data = b"".join(words)
        if len(data) != WORD_SZ * len(numbers):
            data = b"".join([word.ljust(WORD_SZ, b"\0") for word in words])
        return np.frombuffer(data, np.uint64)
    return read_runs(fd, numbers, reach, block_order=block_order)


def read_runs(fd: int, numbers: Words, reach: Reach, *, block_order: int = _ANYWHERE) -> Words:
    """Read words of which neighbours follow each other; arguments and result as those of :func:`read_words`.

    512 in one call cost a thirtieth of as many calls.
    """
    offsets, sizes, places = _stretches(numbers, reach.words, block_order)
    room = reach.buffer(sum(sizes) // WORD_SZ)
    view, begin = room.view(np.uint8).data, 0
    for size, offset in zip(sizes, offsets, strict=True):
        done = os.preadv(fd, [view[begin : begin + size]], offset)
        begin += size
        if done < size:
            room[(begin - size + done) // WORD_SZ : begin // WORD_SZ] = 0
    return room[places]


def write_words(
    fd: int, numbers: Words, words: Words, reach: Reach | None = None, *, block_order: int = _ANYWHERE
) -> Indexes:
    """Write words by their numbers, which ascend; return the indexes of those behind the end of the file.

    Args:
        fd: The file.
        numbers: Which words, counted from its beginning.
        words: What to write.
        reach: Which neighbours share a system call, with zeros for what is between them; none if there is none.
        block_order: No system call goes across a multiple of 2**block_order words.
    """
    if reach is None or not reach.words:
        offsets, pieces = (numbers << _SHIFT).tolist(), words.view(f"V{WORD_SZ}").tolist()
        done = [put(fd, piece, offset) for piece, offset in zip(pieces, offsets, strict=True)]
        return np.flatnonzero(np.array(done) < WORD_SZ) if sum(done) < WORD_SZ * len(done) else _NONE
    offsets, sizes, places = _stretches(numbers, reach.words, block_order)
    room = reach.buffer(sum(sizes) // WORD_SZ)
    room[:] = 0
    room[places] = words
    view, taken, begin = room.view(np.uint8).data, [], 0
    for size, offset in zip(sizes, offsets, strict=True):
        written = put(fd, view[begin : begin + size], offset)
        taken.append(np.arange(0, size, WORD_SZ) < written)
        begin += size
    return np.flatnonzero(~np.concatenate(taken)[places]) if taken else _NONE


def put(fd: int, data: bytes | memoryview, offset: int) -> int:
    """Write as much as there is a place for; return how much that is. Bytes."""
    try:
        return os.pwrite(fd, data, offset)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return 0
