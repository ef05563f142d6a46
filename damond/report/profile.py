"""Heat over addresses: what one window, or many, found in one target."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from damond.core import TargetSnapshot
from damond.core.regions import Addrs

Floats = NDArray[np.float64]

_GAP_CONTRAST = 2.0
"""Above any contrast within monitored memory (below 2), so that wide gaps go last when pieces have to be joined."""

_WIDE_GAP_SHARE = 1 / 256
"""A gap is wide from this share of the memory on: no row of a picture is as small. A process may have thousands of
narrow ones (guard pages of stacks), and they must not use up all pieces."""


_ROUNDING = 1e-12
"""What sums of floats are off by at most, relative to what was added; the least true heat is 1,000 times that."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A function over addresses, constant on each of its pieces; sorted, disjoint, nothing between them.

    Both values are densities: times the size of a piece they are what adds up, whatever is joined or cut.

    Attributes:
        start: First address of each piece. Bytes.
        end: First address behind each piece. Bytes.
        accessed: Heat times weight.
        weight: How much was known there: for averages over time the monitored time, else 1.
    """

    start: Addrs
    end: Addrs
    accessed: Floats
    weight: Floats

    @classmethod
    def of(cls, target: TargetSnapshot, max_nr_accesses: int, weight: float = 1.0) -> Self:
        """Take the regions of one target as pieces; heat is the share of samples that found an access."""
        heat = np.minimum(target.nr_accesses / max(max_nr_accesses, 1), 1.0)
        return cls(target.start, target.start + target.size, heat * weight, np.full(len(heat), float(weight)))

    @classmethod
    def mean(cls, start: Addrs, end: Addrs, heat: Floats, weight: Floats) -> Self:
        """Average heat over many windows, of regions in any order; the weight of a piece is 1.

        Args:
            start: First address of each region. Bytes.
            end: First address behind each region. Bytes.
            heat: Of each region.
            weight: Of each region: how long it was so.
        """
        bounds = distinct(np.concatenate([start, end]))
        first, behind = np.searchsorted(bounds, start), np.searchsorted(bounds, end)
        accessed, known = (
            np.cumsum(np.bincount(first, each, len(bounds)) - np.bincount(behind, each, len(bounds)))[:-1]
            for each in (heat * weight, weight)
        )
        there = known > _ROUNDING * weight.sum()
        mean = accessed[there] / known[there]
        mean[mean < _ROUNDING] = 0.0
        return cls(bounds[:-1][there], bounds[1:][there], np.minimum(mean, 1.0), np.ones(len(mean)))

    def __len__(self) -> int:
        return len(self.start)

    @property
    def size(self) -> Floats:
        """Bytes of each piece."""
        return (self.end - self.start).astype(np.float64)

    @property
    def heat(self) -> Floats:
        """Heat of each piece, 0 to 1."""
        return np.divide(self.accessed, self.weight, out=np.zeros(len(self)), where=self.weight > 0)

    def at(self, addrs: Addrs) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Look values up: accessed and weight (0 outside of all pieces), and whether a piece is there."""
        if not len(self):
            nothing = np.zeros(len(addrs))
            return nothing, nothing, nothing.astype(np.bool_)
        index = np.searchsorted(self.start, addrs, side="right") - 1
        inside = (index >= 0) & (addrs < self.end[index])
        return np.where(inside, self.accessed[index], 0.0), np.where(inside, self.weight[index], 0.0), inside

    def combine(self, other: "Profile", how: np.ufunc) -> "Profile":
        """Join two profiles: ``np.add`` to go on averaging over time, ``np.maximum`` for the peak."""
        bounds = np.unique(np.concatenate([self.start, self.end, other.start, other.end]))
        start, end = bounds[:-1], bounds[1:]
        accessed, weight, mine = self.at(start)
        other_accessed, other_weight, theirs = other.at(start)
        there = mine | theirs
        return Profile(
            start[there],
            end[there],
            how(accessed, other_accessed)[there],
            how(weight, other_weight)[there],
        )

    def coarsen(self, max_pieces: int) -> "Profile":
        """Join neighbours until no more than ``max_pieces`` are left: those of least contrast, gaps last.

        Sums over addresses stay what they were.
        """
        if len(self) <= max_pieces:
            return self
        order = np.argsort(self._contrast(), kind="stable")
        kept = np.sort(order[len(order) - (max_pieces - 1) :]) + 1
        first = np.concatenate([[0], kept])
        last = np.append(kept, len(self)) - 1
        start, end = self.start[first], self.end[last]
        span = (end - start).astype(np.float64)
        accessed = np.add.reduceat(self.accessed * self.size, first) / span
        return Profile(start, end, accessed, np.add.reduceat(self.weight * self.size, first) / span)

    def without_seams(self) -> "Profile":
        """Join neighbours of the same values: boundaries that came and went say nothing about a peak."""
        if not len(self):
            return self
        seam = (self.end[:-1] == self.start[1:]) & (np.diff(self.accessed) == 0) & (np.diff(self.weight) == 0)
        first = np.concatenate([[True], ~seam])
        last = np.concatenate([~seam, [True]])
        return Profile(self.start[first], self.end[last], self.accessed[first], self.weight[first])

    def _contrast(self) -> Floats:
        """Tell how much every inner boundary shows; that between touched and untouched shows more than any other."""
        heat = self.heat
        contrast = np.abs(np.diff(heat)) * 0.5 + (np.diff(heat > 0) != 0)
        gap = (self.start[1:] - self.end[:-1]).astype(np.float64)
        return np.where(gap > _WIDE_GAP_SHARE * self.size.sum(), _GAP_CONTRAST + np.log1p(gap), contrast)

    def integrate(self, edges: Addrs) -> tuple[Floats, Floats]:
        """Sum ``accessed`` and ``weight`` times bytes between each two neighbouring edges (ascending addresses)."""
        start = np.clip(self.start, edges[0], edges[-1])
        end = np.clip(self.end, edges[0], edges[-1])
        some = end > start
        if not some.any():
            return np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
        # From the first edge on, so that what becomes a float is small enough to be exact.
        corners = np.column_stack([start[some], end[some]]).ravel() - edges[0]
        at, places = (edges - edges[0]).astype(np.float64), corners.astype(np.float64)
        size = (end[some] - start[some]).astype(np.float64)
        accessed, weight = (
            np.diff(np.interp(at, places, np.repeat(np.cumsum(np.append(0.0, column[some] * size)), 2)[1:-1]))
            for column in (self.accessed, self.weight)
        )
        return accessed, weight


EMPTY = Profile(np.zeros(0, np.uint64), np.zeros(0, np.uint64), np.zeros(0), np.zeros(0))
"""Nothing monitored."""


def distinct(addrs: Addrs) -> Addrs:
    """Sort, and leave each value once. ``np.unique`` takes 15 times as long (numpy 2.4, a million of uint64)."""
    ordered = np.sort(addrs)
    found: Addrs = ordered[np.concatenate([np.ones(min(len(ordered), 1), np.bool_), ordered[1:] != ordered[:-1]])]
    return found
