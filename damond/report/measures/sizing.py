"""How much memory a program needs, by what it touched."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.report.coverage import Coverage, gather
from damond.report.measures.wss import bytes_per_window
from damond.report.memory import Memory, memory_of
from damond.report.newest import Newest
from damond.report.percentiles import percentiles
from damond.report.periods import Periods, period_of
from damond.report.recency import Recency, times_within
from damond.report.subject import Subject
from damond.report.timeline import Series
from damond.report.touched import SURE_HEAT
from damond.report.windows import Windows

PERCENTILES: Final = (50, 75, 90, 95, 99, 100)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sizing:
    """What was touched, beside what is resident.

    A region in which any access was found counts whole, so that what was touched is known as an upper bound of what was
    seen: who sizes by it, and by what is unseen, gives enough. The lower one counts regions that were hot all over.

    Attributes:
        coverage: What this is based on.
        period_ns: What the percentiles are of: minutes, if the span is long enough. Nanoseconds.
        nr_periods: How many there are.
        nr_short: Periods left out, because less than half of them was recorded.
        percentiles: Percentiles of the periods.
        touched_bytes: Touched in one period, at each of them: regions in which any access was found, whole.
        sure_bytes: The same of regions that were hot all over: found accessed in nine samples of ten. () where a check
            sees a whole mapping: nothing is sure then.
        all_bytes: The same in the whole span.
        all_sure_bytes: The same of regions that were hot all over, or None.
        monitored_bytes: Looked at in one window, at most.
        within_ns: Times before the end, the last is the whole span. Nanoseconds.
        recent_bytes: The same within each of them.
        idle_bytes: Resident memory that was not found touched within each of them, at least; () if the resident memory
            is not known.
        unseen_bytes: Of what was monitored at the end and not touched in the span, what is not known to be cold: too
            little was looked at. 0, too, where the record does not say.
        memory: What the processes held.
        series: What was touched per period.
    """

    coverage: Coverage
    period_ns: int
    nr_periods: int
    nr_short: int
    percentiles: tuple[int, ...]
    touched_bytes: tuple[int, ...]
    sure_bytes: tuple[int, ...]
    all_bytes: int
    all_sure_bytes: int | None
    monitored_bytes: int
    within_ns: tuple[int, ...]
    recent_bytes: tuple[int, ...]
    idle_bytes: tuple[int, ...]
    unseen_bytes: int
    memory: Memory
    series: Series


def measure(subject: Subject) -> Sizing:
    """Measure what a program needs."""
    period_ns = period_of(subject)
    touched = Periods(subject.from_ns, period_ns)
    sure = Periods(subject.from_ns, period_ns, SURE_HEAT)
    recency = Recency(subject.to_ns, times_within(subject))
    monitored, newest = _Monitored(), Newest()
    coverage = gather(subject, touched, sure, recency, monitored, newest)
    touched.finish()
    sure.finish()
    recent_bytes, memory = recency.nr_bytes(), memory_of(subject)
    rss_bytes = memory.rss.newest if memory.rss is not None else None
    return Sizing(
        coverage=coverage,
        period_ns=period_ns,
        nr_periods=len(touched.touched_bytes),
        nr_short=touched.nr_short,
        percentiles=PERCENTILES,
        touched_bytes=_percentiles(touched),
        sure_bytes=() if coverage.whole_mappings else _percentiles(sure),
        all_bytes=touched.total.nr_bytes,
        all_sure_bytes=None if coverage.whole_mappings else sure.total.nr_bytes,
        monitored_bytes=monitored.most_bytes,
        within_ns=recency.within_ns,
        recent_bytes=recent_bytes,
        idle_bytes=() if rss_bytes is None else tuple(max(rss_bytes - each, 0) for each in recent_bytes),
        unseen_bytes=newest.unseen_bytes(recency.within(len(recency.within_ns) - 1)),
        memory=memory,
        series=touched.series(subject),
    )


@dataclass(slots=True)
class _Monitored:
    most_bytes: int = 0

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        self.most_bytes = max(self.most_bytes, int(bytes_per_window(windows, None).max()))


def _percentiles(periods: Periods) -> tuple[int, ...]:
    values = periods.touched_bytes
    return tuple(percentiles(values, np.ones(len(values)), PERCENTILES)) if len(values) else ()
