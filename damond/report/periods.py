"""What was touched in each second or minute, each byte counted once."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.report.extents import TouchedSet
from damond.report.subject import Subject
from damond.report.timeline import Series, stepped
from damond.report.windows import Ints, Windows

_NSEC: Final = 1_000_000_000
_PERIODS_NS: Final = (60 * _NSEC, 10 * _NSEC, _NSEC)
_LEAST_PERIODS: Final = 10
"""Below so many periods percentiles of them say nothing: a shorter period is taken."""

_LEAST_SHARE: Final = 0.5
"""A period of which less than this was recorded is left out."""


_NEARLY: Final = 1.1
"""Windows of a second take a little longer than that, and are seconds all the same."""


def period_of(subject: Subject) -> int:
    """Choose a period: a minute, if there are ten of them, else 10 s or 1 s; about a window at least. Nanoseconds."""
    window_ns = -(-subject.span_ns // max(subject.nr_windows, 1))
    possible = [each for each in _PERIODS_NS if _NEARLY * each >= window_ns] or [window_ns]
    return next((each for each in possible if subject.span_ns >= _LEAST_PERIODS * each), possible[-1])


@dataclass(slots=True, eq=False)
class Periods:
    """Counts what was touched per period, while windows come.

    Attributes:
        begin_ns: Begin of the first period, Unix time. Nanoseconds.
        period_ns: Length of a period.
        at_least: Heat from which a region counts, whole; 0 is any access.
        total: What was touched in all periods together.
        nr_short: Periods left out, because less than half of them was recorded.
    """

    begin_ns: int
    period_ns: int
    at_least: float = 0.0
    total: TouchedSet = field(init=False)
    nr_short: int = 0
    _open: TouchedSet = field(init=False)
    _number: int = 0
    _covered_ns: int = 0
    _found: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.total, self._open = TouchedSet(self.at_least), TouchedSet(self.at_least)

    def add(self, windows: Windows) -> None:
        """Take some windows; each counts for the period that it begins in."""
        number = np.maximum.accumulate(windows.start_ns - self.begin_ns) // self.period_ns
        number = np.maximum(number, self._number)  # Unix time was set back: it goes on where it was
        edges = np.flatnonzero(np.diff(number, prepend=number[0] - 1)).tolist()
        for first, behind in zip(edges, [*edges[1:], len(windows)], strict=True):
            if number[first] != self._number:
                self._close()
                self._number = int(number[first])
            self._covered_ns += int(windows.span_ns[first:behind].sum())
            for target_id, regions in windows.targets.items():
                rows = slice(*np.searchsorted(regions.window, [first, behind]).tolist())
                self._open.add(target_id, regions.take(rows))

    def _close(self) -> None:
        if self._covered_ns >= _LEAST_SHARE * self.period_ns:
            self._found.append((self.begin_ns + self._number * self.period_ns, self._open.nr_bytes))
        elif self._covered_ns:
            self.nr_short += 1
        self.total.join(self._open)
        self._open, self._covered_ns = TouchedSet(self.at_least), 0

    def finish(self) -> None:
        """Count the last period as well."""
        self._close()

    @property
    def touched_bytes(self) -> Ints:
        """What was touched in each period."""
        return np.array([touched for _, touched in self._found], np.int64)

    def series(self, subject: Subject) -> Series:
        """Show that over the span of a subject."""
        start_ns = np.array([start_ns for start_ns, _ in self._found], np.int64)
        values = self.touched_bytes.astype(np.float64)
        return stepped(start_ns, start_ns + self.period_ns, values, subject.from_ns, subject.to_ns)
