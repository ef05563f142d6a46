"""What was touched within the last second, minute, hour: the other side of it has been idle for longer."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.report.extents import TouchedSet
from damond.report.subject import Subject
from damond.report.windows import Ints, TargetRegions, Windows

_NSEC: Final = 1_000_000_000

TIMES_NS: Final = tuple(each * _NSEC for each in (1, 10, 60, 600, 3600, 6 * 3600, 24 * 3600, 7 * 24 * 3600))
"""A second, ten, a minute, ten, an hour, six, a day, a week."""


def times_within(subject: Subject) -> tuple[int, ...]:
    """List the times of interest that are shorter than the span of a subject but not than a window, and the span."""
    window_ns = subject.span_ns // max(subject.nr_windows, 1)
    return (*(each for each in TIMES_NS if window_ns <= each < subject.span_ns), subject.span_ns)


@dataclass(slots=True, eq=False)
class Recency:
    """Gathers what was touched when, counted back from the end.

    Attributes:
        end_ns: The end, Unix time. Nanoseconds.
        within_ns: Times before it, ascending; a window counts for the shortest that it ends within.
        at_least: Heat from which a region counts, whole; 0 is any access.
        touched: What was touched last within each of the times, beyond the one before.
    """

    end_ns: int
    within_ns: tuple[int, ...]
    at_least: float = 0.0
    touched: list[TouchedSet] = field(init=False)

    def __post_init__(self) -> None:
        self.touched = [TouchedSet(self.at_least) for _ in self.within_ns]

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        before_ns = self.end_ns - windows.end_ns
        class_of = np.searchsorted(np.array(self.within_ns), before_ns, side="right")
        for target_id, regions in windows.targets.items():
            self._add(target_id, regions, class_of[regions.window])

    def _add(self, target_id: int, regions: TargetRegions, class_of: Ints) -> None:
        for number in np.flatnonzero(np.bincount(class_of, minlength=len(self.within_ns))).tolist():
            if number < len(self.within_ns):
                self.touched[number].add(target_id, regions.take(class_of == number))

    def within(self, number: int) -> TouchedSet:
        """Return what was touched within one of the times."""
        everything = TouchedSet(self.at_least)
        for each in self.touched[: number + 1]:
            everything.join(each)
        return everything

    def nr_bytes(self) -> tuple[int, ...]:
        """Count what was touched within each of the times. Bytes."""
        everything, counts = TouchedSet(self.at_least), []
        for each in self.touched:
            everything.join(each)
            counts.append(everything.nr_bytes)
        return tuple(counts)
