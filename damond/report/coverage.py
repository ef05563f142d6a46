"""What a report is based on, and what is missing."""

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from damond.report.newest import Confidence
from damond.report.subject import Subject
from damond.report.windows import Windows

_MAX_GAPS: Final = 16
"""Gaps listed one by one, the longest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The windows that a report saw.

    Attributes:
        context: Name of the context.
        host: Name of the machine.
        primitive: Name of the primitive.
        from_ns: Begin of the span that was asked for, Unix time. Nanoseconds.
        to_ns: Its end.
        first_ns: Begin of the first window; 0 if there is none.
        last_ns: End of the last window; 0 if there is none.
        nr_windows: Windows.
        covered_ns: Their lengths together. Nanoseconds.
        nr_adapting: Windows in which regions were as coarse as they were made, just after a start of the worker.
        nr_partial: Windows that were not full when the monitoring ended.
        nr_empty: Windows without any sample: they were left out.
        nr_missed: Windows that are known to be lost.
        nr_restarts: How often another worker went on.
        nr_gaps: Times about which nothing is known.
        gaps_ns: Their lengths together. Nanoseconds.
        gaps: Begin and end of the longest, in the order of time.
        intervals: Sampling and aggregation intervals that were in use, in the order of time. Microseconds.
        granularities: Bytes that one check looked at; 0 is a whole mapping.
        targets: Ids of the targets.
        mapped: Whether it is known what processes had mapped: what is not mapped is left out then.
        confidence: How sure it is at the end that what shows no access is cold; None where that is not known.
    """

    context: str
    host: str
    primitive: str
    from_ns: int
    to_ns: int
    first_ns: int = 0
    last_ns: int = 0
    nr_windows: int = 0
    covered_ns: int = 0
    nr_adapting: int = 0
    nr_partial: int = 0
    nr_empty: int = 0
    nr_missed: int = 0
    nr_restarts: int = 0
    nr_gaps: int = 0
    gaps_ns: int = 0
    gaps: tuple[tuple[int, int], ...] = ()
    intervals: tuple[tuple[int, int], ...] = ()
    granularities: tuple[int, ...] = ()
    targets: tuple[int, ...] = ()
    mapped: bool = False
    confidence: Confidence | None = None

    @property
    def span_ns(self) -> int:
        """From the begin of the first window to the end of the last. Nanoseconds."""
        return self.last_ns - self.first_ns

    @property
    def whole_mappings(self) -> bool:
        """Whether a check saw a whole mapping, so that nothing is known of its parts."""
        return 0 in self.granularities


@dataclass(slots=True)
class CoverageCounter:
    """Counts while windows come.

    Attributes:
        subject: What the report is about.
    """

    subject: Subject
    _windows: int = 0
    _first_ns: int = 0
    _last_ns: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _gaps: list[tuple[int, int]] = field(default_factory=list)
    _nr_gaps: int = 0
    _gaps_ns: int = 0
    _intervals: dict[tuple[int, int], None] = field(default_factory=dict)
    _granularities: dict[int, None] = field(default_factory=dict)
    _targets: dict[int, None] = field(default_factory=dict)
    _confidence: Confidence | None = None

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        self._find_gaps(windows)
        self._first_ns = self._first_ns or int(windows.start_ns[0])
        self._last_ns = max(self._last_ns, int(windows.end_ns.max()))
        self._windows += len(windows)
        found = {
            "covered_ns": windows.span_ns.sum(),
            "nr_adapting": windows.adapting.sum(),
            "nr_partial": windows.partial.sum(),
            "nr_empty": windows.nr_empty,
            "nr_missed": windows.missed[1 if not self._counts else 0 :].sum(),
            "nr_restarts": windows.restarted[1 if not self._counts else 0 :].sum(),
        }
        self._counts = {name: self._counts.get(name, 0) + int(each) for name, each in found.items()}
        changes = np.flatnonzero(np.diff(windows.sample_us) | np.diff(windows.aggr_us)) + 1
        for row in (0, *changes.tolist()):
            self._intervals[int(windows.sample_us[row]), int(windows.aggr_us[row])] = None
        self._granularities |= dict.fromkeys(np.unique(windows.granularity).tolist())
        self._targets |= dict.fromkeys(windows.targets)
        self._confidence = Confidence.of(windows)

    def _find_gaps(self, windows: Windows) -> None:
        before = np.concatenate([[self._last_ns or windows.start_ns[0]], windows.end_ns[:-1]])
        before = np.maximum.accumulate(before)
        rows = np.flatnonzero(windows.start_ns > before)
        found = list(zip(before[rows].tolist(), windows.start_ns[rows].tolist(), strict=True))
        self._nr_gaps += len(found)
        self._gaps_ns += sum(end - start for start, end in found)
        self._gaps = sorted([*self._gaps, *found], key=lambda gap: gap[0] - gap[1])[:_MAX_GAPS]

    def coverage(self) -> Coverage:
        """Sum up."""
        subject = self.subject
        return Coverage(
            context=subject.context,
            host=subject.host,
            primitive=subject.primitive,
            from_ns=subject.from_ns,
            to_ns=subject.to_ns,
            first_ns=self._first_ns,
            last_ns=self._last_ns,
            nr_windows=self._windows,
            **self._counts,
            nr_gaps=self._nr_gaps,
            gaps_ns=self._gaps_ns,
            gaps=tuple(sorted(self._gaps)),
            intervals=tuple(self._intervals),
            granularities=tuple(sorted(self._granularities)),
            targets=tuple(sorted(self._targets)),
            mapped=bool(subject.maps.versions),
            confidence=self._confidence,
        )


class Counter(Protocol):
    """Something that windows are counted by."""

    def add(self, windows: Windows) -> None:
        """Take some windows; at least one."""


def gather(subject: Subject, *counters: Counter, adapting: bool = False) -> Coverage:
    """Have counters see all windows of a subject.

    Args:
        subject: What the report is about.
        counters: Who sees them.
        adapting: Show them those windows as well in which regions still adapt. They are seen anyway if there are no
            others.
    """
    coverage = CoverageCounter(subject)
    for windows in subject.windows():
        coverage.add(windows)
        settled = windows if adapting else windows.take(~windows.adapting)
        if len(settled):
            for each in counters:
                each.add(settled)
    found = coverage.coverage()
    if 0 < found.nr_windows == found.nr_adapting and not adapting:
        return gather(subject, *counters, adapting=True)
    return found
