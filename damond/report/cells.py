"""The memory of one target in cells whose bounds follow its heat, over a span of time."""

from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from damond.core.mappings import Mappings
from damond.core.regions import Addrs
from damond.report.newest import Newest
from damond.report.profile import Profile, distinct
from damond.report.raster import Raster, divided, recorded, time_edges
from damond.report.subject import Subject
from damond.report.windows import Bools, Floats, Windows

MAX_CELLS: Final = 1024
"""Cells of a target; their bounds are those where heat differs most."""

_MAX_NAMED: Final = 2048
"""Up to so many cells the bounds of mappings are bounds of cells too."""

NR_TIMES: Final = 256
"""Steps of the span in which the last access is looked for."""


@dataclass(slots=True, eq=False)
class Cells:
    """What windows found in each cell.

    Attributes:
        target_id: The target.
        raster: The sums, in ``NR_TIMES`` steps of the span.
        known: For each step, whether there is a window in it.
    """

    target_id: int
    raster: Raster
    known: Bools = field(init=False)

    def __post_init__(self) -> None:
        self.known = np.zeros(len(self.raster.time_ns) - 1, np.bool_)

    @classmethod
    def over(cls, subject: Subject, target_id: int, edges: Addrs) -> Self:
        """Prepare cells between these addresses, for the span of a subject."""
        nr_times = min(NR_TIMES, max(subject.nr_windows, 1))
        return cls(target_id, Raster(time_edges(subject.from_ns, subject.to_ns, nr_times), edges))

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        self.known |= recorded(windows, self.raster.time_ns)
        regions = windows.targets.get(self.target_id)
        if regions is not None and len(regions):
            self.raster.add(windows, regions)

    @property
    def start(self) -> Addrs:
        """First address of each cell. Bytes."""
        return self.raster.edges[:-1]

    @property
    def end(self) -> Addrs:
        """First address behind each cell. Bytes."""
        return self.raster.edges[1:]

    @property
    def monitored(self) -> Bools:
        """Whether the cell was monitored at any time."""
        found: Bools = np.any(self.raster.monitored, axis=0)
        return found

    @property
    def heat(self) -> Floats:
        """Share of samples that found an access, averaged over bytes and time; NaN where not monitored."""
        return divided(self.raster.accessed.sum(axis=0), self.raster.monitored.sum(axis=0))

    def unseen_bytes(self, newest: Newest) -> Floats:
        """Count in each cell what shows no access in the newest window without being known to be cold. Bytes."""
        last = newest.window
        regions = None if last is None else last.targets.get(self.target_id)
        if last is None or regions is None or not len(regions):
            return np.zeros(len(self.raster.edges) - 1)
        unseen = last.unseen(regions).astype(np.float64)
        return Profile(regions.start, regions.end, unseen, np.ones(len(regions))).integrate(self.raster.edges)[0]

    @property
    def touched(self) -> Bools:
        """For each step (row) and cell: whether any access was found."""
        return self.raster.accessed > 0


def cell_edges(peak: Profile, mappings: Mappings | None) -> Addrs:
    """Choose the bounds of cells: where heat differs, and where another mapping begins."""
    coarse = peak.coarsen(MAX_CELLS)
    edges = distinct(np.concatenate([coarse.start, coarse.end]))
    if mappings is None or not len(mappings):
        return edges
    named = np.concatenate([mappings.start, mappings.end])
    named = named[(named > edges[0]) & (named < edges[-1])]
    return distinct(np.concatenate([edges, named])) if len(named) <= _MAX_NAMED else edges
