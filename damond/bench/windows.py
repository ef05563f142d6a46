"""Several aggregations as one: what was accessed how often over at least a given time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from damond.bench.virtual import begin_us, end_us
from damond.core import Snapshot
from damond.core.regions import Addrs


@dataclass(frozen=True, slots=True)
class Window:
    """Consecutive aggregations, added up.

    Attributes:
        start_us: Begin. Virtual time, microseconds.
        end_us: End. Virtual time, microseconds.
        edges: uint64, addresses between which the counts are constant. Bytes.
        share: Between two edges: the share of samples in which an access was found, 0 to 1; NaN outside of regions.
    """

    start_us: int
    end_us: int
    edges: Addrs
    share: NDArray[np.float64]


@dataclass
class Windows:
    """Adds snapshots up to windows of at least so long. Microseconds."""

    least_us: int
    _held: list[Snapshot] = field(default_factory=list)

    def add(self, snapshot: Snapshot) -> Iterator[Window]:
        """Take a snapshot; yield the window that it completes, if it does."""
        if snapshot.partial:
            return
        self._held.append(snapshot)
        if end_us(snapshot) - begin_us(self._held[0]) >= self.least_us:
            yield added_up(self._held)
            self._held = []


def added_up(snapshots: Sequence[Snapshot]) -> Window:
    """Add snapshots of one target up: counts are added where regions overlap."""
    targets = [each.targets[0] for each in snapshots]
    edges = np.unique(np.concatenate([each for t in targets for each in (t.start, t.start + t.size)]))
    count = np.zeros(len(edges) - 1)
    samples = np.zeros(len(edges) - 1)
    for snapshot, target in zip(snapshots, targets, strict=True):
        row = np.searchsorted(target.start, edges[:-1], side="right") - 1
        inside = (row >= 0) & (edges[:-1] < (target.start + target.size)[row])
        count[inside] += target.nr_accesses[row[inside]]
        samples[inside] += snapshot.max_nr_accesses
    with np.errstate(invalid="ignore"):
        share = count / samples
    return Window(begin_us(snapshots[0]), end_us(snapshots[-1]), edges, share)
