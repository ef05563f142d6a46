"""An estimate of the memory traffic, as the kernel's DAMON_STAT gives it."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.report.coverage import Coverage, gather
from damond.report.subject import Subject
from damond.report.timeline import PerWindow, Series
from damond.report.windows import Windows

PERCENTILES: Final = (0, 25, 50, 75, 90, 95, 99, 100)
_NSEC_PER_SEC: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bandwidth:
    """How many bytes per second were accessed, by estimate.

    The sum of size times nr_accesses over a window, per second (mm/damon/stat.c, Linux 6.17): memory that is accessed
    more than once between two checks counts once, so that the figure depends on the sampling interval; and a byte that
    is touched counts as all that one check looks at.

    Attributes:
        coverage: What this is based on.
        percentiles: Percentiles of the time.
        bps: Bytes per second at each of them.
        mean_bps: The average.
        series: How it changed. Bytes per second.
    """

    coverage: Coverage
    percentiles: tuple[int, ...]
    bps: tuple[int, ...]
    mean_bps: int
    series: Series


def measure(subject: Subject) -> Bandwidth:
    """Estimate the bandwidth."""
    counter = BandwidthCounter()
    coverage = gather(subject, counter)
    return Bandwidth(
        coverage=coverage,
        percentiles=PERCENTILES,
        bps=counter.bps.percentiles(PERCENTILES),
        mean_bps=counter.mean_bps,
        series=counter.bps.series(subject.from_ns, subject.to_ns),
    )


@dataclass(slots=True, eq=False)
class BandwidthCounter:
    """Counts while windows come.

    Attributes:
        bps: Bytes per second of each window.
        accesses_sz: Size times nr_accesses of all regions, and
        known_ns: in how long. Nanoseconds.
    """

    bps: PerWindow = field(default_factory=PerWindow)
    accesses_sz: float = 0.0
    known_ns: int = 0

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        total = np.zeros(len(windows))
        for regions in windows.targets.values():
            total += np.bincount(regions.window, regions.size * regions.nr_accesses, len(windows))
        self.bps.add(windows, (total * _NSEC_PER_SEC / windows.span_ns).astype(np.int64))
        self.accesses_sz += float(total.sum())
        self.known_ns += int(windows.span_ns.sum())

    @property
    def mean_bps(self) -> int:
        """Average. Bytes per second."""
        return round(self.accesses_sz * _NSEC_PER_SEC / self.known_ns) if self.known_ns else 0
