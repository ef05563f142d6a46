"""A run as a bounded number of time slices."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.core import Snapshot
from damond.report.profile import EMPTY, Profile

MAX_SLICES: Final = 512
"""Slices in time. More than a terminal has columns; with MAX_PIECES it bounds the memory of a history to 8 MiB."""

MAX_PIECES: Final = 512
"""Pieces of address space per slice, over all targets; four columns of 8 bytes each."""

_MIN_PIECES_PER_TARGET: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A stretch of time and what was found in it.

    Attributes:
        start_ns: Begin. Nanoseconds, Unix time.
        end_ns: End.
        nr_snapshots: Snapshots in it.
        targets: Target id -> heat, weighted by monitored time.
    """

    start_ns: int
    end_ns: int
    nr_snapshots: int
    targets: dict[int, Profile]

    @classmethod
    def of(cls, snapshot: Snapshot, not_before_ns: int = 0) -> "Slice":
        """Take one snapshot. If Unix time was set back, it begins where the one before ended."""
        span_ns = max(snapshot.end_ns - snapshot.start_ns, 1)
        start_ns = max(snapshot.start_ns, not_before_ns)
        targets = {each.id: Profile.of(each, snapshot.max_nr_accesses, span_ns) for each in snapshot.targets}
        return cls(start_ns, start_ns + span_ns, 1, _bounded(targets))

    def join(self, later: "Slice") -> "Slice":
        """Make one slice of two neighbours."""
        ids = self.targets | later.targets
        targets = {each: self.targets.get(each, EMPTY).combine(later.targets.get(each, EMPTY), np.add) for each in ids}
        return Slice(self.start_ns, later.end_ns, self.nr_snapshots + later.nr_snapshots, _bounded(targets))


@dataclass(slots=True)
class History:
    """Snapshots in time slices: one each at first; when all are used, two become one and time is twice as coarse.

    Attributes:
        slices: In the order of time.
        max_slices: Bound of their number; even.
        snapshots_per_slice: Snapshots that make one slice by now.
    """

    slices: list[Slice] = field(default_factory=list)
    max_slices: int = MAX_SLICES
    snapshots_per_slice: int = 1

    def add(self, snapshot: Snapshot) -> None:
        """Append a snapshot."""
        new = Slice.of(snapshot, self.slices[-1].end_ns if self.slices else 0)
        if self.slices and self.slices[-1].nr_snapshots < self.snapshots_per_slice:
            self.slices[-1] = self.slices[-1].join(new)
            return
        self.slices.append(new)
        if len(self.slices) >= self.max_slices:
            self._coarsen()

    def _coarsen(self) -> None:
        pairs = zip(self.slices[::2], self.slices[1::2], strict=True)
        self.slices = [earlier.join(later) for earlier, later in pairs]
        self.snapshots_per_slice *= 2


def _bounded(targets: dict[int, Profile]) -> dict[int, Profile]:
    if not targets:
        return targets
    max_pieces = max(MAX_PIECES // len(targets), _MIN_PIECES_PER_TARGET)
    return {target_id: profile.coarsen(max_pieces) for target_id, profile in targets.items()}
