"""For how long memory has been idle: percentiles, and the tail of what is cold."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.core import idle_us
from damond.report.coverage import Coverage, gather
from damond.report.extents import TouchedSet
from damond.report.memory import Memory, memory_of
from damond.report.newest import Newest
from damond.report.percentiles import percentiles
from damond.report.raster import divided
from damond.report.recency import TIMES_NS, Recency, times_within
from damond.report.subject import Subject
from damond.report.windows import Floats, Ints, TargetRegions, Windows
from damond.units import NSEC_PER_USEC

PERCENTILES: Final = (1, 5, 10, 25, 50, 75, 90, 95, 99)
NR_STEPS: Final = 512

_BOUNDS_NS: Final = np.array([0, *TIMES_NS])
"""Between the classes: accessed (idle for less than nothing), then by idle time."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Idle:
    """For how long memory has been idle.

    Idle time is what the age of a region tells: for how many aggregations no access was found in it. It may reach
    back to before the span, but not beyond what the first window in it tells: ages are counted in aggregations, and
    those may have become longer since.

    Attributes:
        coverage: What this is based on.
        percentiles: Percentiles of the monitored bytes.
        idle_us: Idle time at each of them in the newest window; negative: for how long it has been accessed at about
            the same rate (as the kernel's DAMON_STAT gives it). Microseconds.
        at_least_ns: Idle times. Nanoseconds.
        newest_bytes: What had been idle for at least so long in the newest window. Bytes.
        mean_bytes: The same, averaged over the time.
        accessed_bytes: What was accessed in the newest window.
        monitored_bytes: What was looked at in the newest window.
        unseen_bytes: Of what was not accessed in the newest window, what is not known to be cold: too little was looked
            at. 0, too, where the record does not say.
        within_ns: Times before the end, the last is the whole span. Nanoseconds.
        untouched_bytes: Of what was looked at in the newest window, what no window within that time found accessed.
        time_ns: Edges of equal steps of the span, Unix time. Nanoseconds.
        class_bytes: For each step (row) what was accessed (first column), idle for less than the first idle time, from
            that to the second, ..., for the last or longer. NaN where nothing is known.
        memory: What the processes held.
    """

    coverage: Coverage
    percentiles: tuple[int, ...]
    idle_us: tuple[int, ...]
    at_least_ns: tuple[int, ...]
    newest_bytes: tuple[int, ...]
    mean_bytes: tuple[int, ...]
    accessed_bytes: int
    monitored_bytes: int
    unseen_bytes: int
    within_ns: tuple[int, ...]
    untouched_bytes: tuple[int, ...]
    time_ns: Ints
    class_bytes: Floats
    memory: Memory


def measure(subject: Subject) -> Idle:
    """Measure idle times."""
    tail, newest = _Tail(subject), Newest()
    recency = Recency(subject.to_ns, times_within(subject))
    coverage = gather(subject, tail, newest, recency)
    size, lasted_us = _newest(newest, tail.since_ns)
    accessed = lasted_us < 0
    at_least_us = [each // NSEC_PER_USEC for each in TIMES_NS]
    return Idle(
        coverage=coverage,
        percentiles=PERCENTILES,
        idle_us=tuple(percentiles(lasted_us, size, PERCENTILES)) if len(size) else (),
        at_least_ns=TIMES_NS,
        newest_bytes=tuple(int(size[lasted_us >= each].sum()) for each in at_least_us),
        mean_bytes=tail.mean(),
        accessed_bytes=int(size[accessed].sum()),
        monitored_bytes=int(size.sum()),
        unseen_bytes=newest.unseen_bytes(TouchedSet()),
        within_ns=recency.within_ns,
        untouched_bytes=tuple(
            newest.untouched_bytes(recency.within(number)) for number in range(len(recency.within_ns))
        ),
        time_ns=tail.time_ns,
        class_bytes=tail.classes(),
        memory=memory_of(subject),
    )


@dataclass(slots=True, eq=False)
class _Tail:
    """Adds up bytes by idle time, in steps of time."""

    subject: Subject
    time_ns: Ints = field(init=False)
    since_ns: int | None = None
    _sums: Floats = field(init=False)
    _known_ns: Floats = field(init=False)

    def __post_init__(self) -> None:
        nr_steps = min(NR_STEPS, max(self.subject.nr_windows, 1))
        self.time_ns = np.linspace(0, self.subject.span_ns, nr_steps + 1).astype(np.int64) + self.subject.from_ns
        self._sums = np.zeros((nr_steps, len(_BOUNDS_NS) + 1))
        self._known_ns = np.zeros(nr_steps)

    def add(self, windows: Windows) -> None:
        """Take some windows; each counts for the step that it begins in."""
        if self.since_ns is None and len(windows.start_ns):
            self.since_ns = _since_ns(windows)
        step = np.clip(np.searchsorted(self.time_ns, windows.start_ns, side="right") - 1, 0, len(self._known_ns) - 1)
        width = len(_BOUNDS_NS) + 1
        for regions in windows.targets.values():
            kind = np.searchsorted(_BOUNDS_NS, _idle_us(windows, regions, self.since_ns) * NSEC_PER_USEC, side="right")
            weight = regions.size * windows.span_ns[regions.window]
            sums = np.bincount(step[regions.window] * width + kind, weight, self._sums.size)
            self._sums += sums.reshape(self._sums.shape)
        self._known_ns += np.bincount(step, windows.span_ns.astype(np.float64), len(self._known_ns))

    def classes(self) -> Floats:
        """Return the average of each step: bytes in each class."""
        return divided(self._sums, np.broadcast_to(self._known_ns[:, None], self._sums.shape))

    def mean(self) -> tuple[int, ...]:
        """Return the average over all steps."""
        known_ns = self._known_ns.sum()
        reached = np.cumsum(self._sums.sum(axis=0)[::-1])[::-1][2:]
        return tuple(round(each / known_ns) for each in reached.tolist()) if known_ns else ()


def _since_ns(windows: Windows) -> int:
    """Say since when something is known, by what is oldest in the first window. Unix time, nanoseconds."""
    first = [_idle_us(windows, regions)[regions.window == 0] for regions in windows.targets.values()]
    known_us = max((int(np.abs(each).max(initial=0)) for each in first), default=0)
    return int(windows.start_ns[0] + windows.span_ns[0]) - known_us * NSEC_PER_USEC


def _newest(newest: Newest, since_ns: int | None) -> tuple[Floats, Ints]:
    """Return size and idle time of the regions of the newest window."""
    if newest.window is None or not newest.regions:
        return np.zeros(0), np.zeros(0, np.int64)
    lasted_us = [_idle_us(newest.window, regions, since_ns) for regions in newest.regions]
    return np.concatenate([each.size for each in newest.regions]), np.concatenate(lasted_us)


def _idle_us(windows: Windows, regions: TargetRegions, since_ns: int | None = None) -> Ints:
    """Say for how long each region has been idle, but for no longer than is known; negative: accessed. Microseconds."""
    lasted_us: Ints = idle_us(regions.nr_accesses, regions.age, windows.aggr_us[regions.window])
    if since_ns is None:
        return lasted_us
    known_us = ((windows.start_ns + windows.span_ns)[regions.window] - since_ns) // NSEC_PER_USEC
    known_us = np.maximum(known_us, 1)  # whatever was done to Unix time, accessed stays below 0
    return np.clip(lasted_us, -known_us, known_us)
