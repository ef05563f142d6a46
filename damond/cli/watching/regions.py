"""The regions of the target that is shown, sorted by what the reader wants to know."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from rich.text import Text

from damond.cli.picture import bar, short_interval
from damond.cli.watching.panel import DIM
from damond.cli.watching.rolling import Rolling
from damond.cli.watching.view import View
from damond.cli.words import address, percent, shortened
from damond.core import AddrRange, TargetSnapshot
from damond.core.mappings import Mappings
from damond.units import NSEC_PER_USEC, format_size

_ADDRESS, _SIZE, _PERCENT, _AGE, _SAMPLES, _LEAST_NAME, _MAX_BAR = 12, 8, 5, 7, 7, 8, 24
_MANY: Final = 10**6
_BETWEEN: Final = 1
_AT_CURSOR: Final = Style(bold=True, reverse=True)

_ORDERS: Final[Mapping[str, Callable[[TargetSnapshot], tuple[NDArray[np.generic], ...]]]] = {
    # The last key is the first to be looked at (numpy.lexsort); the greatest comes first, but for addresses.
    "access rate": lambda target: (-target.size.astype(float), -target.nr_accesses.astype(float)),
    "size": lambda target: (target.start, -target.size.astype(float)),
    "age": lambda target: (target.start, -target.age.astype(float)),
    "samples": lambda target: (target.start, -target.nr_samples.astype(float)),
    "address": lambda target: (target.start,),
}


@dataclass(frozen=True, slots=True)
class _Widths:
    """Characters of the columns that need not be there."""

    name: int
    samples: int
    bar: int


class Regions(Rolling):
    """A row per region: where and how large it is, its rate and age, and how many samples stand behind that."""

    def __init__(self, view: View) -> None:
        super().__init__(view, tuple(_ORDERS), "regions")

    def count(self) -> int:
        """Tell how many regions there are."""
        target = self.view.target
        return 0 if target is None else len(target.start)

    def at_cursor(self) -> AddrRange | None:
        """Return the region that the cursor is at."""
        target = self.view.target
        if target is None or not len(target.start):
            return None
        row = int(self._order(target)[min(self.cursor, len(target.start) - 1)])
        return AddrRange(int(target.start[row]), int(target.start[row] + target.size[row]))

    def lines(self, width: int, height: int) -> Iterator[Text]:
        """Make the lines; called by the panel."""
        yield from self.title("REGIONS", width)
        moment, target = self.view.moment, self.view.target
        if moment is None or target is None:
            return
        widths = _fit(width, names=bool(moment.maps), samples=bool(target.nr_samples.any()))
        yield _head(widths)
        order, mappings = self._order(target), moment.maps.get(target.id)
        for number in self.window(height - 2):
            line = self._row(target, int(order[number]), mappings, widths)
            if number == self.cursor and self.has_focus:
                line.stylize(_AT_CURSOR)
            yield line

    def _order(self, target: TargetSnapshot) -> NDArray[np.intp]:
        order = np.lexsort(_ORDERS[self.sorted_by](target))
        return order[::-1] if self._is_reversed else order

    def _row(self, target: TargetSnapshot, row: int, mappings: Mappings | None, widths: _Widths) -> Text:
        moment = self.view.moment
        assert moment is not None  # noqa: S101 - lines() has looked
        start, size = int(target.start[row]), int(target.size[row])
        heat = min(int(target.nr_accesses[row]) / max(moment.snapshot.max_nr_accesses, 1), 1.0)
        unseen = target.nr_samples.any() and not target.nr_samples[row]
        rate, heat = ("?", 0.0) if unseen else (percent(heat), heat)
        text = Text(f"{address(start)} {format_size(size):>{_SIZE}} {rate:>{_PERCENT}} ")
        lasted_us = int(target.age[row]) * moment.snapshot.aggr_us
        begin_ns = moment.snapshot.origin.epoch if moment.snapshot.origin is not None else 0
        if moment.end_ns > begin_ns:  # ages count aggregations, and those may have become longer
            lasted_us = min(lasted_us, (moment.end_ns - begin_ns) // NSEC_PER_USEC)
        text.append(f"{short_interval(lasted_us):>{_AGE}}")
        if widths.name:
            name = mappings.name(start, start + size) if mappings is not None else ""
            text.append(f" {shortened(name, widths.name):<{widths.name}}")
        if widths.samples:
            text.append(f" {_count(int(target.nr_samples[row])):>{_SAMPLES}}")
        return text.append(" ").append_text(bar(heat, widths.bar, colours=self.view.colours)) if widths.bar else text


def _fit(width: int, *, names: bool, samples: bool) -> _Widths:
    """Give what is left to names, then to samples, then to bars."""
    left = width - (_ADDRESS + _SIZE + _PERCENT + _AGE + 3 * _BETWEEN)
    name = min(left - _BETWEEN, 24) if names and left > _LEAST_NAME else 0
    left -= name + _BETWEEN if name else 0
    counts = _SAMPLES if samples and left > _SAMPLES else 0
    left -= counts + _BETWEEN if counts else 0
    return _Widths(name, counts, min(left - _BETWEEN, _MAX_BAR) if left > _LEAST_NAME else 0)


def _head(widths: _Widths) -> Text:
    text = f"{'address':<{_ADDRESS}} {'size':>{_SIZE}} {'rate':>{_PERCENT}} {'age':>{_AGE}}"
    text += f" {'mapping':<{widths.name}}" if widths.name else ""
    return Text(text + (f" {'samples':>{_SAMPLES}}" if widths.samples else ""), DIM)


def _count(number: int) -> str:
    """Write a number of samples in seven characters."""
    return f"{number:,}" if number < _MANY else f"{number / _MANY:,.4g}M"
