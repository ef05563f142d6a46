"""How the accesses of a track are spread over its pages.

A shape is a list of pieces. Within a piece the share of a page changes in one direction only (or not at all),
which is what lets the truth of huge ranges be found by bisection, without looking at every page.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pages = NDArray[np.uint64]
Floats = NDArray[np.float64]

_SUMMED: Final = 4096
"""Pages that are summed one by one before an integral takes over; the error of the rest is below 1e-6 of the sum."""

_GAUSSIAN_REACH: Final = 9.0
"""Sigmas behind which a normal density adds less than 1e-17 to its sum."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive pages of a track whose shares of the accesses are equal, rise only, or fall only.

    Attributes:
        first: First page, counted from the start of the track.
        end: The page behind the last one.
        share: The share of every page; or what gives the shares of pages, counted from the start of the track.
    """

    first: int
    end: int
    share: float | Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True)
class Shape:
    """The shares of all pages of a track; they sum up to one, but for :func:`together`.

    Attributes:
        pieces: In address order, without gaps or overlap.
        greatest: The share of the page that has most.
    """

    pieces: tuple[Piece, ...]
    greatest: float


def uniform(nr_pages: int) -> Shape:
    """Give every page the same share."""
    return Shape((Piece(0, nr_pages, 1 / nr_pages),), 1 / nr_pages)


def together(nr_pages: int) -> Shape:
    """Have every access touch all pages: each has a share of one, and they do not sum up to one."""
    return Shape((Piece(0, nr_pages, 1.0),), 1.0)


def hotspot(nr_pages: int, first: int, nr_hot: int, hot_ratio: float) -> Shape:
    """Give ``hot_ratio`` of the accesses to ``nr_hot`` pages from ``first`` on, the rest to all others."""
    if nr_hot == nr_pages:
        return uniform(nr_pages)
    hot, cold = hot_ratio / nr_hot, (1 - hot_ratio) / (nr_pages - nr_hot)
    pieces = (Piece(0, first, cold), Piece(first, first + nr_hot, hot), Piece(first + nr_hot, nr_pages, cold))
    return Shape(tuple(each for each in pieces if each.first < each.end), max(hot, cold))


def zipf(nr_pages: int, exponent: float) -> Shape:
    """Give the page number i, from 1, a share in proportion to ``i ** -exponent``."""
    total = _harmonic(nr_pages, exponent)
    return Shape((Piece(0, nr_pages, functools.partial(_zipf_shares, exponent, total)),), 1 / total)


def _zipf_shares(exponent: float, total: float, page: Floats) -> Floats:
    return (page + 1.0) ** -exponent / total


def _harmonic(n: int, s: float) -> float:
    """Sum ``i ** -s`` for i = 1 .. n: term by term, then by integral and first corrections (Euler-Maclaurin)."""
    summed = min(n, _SUMMED)
    head = float((np.arange(1, summed + 1, dtype=np.float64) ** -s).sum())
    if n == summed:
        return head
    low, high = float(summed), float(n)
    integral = math.log(high / low) if s == 1 else (math.pow(high, 1 - s) - math.pow(low, 1 - s)) / (1 - s)
    ends = (math.pow(high, -s) - math.pow(low, -s)) / 2
    return head + integral + ends - s * (math.pow(high, -s - 1) - math.pow(low, -s - 1)) / 12


def gaussian(nr_pages: int, center: float, sigma: float) -> Shape:
    """Give pages shares by a normal density around ``center``; both in pages, a page counts by its middle."""
    total = _normal_sum(nr_pages, center, sigma)
    shares = functools.partial(_normal_shares, center, sigma, total)
    top = min(max(math.floor(center), 0), nr_pages - 1)
    pieces = (Piece(0, top, shares), Piece(top, top + 1, shares), Piece(top + 1, nr_pages, shares))
    greatest = float(shares(np.array([float(top)]))[0])
    return Shape(tuple(each for each in pieces if each.first < each.end), greatest)


def _normal_shares(center: float, sigma: float, total: float, page: Floats) -> Floats:
    distance = (page - (center - 0.5)) / sigma
    shares: Floats = np.exp(distance * distance * -0.5) / total
    return shares


def _normal_sum(nr_pages: int, center: float, sigma: float) -> float:
    first = max(0, math.floor(center - _GAUSSIAN_REACH * sigma))
    end = min(nr_pages, math.ceil(center + _GAUSSIAN_REACH * sigma) + 1)
    if end - first <= _SUMMED:
        return float(_normal_shares(center, sigma, 1.0, np.arange(first, end, dtype=np.float64)).sum())
    scale = sigma * math.sqrt(2)
    return sigma * math.sqrt(math.pi / 2) * (math.erf((end - center) / scale) - math.erf((first - center) / scale))
