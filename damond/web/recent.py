"""The last minutes of one context, in bounded memory."""

from collections import deque
from collections.abc import Iterator
from typing import Final

import numpy as np

from damond.core import Snapshot
from damond.report.heatmap import Heatmap, rasterise
from damond.report.history import Slice
from damond.report.profile import EMPTY, Profile

NR_SLICES: Final = 240
"""Slices in time: what a picture on a phone can show."""

_NSEC_PER_SEC: Final = 1_000_000_000


class Recent:
    """Time slices of equal width, the oldest forgotten as new ones come.

    Args:
        span_s: How far back it goes. Seconds.

    Attributes:
        newest: The last snapshot.
        missed: Snapshots lost on the way since the first one.
        skipped: Snapshots passed over because the reader was behind.
        restarts: How often the worker was started again meanwhile.
    """

    def __init__(self, span_s: float) -> None:
        self._width_ns = max(int(span_s * _NSEC_PER_SEC / NR_SLICES), 1)
        self._slices: deque[Slice] = deque(maxlen=NR_SLICES)
        self._working_set: deque[tuple[int, int]] = deque(maxlen=NR_SLICES)
        self.newest: Snapshot | None = None
        self.missed = self.skipped = self.restarts = 0

    def add(self, snapshot: Snapshot) -> None:
        """Take one snapshot; they come in the order of time."""
        if snapshot.origin is not None:
            self.missed += snapshot.origin.missed
            self.skipped += snapshot.origin.skipped
            self.restarts += snapshot.origin.restarted
        new = Slice.of(snapshot, self._slices[-1].end_ns if self._slices else 0)
        if self._slices and new.end_ns - self._slices[-1].start_ns <= self._width_ns:
            self._slices[-1] = self._slices[-1].join(new)
            last = self._working_set.pop()[1]
            self._working_set.append((snapshot.end_ns, max(last, snapshot.accessed_bytes)))
        else:
            self._slices.append(new)
            self._working_set.append((snapshot.end_ns, snapshot.accessed_bytes))
        self.newest = snapshot

    def working_set(self) -> list[tuple[int, int]]:
        """List Unix time (ns) and working set (bytes): the greatest of each slice."""
        return list(self._working_set)

    def targets(self) -> Iterator[int]:
        """Yield the targets of the newest snapshot."""
        yield from (each.id for each in (self.newest.targets if self.newest else ()))

    def heatmap(self, target_id: int, *, nr_times: int, nr_addrs: int, everything: bool) -> Heatmap | None:
        """Draw one target; None if there is nothing of it yet."""
        slices = [each for each in self._slices if len(each.targets.get(target_id, EMPTY))]
        if not slices:
            return None
        peak: Profile = EMPTY
        for each in slices:
            found = each.targets[target_id]
            heat = Profile(found.start, found.end, found.heat, np.ones(len(found)))
            peak = peak.combine(heat, np.maximum).coarsen(1024)
        return rasterise(slices, peak, target_id, nr_times=nr_times, nr_addrs=nr_addrs, everything=everything)
