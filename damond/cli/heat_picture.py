"""The heat map of a run, and what the run touched, for the terminal or a file."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from damond.cli import ramp
from damond.cli.picture import gap_words, name_width, short_interval, target_name
from damond.cli.words import address, clock, percent, seconds, share_of, shortened
from damond.report import Accumulator, Area, Fold, Heatmap, Mappings, MapsByTarget, Touched
from damond.units import NSEC_PER_USEC, format_size

DIM: Final = Style(dim=True)
BOLD: Final = Style(bold=True)

_ADDRESS_WIDTH: Final = 12
_MARGIN: Final = 1
_MAX_TARGETS: Final = 3
"""Heat maps printed by default: more would scroll the first away."""

_FURNITURE: Final = 12
"""Lines of a picture besides the heat itself: headline, folds, axis, legend, what was touched, the prompt."""

_MAPPING: Final = "mapping +others"
_BETWEEN: Final = "   "
_MIN_LINES: Final = 8
_MAX_LINES: Final = 32
_TICK_CELLS: Final = 10
"""Characters between two labels of the time axis at least."""

_NSEC_PER_SEC: Final = 1_000_000_000
_TICKS_S: Final = (0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


@dataclass(frozen=True, slots=True)
class RunPicture:
    """Everything that is left to say when a run is over: heat maps, then what was touched.

    Attributes:
        run: The run.
        everything: Draw all that was monitored instead of the hottest addresses.
        rss_bytes: Resident memory of what was monitored, for comparison; or None.
        maps: What the targets had mapped last: what snapshots were cut to, before they came into the run.
    """

    run: Accumulator
    everything: bool = False
    rss_bytes: int | None = None
    maps: MapsByTarget = field(default_factory=dict)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw; called by rich."""
        colours = ramp.has_colours(console)
        names = name_width(options.max_width) if self.maps else 0
        margin = _ADDRESS_WIDTH + _MARGIN + (names + _MARGIN if names else 0)
        targets = self.run.targets()
        shown = targets[:_MAX_TARGETS]
        nr_lines = _nr_lines(console) // max(len(shown), 1)
        for target_id in shown:
            heatmap = self.run.heatmap(
                target_id,
                nr_times=max(options.max_width - margin - _MARGIN, 1),
                nr_addrs=max(nr_lines, 1),
                everything=self.everything,
            )
            if heatmap is not None:
                mappings = self.maps.get(target_id)
                labels = Labels(margin, names, mappings)
                yield from _unwrapped(heat_lines(heatmap, labels, colours=colours))
        if len(targets) > len(shown):
            yield Text(f"{len(targets) - len(shown)} more targets, less accessed, are not drawn", DIM)
        yield from map(Text, touched_lines(self.run.touched(self.rss_bytes), "mapped" if self.maps else "monitored"))


def _nr_lines(console: Console) -> int:
    if not console.is_terminal:
        return _MAX_LINES - _MIN_LINES
    return max(_MIN_LINES, min(console.height - _FURNITURE, _MAX_LINES))


def _unwrapped(lines: Iterator[Text]) -> Iterator[Text]:
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
        yield line


@dataclass(frozen=True, slots=True)
class Labels:
    """What stands to the left of the heat.

    Attributes:
        width: Of all of it. Characters.
        names: Of a name; 0 is no names.
        mappings: What the process had mapped last; None if the target is no process.
    """

    width: int
    names: int
    mappings: Mappings | None

    def of(self, start: int, end: int, style: Style) -> Text:
        """Label a row."""
        text = Text().append(f"{address(start):<{_ADDRESS_WIDTH}} ", style)
        if self.names:
            name = self.mappings.name(start, end) if self.mappings is not None else ""
            text.append(f"{shortened(name, self.names):<{self.names}} ")
        return text

    def head(self) -> str:
        """Say what the labels are: a row is named as most of it, and counts what else is in it."""
        return self.blank(f"{'address':<{_ADDRESS_WIDTH}} {_MAPPING if len(_MAPPING) <= self.names else ''}")

    def blank(self, words: str = "") -> str:
        """Fill the space to the left of what is no row."""
        return f"{words:<{self.width}}"


def heat_lines(heatmap: Heatmap, labels: Labels, *, colours: bool) -> Iterator[Text]:
    """Draw one heat map: addresses downwards, time to the right."""
    of_all = "monitored" if labels.mappings is None else "mapped"
    drawn = f"{format_size(heatmap.drawn_bytes)} of {format_size(heatmap.total_bytes)} {of_all}"
    which = "the hottest" if heatmap.drawn_bytes < heatmap.total_bytes else "all"
    name = target_name(heatmap.target_id, None if labels.mappings is None else heatmap.target_id)
    yield Text(f"{name}: {which} {drawn}, {_time_span(heatmap)}", BOLD)
    for area, fold in zip(heatmap.areas, heatmap.folds, strict=False):
        yield from fold_line(fold, labels)
        yield from area_lines(heatmap, area, labels, colours=colours)
    yield from fold_line(heatmap.folds[-1], labels)
    yield from _time_axis(heatmap, labels)
    yield from _legend(heatmap, labels, colours=colours)


