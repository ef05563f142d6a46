"""8-byte words at many places of one file: what pagemap, kpageflags and page_idle have in common.

One system call per word and nothing else per word: numpy decodes all of them at once. At 1000 regions and 5 ms
there are 800,000 of these calls a second, so that each microsecond here is most of a CPU.
"""

import errno
import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

WORD_SZ: Final = 8
"""Bytes of one entry of pagemap and kpageflags, and of 64 frames in page_idle/bitmap."""

_NOTHING: Final = bytes(WORD_SZ)

Words = NDArray[np.uint64]


def read_words(fd: int, offsets: list[int]) -> Words:
    """Read one word at each offset; a place behind the end of the file reads 0. Offsets in bytes."""
    pread = os.pread
    words = [pread(fd, WORD_SZ, offset) for offset in offsets]
    data = b"".join(words)
    if len(data) != WORD_SZ * len(offsets):
        data = b"".join([word if len(word) == WORD_SZ else _NOTHING for word in words])
    return np.frombuffer(data, np.uint64)


def read_runs(fd: int, numbers: Words) -> Words:
    """Read the words of these numbers, neighbours at once: 512 in one call cost a thirtieth of as many calls each.

    Args:
        fd: The file.
        numbers: Number n is at 8 * n; in any order, but what is to be read at once must be neighbours and ascending.

    Returns:
        The words; behind the end of the file they are 0.
    """
    if not len(numbers):
        return np.zeros(0, np.uint64)
    begin = np.concatenate([[0], np.flatnonzero(np.diff(numbers) != 1) + 1])
    sizes = (np.diff(np.concatenate([begin, [len(numbers)]])) * WORD_SZ).tolist()
    pread = os.pread
    places = (numbers[begin] * np.uint64(WORD_SZ)).tolist()
    parts = [pread(fd, size, place) for size, place in zip(sizes, places, strict=True)]
    data = b"".join(parts)
    if len(data) != WORD_SZ * len(numbers):
        data = b"".join([part.ljust(size, b"\0") for part, size in zip(parts, sizes, strict=True)])
    return np.frombuffer(data, np.uint64)


def write_words(fd: int, offsets: list[int], words: Words) -> list[int]:
    """Write one word at each offset; return the indexes of those behind the end of the file (ENXIO)."""
    pwrite = os.pwrite
    data: list[bytes] = words.view(f"V{WORD_SZ}").tolist()
    try:
        for offset, word in zip(offsets, data, strict=True):
            pwrite(fd, word, offset)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return _write_one_by_one(fd, offsets, data)
    return []


def _write_one_by_one(fd: int, offsets: list[int], data: list[bytes]) -> list[int]:
    beyond = []
    for index, (offset, word) in enumerate(zip(offsets, data, strict=True)):
        try:
            os.pwrite(fd, word, offset)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            beyond.append(index)
    return beyond
