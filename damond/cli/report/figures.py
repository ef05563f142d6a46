"""Pictures of reports for files, drawn by matplotlib (extra ``report``)."""

import itertools
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from damond.cli.report import based_on
from damond.cli.report.axis import ticks
from damond.cli.report.chart import eighth_of, round_up
from damond.cli.report.heat_text import is_unseen, scale_of, title
from damond.cli.report.times import from_ns
from damond.cli.words import address, shortened
from damond.core.mappings import Mappings
from damond.report.coverage import Coverage
from damond.report.heatmap import Area, Heatmap
from damond.report.measures.heat import Heat
from damond.report.timeline import Series
from damond.report.windows import Bools, Floats, Ints
from damond.units import format_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES: Final = (11, 6.2)
_HEADING: Final = 110
"""Characters of a heading beside a legend."""
_NR_TICKS: Final = 10
UNKNOWN: Final = "#b8b8b8"
_UNSEEN: Final = (0.36, 0.45, 0.62, 1.0)
_NOT_MONITORED: Final = "#ffffff"
_NAME_LENGTH: Final = 24
CELLS: Final = 300
"""Cells of a picture, from its lowest address to its highest."""

_TALL: Final = 60
_LOW: Final = 12
"""An area of fewer cells has one label, for its begin; one of ``_TALL`` has one for its middle as well."""

_LEAST_LABELLED: Final = 1 / 24
"""A mapping that is a smaller part of the picture gets no name: there is no room for it."""


