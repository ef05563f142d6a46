"""Chance without a state: a page has one result per pass, whoever looks, in whatever order."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond_synthetic.spatial import Floats, Pages

Keys = NDArray[np.uint64]

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB
_FACTOR_1, _FACTOR_2 = np.uint64(_MIX_1), np.uint64(_MIX_2)
_SHIFT_1, _SHIFT_2, _SHIFT_3, _SHIFT_4 = map(np.uint64, (30, 27, 31, 11))


def draw_key(*parts: int) -> int:
    """Mix numbers into a key of 64 bits (SplitMix64: Steele, Lea and Flood, 2014)."""
    key = 0
    for part in parts:
        key = ((key + _GOLDEN) ^ part) & _MASK
        key = ((key ^ (key >> 30)) * _MIX_1) & _MASK
        key = ((key ^ (key >> 27)) * _MIX_2) & _MASK
        key ^= key >> 31
    return key


def draw_keys(key: int, numbers: range) -> Keys:
    """Mix each of some numbers into a key, as the last of the parts of :func:`draw_key`."""
    return _mix(np.array(numbers, np.uint64) ^ np.uint64((key + _GOLDEN) & _MASK))


def draw(key: int | Keys, pages: Pages) -> Floats:
    """Draw one number in [0, 1) per page: chance without a state, so that a page has one result per key.

    Args:
        key: One for all pages, or an array of keys (uint64) that fits the pages by numpy's rules.
        pages: Their numbers.
    """
    x = _mix(pages ^ np.asarray(key, np.uint64))
    x >>= _SHIFT_4
    return x.astype(np.float64) * 2.0**-53


def _mix(x: Keys) -> Keys:
    """Mix in place, as :func:`draw_key` does with one number."""
    shifted = x >> _SHIFT_1
    x ^= shifted
    x *= _FACTOR_1
    x ^= np.right_shift(x, _SHIFT_2, out=shifted)
    x *= _FACTOR_2
    x ^= np.right_shift(x, _SHIFT_3, out=shifted)
    return x
