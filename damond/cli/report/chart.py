"""A number over time, for the terminal: ASCII, so that any terminal and any file holds it."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.style import Style
from rich.text import Text

from damond.cli import ramp
from damond.cli.picture import DIM
from damond.cli.report.axis import axis_lines
from damond.report.timeline import Series

AVERAGE: Final = "#"
GREATEST: Final = ":"
LITTLE: Final = "."
LEVEL: Final = "-"

_LABEL_WIDTH: Final = 10
_HEIGHT: Final = 10
_SEE_IT: Final = 3.0
"""A level up to so many times as high as the series is drawn; above, the series would be squeezed flat."""

_STYLES: Final = {AVERAGE: Style(color="cyan"), GREATEST: Style(color="blue"), LITTLE: Style(color="cyan")}
_EIGHTHS: Final = 8
_ROUNDING: Final = 1e-9
_BETWEEN: Final = "   "


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """Something to compare with, drawn as a line.

    Attributes:
        name: What it is.
        series: How it changed.
    """

    name: str
    series: Series


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Chart:
    """A series and what to compare it with.

    Attributes:
        name: What the series is.
        series: The series.
        words: Writes a value for people.
        levels: What to compare with; of those that are far above only the value is told.
        height: Lines.
    """

    name: str
    series: Series
    words: Callable[[float], str]
    levels: Sequence[Level] = ()
    height: int = _HEIGHT

    def lines(self, width: int, *, colours: bool) -> Iterator[Text]:
        """Draw it."""
        nr_columns = max(width - _LABEL_WIDTH - 1, 1)
        series = self.series.coarser(nr_columns)
        if np.isnan(series.mean).all():
            return
        highest = float(np.nanmax(series.high))
        near = [each for each in self._levels() if _highest(each.series) <= _SEE_IT * highest]
        top = round_up(max([highest, *(_highest(each.series) for each in near)]))
        lines = [each.series.coarser(nr_columns).mean for each in near]
        for row in range(self.height):
            low, high = (top * (self.height - row - step) / self.height for step in (1, 0))
            label = self.words(high) if row % (self.height // 2) == 0 else ""
            cells = "".join(_cell(series, lines, column, low, high) for column in range(len(series.mean)))
            yield Text(f"{label:>{_LABEL_WIDTH - 1}} ").append_text(_coloured(cells, colours=colours))
        marks, labels = axis_lines(int(series.time_ns[0]), int(series.time_ns[-1]), len(series.mean))
        yield Text(f"{self.words(0):>{_LABEL_WIDTH - 1}} {marks}", DIM)
        yield Text(f"{'':{_LABEL_WIDTH}}{labels}", DIM)
        joined, has_gaps = nr_columns < len(self.series.mean), bool(np.isnan(series.mean).any())
        yield from flowed(self._legend(near, joined=joined, has_gaps=has_gaps), width)

    def _levels(self) -> Iterator[Level]:
        """Yield the levels of which anything is known."""
        return (each for each in self.levels if not np.isnan(each.series.mean).all())

    def _legend(self, near: Sequence[Level], *, joined: bool, has_gaps: bool) -> Iterator[str]:
        yield f"{AVERAGE} {self.name}{', average' if joined else ''}"
        if joined:
            yield f"{GREATEST} greatest"
        yield f"{LITTLE} below half a line"
        if has_gaps:
            yield f"{ramp.NO_DATA} not known, or left out"
        for each in self._levels():
            value = self.words(float(each.series.mean[~np.isnan(each.series.mean)][-1]))
            drawn = f"{LEVEL} {each.name}, {value} at the end"
            yield drawn if each in near else f"{each.name}, {value} at the end, lies far above"


def _highest(series: Series) -> float:
    return float(np.nanmax(series.mean)) if not np.isnan(series.mean).all() else 0.0


def round_up(value: float) -> float:
    """Round up to a value that is easy to read: a multiple of an eighth of a power of two."""
    if value <= 0:
        return 1.0
    eighth = eighth_of(value)
    return math.ceil(value / eighth * (1 - _ROUNDING)) * eighth


def eighth_of(value: float) -> float:
    """Divide the next power of two by eight: a value has five to eight of these."""
    return 2.0 ** math.ceil(math.log2(value * (1 - _ROUNDING))) / _EIGHTHS


def _cell(
    series: Series, lines: Sequence[np.ndarray[tuple[int], np.dtype[np.float64]]], column: int, low: float, high: float
) -> str:
    mean, greatest, middle = series.mean[column], series.high[column], (low + high) / 2
    if any(low <= each[column] < high for each in lines):
        return LEVEL
    if math.isnan(mean):
        return ramp.NO_DATA
    if mean >= middle:
        return AVERAGE
    if greatest >= middle:
        return GREATEST
    return LITTLE if low == 0 and mean > 0 else " "


def _coloured(cells: str, *, colours: bool) -> Text:
    text = Text()
    for cell in cells:
        text.append(cell, _STYLES.get(cell, DIM) if colours else "")
    return text


def flowed(parts: Iterable[str], width: int) -> Iterator[Text]:
    """Set remarks into as few lines as hold them."""
    line = ""
    for part in parts:
        if line and len(line) + len(part) + len(_BETWEEN) > width:
            yield Text(line, DIM)
            line = ""
        line += (_BETWEEN if line else "") + part
    yield Text(line, DIM)
