"""The heat map of the target that is shown: addresses downwards, time to the right, the newest at the edge."""

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np
from rich.text import Text

from damond.cli import ramp
from damond.cli.heat_picture import Labels, area_lines, fold_line
from damond.cli.picture import gap_words, name_width, target_name
from damond.cli.watching.panel import DIM, TITLE, Panel
from damond.cli.watching.view import View
from damond.cli.words import clock, seconds
from damond.report.areas import Fold
from damond.report.heatmap import Heatmap
from damond.report.scrolling import Grid
from damond.units import format_size

ADDRESS_WIDTH: Final = 13
"""Twelve digits and a space: what stands left of the cells, besides names."""

_FURNITURE: Final = 3
"""Lines besides cells and folds: title, axis, legend."""

_LINES_PER_AREA: Final = 3
_NSEC_PER_SEC: Final = 10**9
_NSEC_PER_MIN: Final = 60 * _NSEC_PER_SEC
_ROOM_FOR_FOLDS: Final = 10
_NOTHING: Final = Fold(0)
_TICK_CELLS: Final = 10
"""Columns between two labels of the time axis."""


def margin(view: View, width: int) -> int:
    """Tell how wide the labels are in a panel of this width: panels beside each other in time begin there."""
    moment = view.moment
    names = name_width(width) if moment is not None and moment.maps else 0
    return ADDRESS_WIDTH + (names + 1 if names else 0)


class Heat(Panel):
    """Draws the heat map that scrolls."""

    def __init__(self, view: View) -> None:
        super().__init__(view, "heat")
        self._nr_folds = 0

    def heatmap(self, width: int, height: int) -> Heatmap | None:
        """Compute the heat map for a room; None if nothing is known."""
        view, moment = self.view, self.view.moment
        target = view.target
        if moment is None or target is None or view.shown is None:
            return None
        room, columns = height - _FURNITURE, max(width - margin(view, width), 1)
        for _ in range(2):  # how many lines folds take is known only when areas have been chosen
            nr_addrs, max_areas = max(room - self._nr_folds, 1), max(room // _LINES_PER_AREA, 1)
            grid = Grid(target.id, nr_addrs, view.column_ns, max_areas, everything=view.everything, zoom=view.zoom)
            found = view.shown.scrolling.draw(grid, columns, moment.end_ns)
            nr_folds = 0 if found is None else len(_folds(found, room))
            if nr_folds == self._nr_folds:
                break
            self._nr_folds = nr_folds
        return found

    def lines(self, width: int, height: int) -> Iterator[Text]:
        """Make the lines; called by the panel."""
        heatmap, moment = self.heatmap(width, height), self.view.moment
        if heatmap is None or moment is None:
            yield Text("no snapshot of it has come yet", DIM)
            return
        mappings = moment.maps.get(heatmap.target_id)
        names = name_width(width) if moment.maps else 0
        labels = Labels(margin(self.view, width), names, mappings)
        yield self._title(heatmap, "monitored" if mappings is None else "mapped", width)
        body = self._body(heatmap, labels, height - _FURNITURE)
        yield from itertools.islice(body, height - _FURNITURE)
        yield _axis(heatmap, labels, moment.end_ns)
        yield from self._legend(heatmap, labels, width)

    def _title(self, heatmap: Heatmap, of_all: str, width: int) -> Text:
        view, moment = self.view, self.view.moment
        targets = moment.memory.targets if moment is not None else ()
        pid = next((each.pid for each in targets if each.id == heatmap.target_id), None)
        number = [each.id for each in targets].index(heatmap.target_id) + 1
        which = f"{target_name(heatmap.target_id, pid)}{f' ({number} of {len(targets)})' if len(targets) > 1 else ''}"
        part = "zoomed to" if view.zoom else "all" if view.everything else "hottest"
        drawn, total = format_size(heatmap.drawn_bytes), format_size(heatmap.total_bytes)
        share = f"all {total}" if heatmap.drawn_bytes == heatmap.total_bytes else f"{part} {drawn} of {total}"
        words = f"HEAT MAP {which}: {share}"
        return Text(f"{words} {of_all}" if len(words) + 1 + len(of_all) <= width else words, TITLE)

    def _body(self, heatmap: Heatmap, labels: Labels, room: int) -> Iterator[Text]:
        folds = _folds(heatmap, room)
        for number, area in enumerate(heatmap.areas):
            yield from fold_line(folds.get(number, _NOTHING), labels)
            yield from area_lines(heatmap, area, labels, colours=self.view.colours)
        yield from fold_line(folds.get(len(heatmap.areas), _NOTHING), labels)

    def _legend(self, heatmap: Heatmap, labels: Labels, width: int) -> Iterator[Text]:
        """Explain scale and cells in one line; what has no room is in the help."""
        sz_cell = sum(area.size for area in heatmap.areas) / heatmap.heat.shape[1]
        notes = [f"  cell {seconds(self.view.column_ns)} x {format_size(sz_cell)}"]
        if (heatmap.heat < 0).any():
            notes.append(f"  {ramp.NO_DATA} no data")
        if np.isnan(heatmap.heat).any():
            notes.append(f"  {ramp.NOT_MONITORED} {gap_words(labels.mappings)}")
        scale = ramp.scale(colours=self.view.colours)
        long = Text("rate 0 [").append_text(scale).append("] 100 %")
        fits = long.cell_len + sum(map(len, notes)) <= width
        line = long if fits else Text("0[").append_text(scale).append("]100 %")
        for note in notes:
            if line.cell_len + len(note) <= width:
                line.append(note)
        yield line


def _folds(heatmap: Heatmap, room: int) -> dict[int, Fold]:
    """List the folds that have a line: in a low panel those between areas only, that nothing looks like neighbours."""
    last = len(heatmap.folds) - 1
    return {
        number: fold
        for number, fold in enumerate(heatmap.folds)
        if fold.size and (room >= _ROOM_FOR_FOLDS or 0 < number < last)
    }


def _axis(heatmap: Heatmap, labels: Labels, end_ns: int) -> Text:
    """Label the time axis: how long ago, and at its end the time of day."""
    column_ns, width = int(heatmap.time_ns[1] - heatmap.time_ns[0]), len(heatmap.heat)
    cells, end = [" "] * width, clock(end_ns)
    unit, unit_ns = ("s", _NSEC_PER_SEC) if column_ns * _TICK_CELLS % _NSEC_PER_MIN else ("min", _NSEC_PER_MIN)
    for ago in range(_TICK_CELLS, width + 1, _TICK_CELLS):
        label = f"|-{ago * column_ns // unit_ns} {unit}"
        if ago > len(label) + len(end):
            cells[width - ago : width - ago + len(label)] = label
    cells[-len(end) :] = end
    return Text(labels.blank("time") + "".join(cells), DIM)
