"""The heat map of a span: each window counts in each cell by what both have in common."""

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from damond.report.areas import hottest, whole
from damond.report.coverage import Coverage, gather
from damond.report.heatmap import Area, Heatmap, assemble, place
from damond.report.peaks import Peaks, find_peaks
from damond.report.raster import Raster, divided, recorded, time_edges
from damond.report.subject import Subject
from damond.report.windows import Bools, Floats, TargetRegions, Windows

_NSEC_PER_SEC = 1_000_000_000


class Unit(Enum):
    """What heat is measured in."""

    SHARE = "share of samples"
    RATE = "accesses per second"
    """Of one page: samples that found an access, per second. The sampling rate is the most that can be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """What to draw, and how fine.

    Attributes:
        nr_times: Rows, time.
        nr_addrs: Columns, addresses.
        everything: Draw all that was monitored instead of the hottest.
        target_id: The target; None is the one with the most accesses.
        unit: What heat is measured in.
    """

    nr_times: int = 64
    nr_addrs: int = 40
    everything: bool = False
    target_id: int | None = None
    unit: Unit = Unit.SHARE


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Heat:
    """A heat map and what it is based on.

    Attributes:
        coverage: What this is based on.
        unit: What heat is measured in.
        heatmap: The heat map; its heat is in that unit. None if nothing was monitored (of that target).
        recorded: Per row of it: whether there is any window. Heat is NaN where there is none, too: a gap in what is
            known, and no gap in memory.
        unseen: Per cell of it: the share, 0 to 1, in which no access was found without its being known to be cold; NaN
            where heat is. Nothing is unseen where the record does not say.
        drawn_share: Share of all accesses to the target that lie where it is drawn, 0 to 1.
        target_ids: All targets, the one with the most accesses first.
    """

    coverage: Coverage
    unit: Unit
    heatmap: Heatmap | None
    recorded: Bools
    unseen: Floats
    drawn_share: float
    target_ids: tuple[int, ...]


def measure(subject: Subject, canvas: Canvas) -> Heat:
    """Draw one target over the span of a subject."""
    peaks = find_peaks(subject)
    target_ids = tuple(peaks.targets())
    target_id = canvas.target_id if canvas.target_id is not None or not target_ids else target_ids[0]
    drawing = None
    if target_id in peaks.profiles and target_id is not None:
        drawing = _Drawing(subject, peaks, canvas, target_id)
    coverage = gather(subject, *([drawing] if drawing is not None else []), adapting=True)
    return Heat(
        coverage=coverage,
        unit=canvas.unit,
        heatmap=None if drawing is None else drawing.heatmap(),
        recorded=np.zeros(0, np.bool_) if drawing is None else drawing.recorded,
        unseen=np.zeros((0, 0)) if drawing is None else drawing.unseen,
        drawn_share=0.0 if drawing is None else drawing.drawn_share,
        target_ids=target_ids,
    )


@dataclass(slots=True, eq=False)
class _Drawing:
    """A heat map in the making."""

    subject: Subject
    peaks: Peaks
    canvas: Canvas
    target_id: int
    recorded: Bools = field(init=False)
    _areas: tuple[Area, ...] = field(init=False)
    _raster: Raster = field(init=False)
    _unseen: Raster = field(init=False)

    def __post_init__(self) -> None:
        peak = self.peaks.profiles[self.target_id]
        ranges = whole(peak) if self.canvas.everything else hottest(peak)
        self._areas = place(ranges, self.canvas.nr_addrs)
        time_ns = time_edges(self.subject.from_ns, self.subject.to_ns, self.canvas.nr_times)
        edges = np.concatenate([each.edges() for each in self._areas])
        self._raster, self._unseen = Raster(time_ns, edges), Raster(time_ns, edges)
        self.recorded = np.zeros(self.canvas.nr_times, np.bool_)

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        self.recorded |= recorded(windows, self._raster.time_ns)
        regions = windows.targets.get(self.target_id)
        if regions is not None and len(regions):
            self._raster.add(windows, regions, self._values(windows, regions))
            unseen = windows.unseen(regions)
            if unseen.any():
                self._unseen.add(windows, regions.take(unseen), np.ones(int(unseen.sum())))

    def _values(self, windows: Windows, regions: TargetRegions) -> Floats | None:
        if self.canvas.unit is Unit.SHARE:
            return None
        return regions.nr_accesses.astype(np.float64) * _NSEC_PER_SEC / windows.span_ns[regions.window]

    @property
    def unseen(self) -> Floats:
        """Share of each cell that was neither accessed nor known to be cold."""
        return divided(self._unseen.accessed, self._raster.monitored)[:, self._columns()]

    @property
    def drawn_share(self) -> float:
        """Share of the accesses that lie in the areas."""
        drawn = float(self._raster.accessed[:, self._columns()].sum())
        return drawn / self._raster.total if self._raster.total > 0 else 1.0

    def heatmap(self) -> Heatmap:
        """Draw what has come."""
        heat = self._raster.heat[:, self._columns()]
        peak = self.peaks.profiles[self.target_id]
        return assemble(self.target_id, heat, self._raster.time_ns, self._areas, peak)

    def _columns(self) -> Bools:
        """Leave out what lies between two areas."""
        inside = [np.append(np.ones(each.nr_cells, np.bool_), False) for each in self._areas]
        columns: Bools = np.concatenate(inside)[:-1]
        return columns
