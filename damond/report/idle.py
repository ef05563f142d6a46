"""How much memory has been idle for how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.core import Snapshot, idle_us
from damond.units import USEC_PER_SEC

BOUNDS_S: Final = (1, 3, 10, 30, 60, 180, 600, 1800, 3600)
"""Bounds between the buckets, about evenly wide on a logarithmic scale. Seconds."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Bytes by the time for which no access was found.

    Attributes:
        accessed: In regions with any access in the newest window. Bytes.
        bounds_s: Between the buckets: one less than there are. Seconds.
        buckets: Bytes of regions without access; the first for less than the first bound, the last for the last bound
            or longer.
    """

    accessed: int
    bounds_s: Sequence[float]
    buckets: Sequence[int]

    @property
    def total(self) -> int:
        """All bytes."""
        return self.accessed + sum(self.buckets)


def idle_times(snapshot: Snapshot, bounds_s: Sequence[float] = BOUNDS_S) -> Idle:
    """Sort the bytes of a snapshot by idle time (:func:`damond.core.idle_us`).

    A region can't have been idle for longer than it has been watched.
    """
    size = np.concatenate([np.zeros(0), *(each.size for each in snapshot.targets)])
    lasted = [idle_us(each.nr_accesses, each.age, snapshot.aggr_us) for each in snapshot.targets]
    idle_s = np.concatenate([np.zeros(0), *lasted]) / USEC_PER_SEC
    idle = idle_s > 0
    bucket = np.searchsorted(np.asarray(bounds_s, np.float64), idle_s[idle], "right")
    sizes = np.bincount(bucket, size[idle], len(bounds_s) + 1)
    return Idle(round(float(size[~idle].sum())), tuple(bounds_s), tuple(round(each) for each in sizes.tolist()))
