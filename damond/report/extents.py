"""Sets of addresses: what was touched at any time of many windows, each byte counted once."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from damond.core.regions import Addrs
from damond.report.windows import Bools, TargetRegions


class Extents(NamedTuple):
    """Ranges of addresses, sorted, with a gap between each two.

    Attributes:
        start: First address of each. Bytes.
        end: First address behind each. Bytes.
    """

    start: Addrs
    end: Addrs

    @property
    def nr_bytes(self) -> int:
        """Bytes in all of them."""
        return int((self.end - self.start).sum())


NOWHERE = Extents(np.zeros(0, np.uint64), np.zeros(0, np.uint64))
"""No address."""


def union(start: Addrs, end: Addrs) -> Extents:
    """Join ranges that come in any order and may overlap; none is empty.

    Starts and ends can be sorted apart from each other: behind the n-th end there is a gap, if the next start lies
    beyond it, since exactly as many ranges have been left as were entered.
    """
    if not len(start):
        return NOWHERE
    start, end = np.sort(start), np.sort(end)
    gap = start[1:] > end[:-1]
    first = np.concatenate([[True], gap])
    last = np.concatenate([gap, [True]])
    return Extents(start[first], end[last])


def both(left: Extents, right: Extents) -> Extents:
    """Join two sets."""
    if not len(left.start):
        return right
    return union(np.concatenate([left.start, right.start]), np.concatenate([left.end, right.end]))


def common(left: Extents, right: Extents) -> Extents:
    """Leave the addresses that are in both sets."""
    first = np.searchsorted(right.end, left.start, side="right")
    nr_pieces = np.searchsorted(right.start, left.end, side="left") - first
    mine = np.repeat(np.arange(len(left.start)), nr_pieces)
    other = np.arange(len(mine)) - np.repeat(np.cumsum(nr_pieces) - nr_pieces - first, nr_pieces)
    return Extents(np.maximum(left.start[mine], right.start[other]), np.minimum(left.end[mine], right.end[other]))


def of_regions(regions: TargetRegions, chosen: Bools) -> Extents:
    """Join the regions that are chosen. Neighbours of one window are joined first: sorting is what costs."""
    picked = np.flatnonzero(chosen)
    start, end, window = regions.start[picked], regions.end[picked], regions.window[picked]
    seam = (end[:-1] == start[1:]) & (window[:-1] == window[1:])
    edge = np.ones(min(len(picked), 1), np.bool_)
    return union(start[np.concatenate([edge, ~seam])], end[np.concatenate([~seam, edge])])


@dataclass(slots=True, eq=False)
class TouchedSet:
    """What was touched, target by target, while windows come.

    Attributes:
        at_least: Heat from which a region counts, whole; 0 is any access.
        extents: Target id -> where.
    """

    at_least: float = 0.0
    extents: dict[int, Extents] = field(default_factory=dict)

    def add(self, target_id: int, regions: TargetRegions) -> None:
        """Take the regions of a target in some windows."""
        found = of_regions(regions, is_touched(regions, self.at_least))
        self.extents[target_id] = both(self.extents.get(target_id, NOWHERE), found)

    def join(self, other: "TouchedSet") -> None:
        """Take all that another one has."""
        for target_id, extents in other.extents.items():
            self.extents[target_id] = both(self.extents.get(target_id, NOWHERE), extents)

    @property
    def nr_bytes(self) -> int:
        """Bytes touched, of all targets."""
        return sum(each.nr_bytes for each in self.extents.values())


def is_touched(regions: TargetRegions, at_least: float) -> Bools:
    """Say which regions are as hot as that; 0 is any access."""
    hot: Bools = regions.nr_accesses > 0 if at_least <= 0 else regions.heat >= at_least
    return hot