def figure(heading: str, *coverages: Coverage) -> "Figure":
    """Begin a picture: its heading, and what it is based on, one or two spans."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, and not everybody has it

    picture = Figure(figsize=_INCHES, layout="constrained")
    facts = [list(based_on.facts(each)) for each in coverages]
    if len(facts) > 1:
        facts = [[f"{name}: {'; '.join(each)}"] for name, each in zip(("before", "after"), facts, strict=True)]
    lines = [*textwrap.wrap(heading, _HEADING), *(line for each in facts for line in each)]
    picture.suptitle("\n".join(lines), fontsize=10, x=0.01, ha="left")
    return picture


def heatmap(found: Heat, mappings: Mappings | None) -> "Figure":
    """Draw a heat map: time to the right, addresses upwards, an axis for each stretch of addresses."""
    heat = found.heatmap
    if heat is None:
        return figure(f"{found.coverage.context}: nothing was monitored", found.coverage)
    picture = figure(f"{found.coverage.context}: heat map; {title(found, heat, mappings)}", found.coverage)
    heights = [each.nr_cells for each in reversed(heat.areas)]
    axes: Any = picture.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    scale = scale_of(found)
    images = [
        _draw_area(axis, found, heat, area, scale.top) for axis, area in zip(axes, reversed(heat.areas), strict=True)
    ]
    for number, (axis, area) in enumerate(zip(axes, reversed(heat.areas), strict=True)):
        _label_addresses(axis, area, mappings)
        fold = heat.folds[len(heat.areas) - 1 - number]
        if number < len(heights) - 1 and fold.size:
            axis.set_xlabel(f"{format_size(fold.size)} of addresses not drawn", fontsize=8, color="0.4")
    _time_axis(axes[-1], int(heat.time_ns[0]), int(heat.time_ns[-1]))
    unseen = "blue: too little looked at to call it cold; " if is_unseen(found, heat).any() else ""
    white = f"white: not {'mapped' if mappings else 'monitored'}"
    _time_label(axes[-1], found.coverage, f"{unseen}grey: nothing recorded; {white}")
    bar = picture.colorbar(images[0], ax=axes.tolist(), label=scale.words, pad=0.01)
    if scale.words.startswith("accessed in %"):
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}")
    return picture


def _draw_area(axis: "Axes", found: Heat, heat: Heatmap, area: Area, top: float) -> Any:
    cells = heat.heat[:, area.first : area.first + area.nr_cells].T
    axis.set_facecolor(_NOT_MONITORED)
    extent = (int(heat.time_ns[0]), int(heat.time_ns[-1]), 0, area.nr_cells)
    image = axis.imshow(
        np.ma.masked_invalid(cells), aspect="auto", origin="lower", extent=extent, cmap="inferno", vmin=0, vmax=top,
        interpolation="nearest",
    )  # fmt: skip
    unseen = is_unseen(found, heat)[:, area.first : area.first + area.nr_cells].T
    if unseen.any():
        tint = np.zeros((*unseen.shape, 4))
        tint[unseen] = _UNSEEN
        axis.imshow(tint, aspect="auto", origin="lower", extent=extent, interpolation="nearest")
    edges = np.flatnonzero(np.diff(np.concatenate([[True], found.recorded, [True]]).astype(np.int8)))
    for first, behind in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        axis.axvspan(float(heat.time_ns[first]), float(heat.time_ns[behind]), color=UNKNOWN, lw=0)
    return image


def _label_addresses(axis: "Axes", area: Area, mappings: Mappings | None) -> None:
    """Put addresses to the left and names of mappings to the right."""
    cells = [0, *([area.nr_cells // 2] * (area.nr_cells >= _TALL)), *([area.nr_cells] * (area.nr_cells >= _LOW))]
    labels = [address(area.cell_start(each)) for each in cells]
    if mappings is not None and area.nr_cells < _LEAST_LABELLED * CELLS:
        labels[0] = f"{shortened(mappings.name(area.start, area.end), _NAME_LENGTH)} {labels[0]}"
    axis.set_yticks(cells, labels, family="monospace", fontsize=8)
    if mappings is None:
        return
    for start, end, name in named_runs(area, mappings):
        axis.axhline(start, color="0.6", lw=0.4)
        if end - start >= _LEAST_LABELLED * CELLS:
            axis.text(
                0.004, (start + end) / 2, shortened(name, _NAME_LENGTH), transform=axis.get_yaxis_transform(),
                va="center", fontsize=7, color="white", bbox={"facecolor": "black", "alpha": 0.5, "lw": 0, "pad": 1},
            )  # fmt: skip


def named_runs(area: Area, mappings: Mappings) -> list[tuple[int, int, str]]:
    """List neighbouring cells of one name: the first, the one behind the last, the name."""
    names = [mappings.name(area.cell_start(cell), area.cell_start(cell + 1)) for cell in range(area.nr_cells)]
    edges = [0, *(cell for cell in range(1, len(names)) if names[cell] != names[cell - 1]), len(names)]
    runs = ((first, behind, names[first]) for first, behind in itertools.pairwise(edges))
    return [run for run in runs if run[2]]


def _time_axis(axis: "Axes", from_ns: int, to_ns: int) -> None:
    marks = list(ticks(from_ns, to_ns, _NR_TICKS))
    axis.set_xticks([time_ns for time_ns, _ in marks], [label for _, label in marks], fontsize=8)
    axis.set_xlim(from_ns, to_ns)


def series(
    heading: str,
    coverage: Coverage,
    drawn: Sequence[tuple[str, Series]],
    *,
    levels: Sequence[tuple[str, Series]] = (),
    label: str,
    words: Callable[[float], str] = format_size,
) -> "Figure":
    """Draw numbers over time: the average as a line, from least to greatest as a band.

    Args:
        heading: What it is.
        coverage: What it is based on.
        drawn: Name and series.
        levels: What to compare with: name and series, as dashed lines.
        label: Of the axis of values.
        words: Writes a value.
    """
    picture = figure(heading, coverage)
    axis = picture.subplots()
    highest = 0.0
    for number, (name, each) in enumerate(drawn):
        middle = (each.time_ns[:-1] + each.time_ns[1:]) / 2
        axis.fill_between(middle, each.low, each.high, alpha=0.25, lw=0, color=f"C{number}")
        axis.plot(middle, each.mean, lw=1.2, color=f"C{number}", label=name)
        highest = max(highest, float(np.nanmax(np.append(each.high, 0.0))))
    for number, (name, each) in enumerate(levels):
        middle = (each.time_ns[:-1] + each.time_ns[1:]) / 2
        axis.plot(middle, each.mean, lw=1.2, ls="--", color=f"C{len(drawn) + number}", label=name)
        highest = max(highest, float(np.nanmax(np.append(each.mean, 0.0))))
    _value_axis(axis, round_up(highest), label, words)
    first = drawn[0][1]
    _time_axis(axis, int(first.time_ns[0]), int(first.time_ns[-1]))
    _mark_unknown(axis, first.time_ns, np.isnan(first.mean))
    _time_label(axis, coverage, "line: average, band: least to greatest; grey: not known, or left out")
    picture.legend(loc="outside upper right", fontsize=8)
    return picture


def stack(
    heading: str, coverage: Coverage, time_ns: Ints, layers: Sequence[tuple[str, Floats]], *, label: str
) -> "Figure":
    """Draw amounts on top of each other over time.

    Args:
        heading: What it is.
        coverage: What it is based on.
        time_ns: Edges of the steps, Unix time. Nanoseconds.
        layers: Name and amount in each step, the lowest first; NaN where nothing is known.
        label: Of the axis of values.
    """
    picture = figure(heading, coverage)
    axis = picture.subplots()
    shades = np.linspace(0.95, 0.15, len(layers))
    from matplotlib import colormaps  # noqa: PLC0415 - as above

    # One more value, for the end of the last step.
    amounts = [np.nan_to_num(np.append(amount, amount[-1])) for _, amount in layers]
    axis.stackplot(
        time_ns, amounts, labels=[name for name, _ in layers], colors=[colormaps["inferno"](each) for each in shades],
        step="post",
    )  # fmt: skip
    _value_axis(axis, round_up(float(np.sum(amounts, axis=0).max())), label, format_size)
    _time_axis(axis, int(time_ns[0]), int(time_ns[-1]))
    _mark_unknown(axis, time_ns, np.isnan(layers[0][1]))
    _time_label(axis, coverage, "grey: not known, or left out")
    handles, labels = axis.get_legend_handles_labels()
    picture.legend(handles[::-1], labels[::-1], loc="outside upper right", fontsize=8)
    return picture


def _time_label(axis: "Axes", coverage: Coverage, explained: str) -> None:
    axis.set_xlabel(f"time of day, {from_ns(coverage.to_ns).strftime('%Z')}; {explained}")


def _value_axis(axis: "Axes", top: float, label: str, words: Callable[[float], str]) -> None:
    marks = np.arange(0, top * (1 + 1e-9), eighth_of(top)).tolist()
    axis.set_yticks(marks, [words(each) for each in marks], fontsize=8)
    axis.set_ylim(0, top)
    axis.set_ylabel(label)
    axis.grid(visible=True, lw=0.3)


def _mark_unknown(axis: "Axes", time_ns: Ints, unknown: Bools) -> None:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], unknown, [False]]).astype(np.int8)))
    for first, behind in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        axis.axvspan(float(time_ns[first]), float(time_ns[behind]), color=UNKNOWN, lw=0)
