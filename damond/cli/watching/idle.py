"""How much memory has not been accessed for how long."""

import itertools
from collections.abc import Iterator
from typing import Final

from rich.text import Text

from damond.cli.picture import bar, short_interval
from damond.cli.watching.panel import DIM, TITLE, Panel
from damond.cli.watching.view import View
from damond.cli.words import percent, share_of
from damond.report.idle import BOUNDS_S, idle_times
from damond.units import NSEC_PER_USEC, USEC_PER_SEC, format_interval, format_size

_LABEL: Final = 13
_SIZE: Final = 8
_PERCENT: Final = 5
_LEAST_BAR: Final = 3


class Idle(Panel):
    """A row per idle time, on a logarithmic scale."""

    def __init__(self, view: View) -> None:
        super().__init__(view, "idle")

    def lines(self, width: int, height: int) -> Iterator[Text]:
        """Make the lines; called by the panel."""
        moment = self.view.moment
        if moment is None:
            return
        found = idle_times(moment.memory, _bounds(height - 2))
        yield Text(f"IDLE TIME, bytes of {format_size(found.total)}", TITLE)
        spans = itertools.starmap(_span, itertools.pairwise(found.bounds_s))
        labels = ["accessed", f"< {_seconds(found.bounds_s[0])}", *spans, f">= {_seconds(found.bounds_s[-1])}"]
        most = max(found.accessed, *found.buckets, 1)
        nr_cells = width - _LABEL - _SIZE - _PERCENT - 3
        for label, size in zip(labels, (found.accessed, *found.buckets), strict=True):
            line = Text(
                f"{label:<{_LABEL}} {format_size(size):>{_SIZE}} {percent(share_of(size, found.total)):>{_PERCENT}} "
            )
            if nr_cells >= _LEAST_BAR:
                line.append_text(bar(size / most, nr_cells, colours=False))
            yield line
        yield Text(self._watched(), DIM)

    def _watched(self) -> str:
        """Say what bounds all of these times."""
        moment = self.view.moment
        if moment is None or moment.snapshot.origin is None:
            return ""
        watched_us = (moment.end_ns - moment.snapshot.origin.epoch) // NSEC_PER_USEC // USEC_PER_SEC * USEC_PER_SEC
        return f"watched for {short_interval(watched_us)}"


def _bounds(nr_rows: int) -> tuple[float, ...]:
    """Take every bound, or every second, ... as the room allows: there are two rows more than bounds."""
    step = next((each for each in range(1, len(BOUNDS_S)) if len(BOUNDS_S[::each]) + 2 <= nr_rows), len(BOUNDS_S))
    return BOUNDS_S[::step]


def _span(start_s: float, end_s: float) -> str:
    """Write a span with its unit, once if that will do."""
    start, end = _seconds(start_s), _seconds(end_s)
    (number, unit), (_, end_unit) = start.split(), end.split()
    return f"{number if unit == end_unit else start} to {end}"


def _seconds(value: float) -> str:
    return format_interval(value * USEC_PER_SEC)
