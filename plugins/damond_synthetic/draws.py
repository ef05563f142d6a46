"""Chance without a state: a page has one result per pass, whoever looks, in whatever order."""

from typing import Final

import numpy as np

from damond_synthetic.spatial import Floats, Pages

_MASK: Final = 2**64 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB


def draw_key(*parts: int) -> int:
    """Mix numbers into a key of 64 bits (SplitMix64: Steele, Lea and Flood, 2014)."""
    key = 0
    for part in parts:
        key = ((key + _GOLDEN) ^ part) & _MASK
        key = ((key ^ (key >> 30)) * _MIX_1) & _MASK
        key = ((key ^ (key >> 27)) * _MIX_2) & _MASK
        key ^= key >> 31
    return key


def draw(key: int, pages: Pages) -> Floats:
    """Draw one number in [0, 1) per page: chance without a state, so that a page has one result per key."""
    x = pages ^ np.uint64(key)
    x ^= x >> np.uint64(30)
    x *= np.uint64(_MIX_1)
    x ^= x >> np.uint64(27)
    x *= np.uint64(_MIX_2)
    x ^= x >> np.uint64(31)
    x >>= np.uint64(11)
    return x.astype(np.float64) * 2.0**-53
