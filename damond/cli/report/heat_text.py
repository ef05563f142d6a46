"""The heat map of a span, for the terminal: addresses downwards, time to the right, gaps hatched."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from rich.text import Text

from damond.cli import ramp
from damond.cli.heat_picture import Labels, area_lines, fold_line
from damond.cli.picture import BOLD, DIM, gap_words, name_width, target_name
from damond.cli.report.axis import axis_lines
from damond.cli.words import percent, seconds
from damond.core.mappings import Mappings
from damond.report.heatmap import Heatmap
from damond.report.measures.heat import Heat, Unit
from damond.report.windows import Bools
from damond.units import format_size

ADDRESS_WIDTH: Final = 12
_NO_DATA: Final = -1.0
_MOST: Final = 0.5
_DARK: Final = 0.5
"""Below, the scale ends lower than at all samples: a picture of which nothing can be seen says nothing."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the colours mean.

    Attributes:
        top: The heat of the hottest colour.
        words: What is measured.
        top_words: The heat of the hottest colour, in the unit of the words.
    """

    top: float
    words: str
    top_words: str


def scale_of(heat: Heat) -> Scale:
    """Choose a scale that shows the differences: all samples, or less where nothing is near to that."""
    hottest = 0.0 if heat.heatmap is None else float(np.nanmax(np.append(heat.heatmap.heat.ravel(), 0.0)))
    if heat.unit is Unit.SHARE:
        top = 1.0 if hottest >= _DARK or hottest <= 0 else round_up(hottest)
        return Scale(top, "accessed in % of samples", f"{100 * top:g}")
    top = round_up(hottest) if hottest > 0 else 1.0
    return Scale(top, "accesses/s of a page, estimated", f"{top:g}")


def round_up(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= value * (1 - 1e-9))


def margin(width: int, *, names: bool) -> int:
    """Say how much stands to the left of the heat. Characters."""
    named = name_width(width) if names else 0
    return ADDRESS_WIDTH + 1 + (named + 1 if named else 0)


def lines(heat: Heat, heatmap: Heatmap, mappings: Mappings | None, width: int, *, colours: bool) -> Iterator[Text]:
    """Draw it."""
    names = name_width(width) if mappings is not None else 0
    labels = Labels(margin(width, names=names > 0), names, mappings)
    scale = scale_of(heat)
    shades = np.where(heat.recorded[:, None], heatmap.heat / scale.top, _NO_DATA)
    shades[is_unseen(heat, heatmap)] = ramp.UNSEEN_HEAT
    shaded = replace(heatmap, heat=shades)
    yield Text(title(heat, heatmap, mappings), BOLD)
    for area, fold in zip(heatmap.areas, heatmap.folds, strict=False):
        yield from fold_line(fold, labels)
        yield from area_lines(shaded, area, labels, colours=colours)
    yield from fold_line(heatmap.folds[-1], labels)
    marks, times = axis_lines(int(heatmap.time_ns[0]), int(heatmap.time_ns[-1]), len(shades))
    yield Text(labels.blank() + marks, DIM)
    yield Text(labels.blank("time of day" if ":" in times else "time") + times, DIM)
    yield from _legend(shaded, scale, mappings, width, colours=colours)


def is_unseen(heat: Heat, heatmap: Heatmap) -> Bools:
    """Say which cells show no access without most of them being known to be cold."""
    found: Bools = (heatmap.heat == 0) & (heat.unseen > _MOST)
    return found


def title(heat: Heat, heatmap: Heatmap, mappings: Mappings | None) -> str:
    """Say what is drawn, of how much."""
    name = target_name(heatmap.target_id, None if mappings is None else heatmap.target_id)
    of_all = "monitored" if mappings is None else "mapped"
    drawn, total = format_size(heatmap.drawn_bytes), format_size(heatmap.total_bytes)
    if heatmap.drawn_bytes >= heatmap.total_bytes:
        return f"{name}: all {total} {of_all}"
    return f"{name}: the hottest {drawn} of {total} {of_all}, {percent(heat.drawn_share)} of all accesses"


def _legend(heatmap: Heatmap, scale: Scale, mappings: Mappings | None, width: int, *, colours: bool) -> Iterator[Text]:
    """Explain scale and cells, in as few lines as hold it."""
    span_ns = int(heatmap.time_ns[-1]) - int(heatmap.time_ns[0])
    sz_cell = sum(area.size for area in heatmap.areas) / heatmap.heat.shape[1]
    line = Text(f"{scale.words}: 0 [").append_text(ramp.scale(colours=colours)).append(f"] {scale.top_words}")
    notes = [f"one cell: {seconds(span_ns / len(heatmap.heat))} x {format_size(sz_cell)}"]
    if np.isnan(heatmap.heat).any():
        notes.append(f"{ramp.NOT_MONITORED} {gap_words(mappings)}")
    if (heatmap.heat == ramp.UNSEEN_HEAT).any():
        notes.append(f"{ramp.UNSEEN} too little looked at to call it cold")
    if (heatmap.heat == _NO_DATA).any():
        notes.append(f"{ramp.NO_DATA} nothing recorded")
    for note in notes:
        if len(line) + len(note) + 3 > width:
            yield line
            line = Text(note)
        else:
            line.append(f"   {note}")
    yield line