def _time_span(heatmap: Heatmap) -> str:
    return f"{clock(int(heatmap.time_ns[0]))} to {clock(int(heatmap.time_ns[-1]))}"


def area_lines(heatmap: Heatmap, area: Area, labels: Labels, *, colours: bool) -> Iterator[Text]:
    """Draw one area, a line for each of its columns."""
    for index in range(area.nr_cells):
        label = labels.of(area.cell_start(index), area.cell_start(index + 1), BOLD if index == 0 else DIM)
        yield label.append_text(ramp.row(heatmap.heat[:, area.first + index].tolist(), colours=colours))


def fold_line(fold: Fold, labels: Labels) -> Iterator[Text]:
    """Say what is left out, if anything is."""
    if not fold.size:
        return
    words = [f"{format_size(fold.monitored)} less accessed, not drawn"] if fold.monitored else []
    if fold.size > fold.monitored:
        words.append(f"{format_size(fold.size - fold.monitored)} {gap_words(labels.mappings)}")
    yield Text(f"{'':{_ADDRESS_WIDTH}} --- {'; '.join(words)} ---", DIM)


def _time_axis(heatmap: Heatmap, labels: Labels) -> Iterator[Text]:
    """Draw marks and their labels, in seconds from the begin."""
    width = len(heatmap.heat)
    span_s = (int(heatmap.time_ns[-1]) - int(heatmap.time_ns[0])) / _NSEC_PER_SEC
    step_s = next((each for each in _TICKS_S if each / span_s * width >= _TICK_CELLS), span_s)
    marks, seconds_line = ["-"] * width, ""
    for tick in range(int(span_s / step_s) + 1):
        column = min(int(tick * step_s / span_s * width), width - 1)
        marks[column] = "+"
        label = f"{tick * step_s:g} s"
        if column >= len(seconds_line) and column + len(label) <= width + _MARGIN:
            seconds_line = seconds_line.ljust(column) + label
    yield Text(labels.head() + "".join(marks), DIM)
    yield Text(labels.blank("time") + seconds_line, DIM)


def _legend(heatmap: Heatmap, labels: Labels, *, colours: bool) -> Iterator[Text]:
    """Explain scale and cells, in one line if it is wide enough."""
    width = labels.width + len(heatmap.heat)
    span_ns = int(heatmap.time_ns[-1]) - int(heatmap.time_ns[0])
    sz_cell = sum(area.size for area in heatmap.areas) / heatmap.heat.shape[1]
    notes = [f"one cell: {seconds(span_ns / len(heatmap.heat))} x {format_size(sz_cell)}"]
    if np.isnan(heatmap.heat).any():
        notes.append(f"{ramp.NOT_MONITORED} {gap_words(labels.mappings)}")
    line = ramp.legend(width, colours=colours)
    for note in notes:
        if len(line) + len(note) + len(_BETWEEN) > width:
            yield line
            line = Text(note)
        else:
            line.append(_BETWEEN + note)
    yield line


def touched_lines(touched: Touched, of_what: str) -> list[str]:
    """Say how much of the memory was touched; the last line is the answer.

    Args:
        touched: What was counted.
        of_what: What the memory is that it is compared with: "mapped" or "monitored".
    """
    if not touched.nr_windows:
        return ["no window of the monitoring was complete: nothing to say yet"]
    least, most, span = touched.least_bytes, touched.most_bytes, short_interval(touched.span_ns / NSEC_PER_USEC)
    low, high = format_size(least), format_size(most)
    bounds = high if low == high else f"from {low} (hot all over) to {high} (any access)"
    if touched.whole_mappings:
        bounds, least = f"{high} (mappings with any access found: a check sees a whole one)", most
    shares = f"{_shares(least, most, touched.total_bytes)} of {format_size(touched.total_bytes)} {of_what}"
    if touched.rss_bytes:
        rss = touched.rss_bytes
        shares += f", {_shares(min(least, rss), min(most, rss), rss)} of {format_size(rss)} RSS"
    return [f"working set: {_per_window(touched)}", f"touched in {span}: {bounds}", f"that is {shares}"]


def _per_window(touched: Touched) -> str:
    median, p75, most = map(format_size, (touched.median_bytes, touched.p75_bytes, touched.max_bytes))
    first, last = touched.nr_adapting + 1, touched.nr_adapting + touched.nr_windows
    windows = f"{touched.nr_windows:,} window{'s'[: touched.nr_windows > 1]}"
    if touched.nr_adapting:  # before, regions were still as coarse as they were made
        windows = f"last {f'{touched.nr_windows:,} ' if last > first else ''}of {last:,} windows"
    return f"median {median}, p75 {p75}, max {most} ({windows})"


def _shares(least: int, most: int, total: int) -> str:
    low, high = percent(share_of(least, total)), percent(share_of(most, total))
    return high if low == high else f"{low} to {high}"
