"""A picture of what is shown, as a file."""

import datetime as dt
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from damond.cli.picture import target_name
from damond.cli.watching.view import View
from damond.cli.words import address, granularity_words
from damond.core.mappings import Mappings
from damond.report.heatmap import Heatmap
from damond.report.scrolling import Grid, Scrolling
from damond.report.series import Windows
from damond.units import format_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NSEC_PER_SEC: Final = 1_000_000_000
_MIB: Final = 1 << 20
_INCHES: Final = (11, 7)
_DPI: Final = 120
_NR_ADDRS: Final = 256
_LEAST_HEIGHT: Final = 10
"""A tenth of the picture has room for the label of an area, however small it is."""

_NOTHING: Final = "0.85"
"""Grey where nothing is known, or monitored."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture is made of.

    Attributes:
        title: What it shows.
        heatmap: Where the accesses were.
        windows: The working sets.
        mappings: What the target had mapped; None if it is no process, or can't be looked at.
    """

    title: str
    heatmap: Heatmap
    windows: Windows
    mappings: Mappings | None

    @property
    def end_ns(self) -> int:
        """Where time ends. Unix time, nanoseconds."""
        return int(self.heatmap.time_ns[-1])

    def seconds(self, time_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Count from the end, so that what was before is below 0."""
        return (time_ns - self.end_ns) / _NSEC_PER_SEC


def has_matplotlib() -> bool:
    """Say whether matplotlib is installed (extra ``report``)."""
    return importlib.util.find_spec("matplotlib") is not None


def file_name(context: str, suffix: str, now: dt.datetime) -> str:
    """Name a file so that names sort by time."""
    return f"damond-{context}-{now:%Y%m%d-%H%M%S}{suffix}"


def write_new(path: Path, content: bytes) -> Path:
    """Write a file that must not be there yet; return where it is.

    Raises:
        OSError: It is there, or can't be written.
    """
    with path.open("xb") as file:
        file.write(content)
    return path.absolute()


def png(picture: Picture) -> bytes:
    """Draw the heat map, and below it the working set over the same time. Takes a second: call it in a thread."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - half a second, and not everybody has it

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    areas = picture.heatmap.areas
    least = sum(each.nr_cells for each in areas) / _LEAST_HEIGHT
    heights = [max(each.nr_cells, least) for each in areas]
    axes: Any = figure.subplots(
        len(areas) + 1, 1, sharex=True, squeeze=False, height_ratios=[*heights, sum(heights) / 3]
    )[:, 0]
    images = [_draw_area(axis, picture, number) for number, axis in enumerate(axes[:-1])]
    figure.colorbar(images[0], ax=axes[:-1].tolist(), label="accessed in % of samples")
    _draw_working_sets(axes[-1], picture)
    figure.suptitle(picture.title)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _draw_area(axis: "Axes", picture: Picture, number: int) -> Any:
    """Draw one area: addresses downwards, as on the screen."""
    heatmap, area = picture.heatmap, picture.heatmap.areas[number]
    heat = heatmap.heat[:, area.first : area.first + area.nr_cells].T
    known = np.ma.masked_where(np.isnan(heat) | (heat < 0), heat * 100)
    left, right = picture.seconds(heatmap.time_ns[[0, -1]]).tolist()
    image = axis.imshow(
        known,
        extent=(left, right, area.nr_cells, 0),
        aspect="auto",
        interpolation="nearest",
        cmap="inferno",
        vmin=0,
        vmax=100,
    )
    axis.set_facecolor(_NOTHING)
    name = picture.mappings.name(area.start, area.end) if picture.mappings is not None else ""
    axis.set_yticks([0], [f"{address(area.start)}\n{format_size(area.size)} {name}"], family="monospace", va="top")
    return image


def _draw_working_sets(axis: "Axes", picture: Picture) -> None:
    ends = picture.seconds(picture.windows.end_ns)
    axis.step(ends, picture.windows.accessed / _MIB, where="pre", linewidth=1)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("working set, MiB")
    end = dt.datetime.fromtimestamp(picture.end_ns // _NSEC_PER_SEC, dt.UTC).astimezone()
    axis.set_xlabel(f"seconds before {end:%Y-%m-%d %H:%M:%S %Z}; grey: no data, or not monitored")


def picture_of(view: View, nr_times: int) -> Picture | None:
    """Gather what a picture of the view needs: the time and the addresses that it shows, but with finer rows."""
    moment, target, shown = view.moment, view.target, view.shown
    if moment is None or target is None or shown is None:
        return None
    grid = Grid(target.id, _NR_ADDRS, view.column_ns, everything=view.everything, zoom=view.zoom)
    heatmap = Scrolling(shown.recent).draw(grid, nr_times, moment.end_ns)
    if heatmap is None:
        return None
    mappings, host = moment.maps.get(target.id), view.contexts.host
    part = f"{format_size(heatmap.drawn_bytes)} of {format_size(heatmap.total_bytes)}"
    part += " monitored" if mappings is None else " mapped"
    check = f"one check: {granularity_words(moment.snapshot.granularity)}"
    title = f"{shown.name} on {host}, {target_name(target.id, target.pid)}: {part}; {check}"
    windows = shown.working_sets.between(int(heatmap.time_ns[0]), moment.end_ns)
    return Picture(title, heatmap, windows, mappings)
