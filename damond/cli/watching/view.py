"""What the reader has chosen to see."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from damond.cli.watching.contexts import Contexts, Row
from damond.cli.watching.shown import Moment, Shown
from damond.core import AddrRange, TargetSnapshot
from damond.report.profile import Profile
from damond.units import NSEC_PER_USEC, PAGE_SIZE

COLUMNS_NS: Final = tuple(round(each * 1e9) for each in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120))
"""Time that one column of the heat map can be. Nanoseconds."""

_DEFAULT_COLUMN_NS: Final = 500_000_000
"""Half a minute on 80 columns; the picture moves twice a second, which costs little over a slow line."""

_SLACK: Final = 4
"""Columns are kept that are so many times longer than they had to be."""

_LEAST_ZOOM: Final = 16 * PAGE_SIZE


class Shape(Enum):
    """Which panels have the room to the right of the list, or all of it."""

    OVERVIEW = "overview"
    CONTEXTS = "contexts"
    HEAT = "heat map"
    REGIONS = "regions"
    IDLE = "idle time"


@dataclass(slots=True)
class View:
    """The reader's choices; panels are drawn from it.

    Attributes:
        contexts: All contexts.
        colours: The terminal has enough colours for a scale.
        blocks: The terminal shows block characters.
        shown: The context that is looked at; None while there is none.
        shape: Which panels.
        everything: The heat map shows all addresses instead of the hottest.
        zoom: The heat map shows these addresses only.
        frozen: What is shown instead of the newest.
    """

    contexts: Contexts
    colours: bool = True
    blocks: bool = True
    shown: Shown | None = None
    shape: Shape = Shape.OVERVIEW
    everything: bool = False
    zoom: AddrRange | None = None
    frozen: Moment | None = None
    _target_id: int | None = None
    _column: int | None = None
    _least_column: int = 0

    def choose(self, shown: Shown | None) -> None:
        """Look at another context; what was chosen of the one before means nothing for it."""
        self.shown, self.zoom, self.frozen, self._target_id = shown, None, None, None

    @property
    def row(self) -> Row | None:
        """State of the context that is looked at."""
        return None if self.shown is None else self.contexts.row(self.shown.name)

    @property
    def moment(self) -> Moment | None:
        """What is shown of it; None if nothing has come yet."""
        if self.frozen is not None:
            return self.frozen
        return None if self.shown is None else self.shown.moment

    @property
    def target(self) -> TargetSnapshot | None:
        """The target that is shown: the chosen one, or the one with the most accesses when it was first seen."""
        moment = self.moment
        if moment is None or not moment.memory.targets:
            return None
        targets = {each.id: each for each in moment.memory.targets}
        if self._target_id not in targets:
            self._target_id = max(targets.values(), key=_accesses).id
        return targets[self._target_id]

    def next_target(self) -> None:
        """Show the next target."""
        target, moment = self.target, self.moment
        if target is not None and moment is not None:
            ids = [each.id for each in moment.memory.targets]
            self._target_id, self.zoom = ids[(ids.index(target.id) + 1) % len(ids)], None

    @property
    def column_ns(self) -> int:
        """Time of one column of the heat map: never less than an aggregation. Nanoseconds."""
        return COLUMNS_NS[self._column_number()]

    def _column_number(self) -> int:
        moment = self.moment
        aggr_ns = moment.snapshot.aggr_us * NSEC_PER_USEC if moment is not None else 0
        # Intervals that are tuned change all the time, and a scale that follows each change can't be read.
        if not aggr_ns <= COLUMNS_NS[self._least_column] <= _SLACK * aggr_ns:
            fits = [number for number, each in enumerate(COLUMNS_NS) if each >= aggr_ns]
            self._least_column = fits[0] if fits else len(COLUMNS_NS) - 1
        chosen = COLUMNS_NS.index(_DEFAULT_COLUMN_NS) if self._column is None else self._column
        return max(chosen, self._least_column)

    def scale_time(self, steps: int) -> None:
        """Make columns longer (or shorter, below 0) by so many steps."""
        self._column = min(max(self._column_number() + steps, 0), len(COLUMNS_NS) - 1)

    def zoom_in(self, region: AddrRange) -> None:
        """Show a region with half as much again on both sides; then, again and again, the middle half of that."""
        if self.zoom is None:
            start, size = region.start - region.size // 2, 2 * region.size
            self.zoom = AddrRange(max(start, 0), start + size)
        elif self.zoom.size > _LEAST_ZOOM:
            self.zoom = AddrRange(self.zoom.start + self.zoom.size // 4, self.zoom.end - self.zoom.size // 4)

    def zoom_out(self) -> None:
        """Show twice as much, until that is all there is."""
        target = self.target
        if self.zoom is None or target is None:
            return
        start, end = max(self.zoom.start - self.zoom.size // 2, 0), self.zoom.end + self.zoom.size // 2
        known = Profile.of(target, 1)
        self.zoom = None if start <= known.start[0] and end >= known.end[-1] else AddrRange(start, end)

    def freeze(self) -> None:
        """Keep what is shown as it is, or go on."""
        self.frozen = self.moment if self.frozen is None else None


def _accesses(target: TargetSnapshot) -> float:
    return float((target.size.astype(float) * target.nr_accesses).sum())
