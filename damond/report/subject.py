"""What a report is about: one context over a span of time, wherever its windows are kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond.core.mappings import MapsOverTime
from damond.record import Block, MemoryAt
from damond.report.windows import Windows

_NR_PLACES: Final = 256
"""Places in time at which a long record is looked at, to choose what to draw: more than a terminal has columns."""

_PER_PLACE: Final = 16
"""Windows at each place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One context over a span of time.

    Attributes:
        context: Its name.
        host: Name of the machine.
        primitive: Name of the primitive.
        from_ns: Begin of the span, Unix time. Nanoseconds.
        to_ns: End of the span.
        nr_windows: About how many windows there are.
        read: Gives the windows that overlap a span, in the order in which they came.
        maps: What the targets had mapped when.
        memory: How much memory the targets had, in the order of time.
    """

    context: str
    host: str
    primitive: str
    from_ns: int
    to_ns: int
    nr_windows: int
    read: Callable[[int, int], Iterator[Block]]
    maps: MapsOverTime = field(default_factory=MapsOverTime)
    memory: tuple[MemoryAt, ...] = ()

    @property
    def span_ns(self) -> int:
        """Length of the span, at least 1. Nanoseconds."""
        return max(self.to_ns - self.from_ns, 1)

    def windows(self) -> Iterator[Windows]:
        """Yield the windows that begin in the span, many at a time, cut to what was mapped."""
        return self._between(self.from_ns, self.to_ns)

    def sample(self) -> Iterator[Windows]:
        """Yield windows from all over the span: all of them if there are not many, 16 at a time."""
        if self.nr_windows <= _NR_PLACES * _PER_PLACE:
            for windows in self.windows():
                yield from _pieces(windows)
            return
        for place_ns in np.linspace(self.from_ns, self.to_ns, _NR_PLACES, endpoint=False).astype(np.int64).tolist():
            width_ns = self.span_ns * _PER_PLACE // self.nr_windows
            first = next(self._between(place_ns, min(place_ns + width_ns, self.to_ns)), None)
            if first is not None:
                yield first.take(np.arange(len(first)) < _PER_PLACE)

    def _between(self, from_ns: int, to_ns: int) -> Iterator[Windows]:
        before_ns: int | None = None
        for block in self.read(from_ns, to_ns):
            windows = Windows.of(block)
            windows = windows.take((windows.start_ns >= from_ns) & (windows.start_ns < to_ns))
            if len(windows):
                yield windows.joined_to(before_ns).cut(self.maps)
                before_ns = int(windows.end_ns[-1])


def _pieces(windows: Windows) -> Iterator[Windows]:
    number = np.arange(len(windows)) // _PER_PLACE
    for each in range(int(number[-1]) + 1):
        yield windows.take(number == each)
