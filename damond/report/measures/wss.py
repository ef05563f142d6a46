"""The working-set size: how much memory was in use, over time, by rate of access and by recency."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.report.coverage import Coverage, gather
from damond.report.extents import is_touched
from damond.report.memory import Memory, memory_of
from damond.report.recency import Recency, times_within
from damond.report.subject import Subject
from damond.report.timeline import PerWindow, Series
from damond.report.windows import Ints, Windows

THRESHOLDS: Final = (0.0, 0.1, 0.5)
"""Any access, a tenth of the samples, half of them."""

PERCENTILES: Final = (0, 25, 50, 75, 90, 95, 99, 100)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WorkingSet:
    """How much memory was in use.

    Attributes:
        coverage: What this is based on.
        thresholds: Shares of samples from which a region counts, whole; 0 is any access.
        percentiles: Percentiles of the time.
        wss_bytes: For each threshold, the working-set size of one window at each percentile. Bytes.
        monitored_bytes: The memory that was looked at, at each percentile. Bytes.
        series: For each threshold, how it changed.
        within_ns: Times before the end, the last is the whole span. Nanoseconds.
        touched_bytes: What was touched at least once within each of them, each byte counted once. Bytes.
        memory: What the processes held.
    """

    coverage: Coverage
    thresholds: tuple[float, ...]
    percentiles: tuple[int, ...]
    wss_bytes: tuple[tuple[int, ...], ...]
    monitored_bytes: tuple[int, ...]
    series: tuple[Series, ...]
    within_ns: tuple[int, ...]
    touched_bytes: tuple[int, ...]
    memory: Memory


def measure(subject: Subject, thresholds: Sequence[float] = THRESHOLDS) -> WorkingSet:
    """Measure the working set.

    Args:
        subject: What the report is about.
        thresholds: Shares of samples (0 to 1) from which a region counts; 0 is any access.
    """
    counter = WssCounter(tuple(thresholds))
    recency = Recency(subject.to_ns, times_within(subject))
    coverage = gather(subject, counter, recency)
    return WorkingSet(
        coverage=coverage,
        thresholds=tuple(thresholds),
        percentiles=PERCENTILES,
        wss_bytes=tuple(each.percentiles(PERCENTILES) for each in counter.accessed),
        monitored_bytes=counter.monitored.percentiles(PERCENTILES),
        series=tuple(each.series(subject.from_ns, subject.to_ns) for each in counter.accessed),
        within_ns=recency.within_ns,
        touched_bytes=recency.nr_bytes(),
        memory=memory_of(subject),
    )


@dataclass(slots=True, eq=False)
class WssCounter:
    """Counts while windows come.

    Attributes:
        thresholds: Shares of samples from which a region counts, whole; 0 is any access.
        accessed: For each of them, the working-set size of each window.
        monitored: What was looked at in each window.
    """

    thresholds: tuple[float, ...]
    accessed: list[PerWindow] = field(init=False)
    monitored: PerWindow = field(default_factory=PerWindow)

    def __post_init__(self) -> None:
        self.accessed = [PerWindow() for _ in self.thresholds]

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        self.monitored.add(windows, bytes_per_window(windows, None))
        for threshold, values in zip(self.thresholds, self.accessed, strict=True):
            values.add(windows, bytes_per_window(windows, threshold))


def bytes_per_window(windows: Windows, at_least: float | None) -> Ints:
    """Add up the regions of each window, of all targets: those of some heat, or (None) all of them. Bytes."""
    total = np.zeros(len(windows))
    for regions in windows.targets.values():
        size = regions.size if at_least is None else np.where(is_touched(regions, at_least), regions.size, 0.0)
        total += np.bincount(regions.window, size, len(windows))
    return total.astype(np.int64)
