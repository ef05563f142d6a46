"""From aggregations of the kernel to windows of damond: their attributes, their time, their cost."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from damond.core import Attrs, Target, Window
from damond.units import NSEC_PER_USEC, Usec
from damond_kdamond.assembly import Aggregation
from damond_kdamond.cost import CheckCount
from damond_kdamond.pages import ROW


class Windows:
    """Knows which attributes an aggregation was made with, and when it began.

    Args:
        attrs: Those of the beginning.
        begin_ns: The beginning. Nanoseconds of CLOCK_MONOTONIC.

    Attributes:
        attrs: The attributes in force at the end of the aggregation looked at last.
    """

    def __init__(self, attrs: Attrs, begin_ns: int) -> None:
        self.attrs = attrs
        self._coming: list[tuple[int, Attrs]] = []
        self._last_end_ns = begin_ns
        self._resumed_ns = begin_ns
        self._checks = CheckCount(attrs)

    @property
    def newest(self) -> Attrs:
        """The attributes that the kernel has now; results that are still to come may be older."""
        return self._coming[-1][1] if self._coming else self.attrs

    def change(self, attrs: Attrs, since_ns: int) -> None:
        """Take note of other attributes."""
        self._coming.append((since_ns, attrs))

    def resume(self, since_ns: int, *, anew: bool) -> None:
        """Take note of the end of a pause, which is in no window; ``anew``: the kernel has begun with new regions."""
        self._resumed_ns = since_ns
        if anew:
            self._checks = CheckCount(self.newest)

    def window(self, aggregation: Aggregation) -> Window:
        """Describe an aggregation; each is to be shown once, in their order.

        Its Unix time is that of now, minus its age: a window is as long as it was, whatever was done to Unix time.
        """
        self._adopt(aggregation)
        samples = self.attrs.samples_per_aggr
        # Before Linux 6.7 the kernel aggregates by time, so there may be a sample more; and a commit in the midst of
        # an aggregation lets it begin to count anew (damon_set_attrs, mm/damon/core.c, Linux 6.7 to 7.2).
        seen = max((int(rows["nr_accesses"].max(initial=0)) for rows in aggregation.targets.values()), default=0)
        begin_ns = self._last_end_ns
        if begin_ns < self._resumed_ns < aggregation.end_ns:
            begin_ns = self._resumed_ns
        if aggregation.after_gap:
            begin_ns = aggregation.end_ns - self.attrs.aggr_interval * NSEC_PER_USEC
        self._last_end_ns = aggregation.end_ns
        checks = self._checks.checks(max(samples, seen))
        self._checks.split(aggregation, self.attrs)
        to_unix = _to_unix_ns()
        return Window(begin_ns + to_unix, aggregation.end_ns + to_unix, max(samples, seen), checks)

    def _adopt(self, aggregation: Aggregation) -> None:
        """Bring the attributes to the end of an aggregation.

        An interval that the kernel has tuned counts from the aggregation on that was tuned on: ages are in its unit
        already, and the number of samples stays (kdamond_tune_intervals, mm/damon/core.c, Linux 6.15 to 7.2).
        """
        while self._coming and self._coming[0][0] <= aggregation.end_ns:
            self.attrs = self._coming.pop(0)[1]
        if aggregation.sample_us:
            self.attrs = replace(
                self.attrs,
                sample_interval=Usec(aggregation.sample_us),
                aggr_interval=Usec(aggregation.sample_us * self.attrs.samples_per_aggr),
            )


def _to_unix_ns() -> int:
    """Give what Unix time is ahead of the monotonic clock, read within as short a time as can be. Nanoseconds."""
    readings = []
    for _ in range(3):  # whoever is preempted between two readings is not three times in a row
        before_ns, unix_ns, after_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        readings.append((after_ns - before_ns, unix_ns - (before_ns + after_ns) // 2))
    return min(readings)[1]


def fill(targets: Sequence[Target], aggregation: Aggregation, ended: set[int], nr_samples: int) -> None:
    """Give targets the regions of an aggregation; those that had ended before it began have none any more.

    The kernel does not say how many samples stand behind a region: those of an aggregation (``nr_samples``), as often
    as its age says.
    """
    nothing = np.zeros(0, ROW)
    for number, target in enumerate(targets):
        rows = nothing if target.id in ended else aggregation.targets.get(number, nothing)
        target.regions.assign(
            rows["start"].copy(),
            rows["end"].copy(),
            rows["nr_accesses"].copy(),
            np.zeros(len(rows), np.uint32),
            rows["age"].copy(),
            nr_samples=np.minimum((rows["age"].astype(np.uint64) + 1) * nr_samples, 2**32 - 1).astype(np.uint32),
        )
