"""How much of the memory was touched: per window, and over the run."""

import math
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from damond.core import Snapshot
from damond.report.profile import EMPTY, Profile

_MAX_WINDOWS: Final = 4096
"""Windows kept for percentiles: of a longer run every second, every fourth, ..."""

_MAX_PIECES: Final = 8192
"""Pieces of the peak per target: 256 KiB of columns."""


SURE_HEAT: Final = 0.9
"""A region found accessed in nine samples of ten is taken as hot all over.

Where 33 MiB were hot, in nine places that came and went, and 4 MiB lukewarm among 409 MiB: 33.5 MiB come out with
0.9, 35 with 0.8 and 49 with 0.5, since a region that is half hot passes for a moment while boundaries move.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """How much of the monitored memory was touched. Bytes.

    What was touched over the run is known within bounds only: a region in which one sample of 20 found an access
    may have been touched in one page or in all of them.

    While regions are still as coarse as they were made (:func:`adaptation_windows`), one hit makes a large part of
    memory look touched. Of these windows only what is sure counts, unless there are no others.

    Attributes:
        span_ns: From the begin of the first window to the end of the last. Nanoseconds.
        nr_windows: Windows (aggregations) behind the three numbers per window.
        nr_adapting: Windows before them, in which regions still adapted.
        total_bytes: Memory that was monitored at any time of the run.
        least_bytes: Touched over the run for sure: regions that were found accessed in nine samples of ten of
            some window, counted by that share.
        most_bytes: Touched over the run at most, as far as was seen: every region with any access, whole.
        median_bytes: Accessed in half of the windows at most: regions with any access, whole.
        p75_bytes: Accessed in three quarters of the windows at most.
        max_bytes: Accessed in one window at most.
        rss_bytes: Resident memory, as the caller gave it, or None.
        whole_mappings: A check saw a whole mapping, so that nothing is touched for sure: ``least_bytes`` is 0.
    """

    span_ns: int
    nr_windows: int
    nr_adapting: int = 0
    total_bytes: int
    least_bytes: int
    most_bytes: int
    median_bytes: int
    p75_bytes: int
    max_bytes: int
    rss_bytes: int | None = None
    whole_mappings: bool = False


@dataclass(slots=True)
class TouchedCounter:
    """Gathers what :class:`Touched` tells, in bounded memory.

    Attributes:
        peaks: Target id -> the greatest heat that any window found, per address. Once regions have adapted, all but
            what is sure of the windows before is forgotten.
    """

    peaks: dict[int, Profile] = field(default_factory=dict)
    _sure: dict[int, Profile] = field(default_factory=dict)
    _windows: list[int] = field(default_factory=list)
    _every: int = 1
    _nr_windows: int = 0
    _first: int = 0
    _adapting: bool = False
    _max_bytes: int = 0
    _span_ns: int = 0
    _end_ns: int = 0
    _whole_mappings: bool = False

    def add(self, snapshot: Snapshot) -> None:
        """Count one window."""
        self._whole_mappings |= snapshot.granularity == 0
        adapting = self._nr_windows < adaptation_windows(snapshot)
        if self._adapting and not adapting:
            self.peaks, self._sure = self._sure, {}
        for target in snapshot.targets:
            found = Profile.of(target, snapshot.max_nr_accesses)
            _raise(self.peaks, target.id, found)
            if adapting:
                sure = replace(found, accessed=np.where(found.accessed >= SURE_HEAT, found.accessed, 0.0))
                _raise(self._sure, target.id, sure)
        self._count(snapshot.accessed_bytes, forget=self._adapting and not adapting)
        self._adapting = adapting
        self._pass_time(snapshot)

    def _count(self, accessed_bytes: int, *, forget: bool) -> None:
        """Keep what one window accessed; forget the windows before, if it is the first with regions that fit."""
        if forget:
            self._windows, self._every, self._first, self._max_bytes = [], 1, self._nr_windows, 0
        self._max_bytes = max(self._max_bytes, accessed_bytes)
        if (self._nr_windows - self._first) % self._every == 0:
            self._windows.append(accessed_bytes)
            if len(self._windows) >= _MAX_WINDOWS:
                self._windows = self._windows[::2]
                self._every *= 2
        self._nr_windows += 1

    def _pass_time(self, snapshot: Snapshot) -> None:
        # As the history places it: not before the end of the one before.
        start_ns = max(snapshot.start_ns, self._end_ns) if self._end_ns else snapshot.start_ns
        end_ns = start_ns + max(snapshot.end_ns - snapshot.start_ns, 1)
        self._span_ns += end_ns - (self._end_ns or start_ns)
        self._end_ns = end_ns

    def touched(self, rss_bytes: int | None = None) -> Touched:
        """Sum up what was counted until now."""
        median, p75 = np.percentile(self._windows or [0], [50, 75], method="inverted_cdf").tolist()
        peaks = self.peaks.values()
        sure = 0.0 if self._whole_mappings else sum(map(_surely, peaks))
        return Touched(
            span_ns=self._span_ns,
            nr_windows=self._nr_windows - self._first,
            nr_adapting=self._first,
            total_bytes=round(sum(float((peak.weight * peak.size).sum()) for peak in peaks)),
            least_bytes=round(sure),
            most_bytes=round(sum(float((peak.weight * peak.size)[peak.accessed > 0].sum()) for peak in peaks)),
            median_bytes=int(median),
            p75_bytes=int(p75),
            max_bytes=self._max_bytes,
            rss_bytes=rss_bytes,
            whole_mappings=self._whole_mappings,
        )


def _surely(peak: Profile) -> float:
    """Count the bytes that were hot all over."""
    return float((peak.accessed * peak.size)[peak.heat >= SURE_HEAT].sum())


def adaptation_windows(snapshot: Snapshot) -> int:
    """Count the windows until regions are as small as they may be: splitting doubles their number at least."""
    return math.ceil(math.log2(snapshot.max_nr_regions / snapshot.min_nr_regions))


def _raise(peaks: dict[int, Profile], target_id: int, found: Profile) -> None:
    peak = peaks.get(target_id, EMPTY).combine(found, np.maximum)
    peaks[target_id] = peak.without_seams().coarsen(_MAX_PIECES)
