"""One context as somebody looks at it: its last minutes, and what was lost on the way."""

from typing import Final

import numpy as np

from damond.core import Snapshot, Summary
from damond.report import Heatmap
from damond.report.recent import Recent
from damond.report.scrolling import Grid, Scrolling
from damond.report.series import WorkingSets

NR_TIMES: Final = 240
"""Columns of a picture: what a phone can show."""

NR_ADDRS: Final = 128

_NSEC_PER_SEC: Final = 1_000_000_000
_NSEC_PER_USEC: Final = 1_000


class Watched:
    """What is known of one context.

    Attributes:
        newest: The last snapshot.
        summary: The last summary: it has the memory of the processes, and names of mappings.
        missed: Snapshots lost on the way since the first one.
        skipped: Snapshots passed over because the reader was behind.
        restarts: How often the worker was started again meanwhile.
    """

    def __init__(self) -> None:
        self.newest: Snapshot | None = None
        self.summary: Summary | None = None
        self.missed = self.skipped = self.restarts = 0
        self._recent = Recent()
        self._working_sets = WorkingSets()
        self._pictures: dict[tuple[int, bool], Scrolling] = {}

    def add(self, message: Snapshot | Summary) -> None:
        """Take what came over the stream, or what the service had kept; nothing is taken twice."""
        if isinstance(message, Summary):
            self.summary = message
            return
        if self._is_known(message):
            return
        if message.origin is not None:
            self.missed += message.origin.missed
            self.skipped += message.origin.skipped
            self.restarts += message.origin.restarted
        self._recent.add(message)
        self._working_sets.add(message)
        self.newest = message

    def _is_known(self, snapshot: Snapshot) -> bool:
        last, this = None if self.newest is None else self.newest.origin, snapshot.origin
        return last is not None and this is not None and last.epoch == this.epoch and last.seq >= this.seq

    def targets(self) -> list[int]:
        """List the targets of the newest snapshot."""
        return [each.id for each in (self.newest.targets if self.newest else ())]

    def _column_ns(self, span_s: float) -> int:
        """Choose the time of a column: that of a window at least, or there would be stripes between them."""
        window_ns = 0 if self.newest is None else self.newest.aggr_us * _NSEC_PER_USEC
        return max(round(span_s * _NSEC_PER_SEC / NR_TIMES), window_ns, 1)

    def heatmap(self, target_id: int, span_s: float, *, everything: bool) -> Heatmap | None:
        """Draw the last so many seconds of one target; None if nothing of it is known."""
        grid = Grid(target_id, NR_ADDRS, self._column_ns(span_s), everything=everything)
        picture = self._pictures.setdefault((target_id, everything), Scrolling(self._recent))
        return picture.draw(grid, NR_TIMES, self._recent.end_ns)

    def working_set(self, span_s: float) -> list[tuple[int, float]]:
        """List Unix time (ns) and mean working set (bytes) of each column."""
        end_ns = self._recent.end_ns
        column_ns = self._column_ns(span_s)
        edges_ns = end_ns - column_ns * np.arange(NR_TIMES, -1, -1, dtype=np.int64)
        values = self._working_sets.between(int(edges_ns[0]), end_ns).means(edges_ns)
        some = ~np.isnan(values)
        return list(zip(edges_ns[1:][some].tolist(), values[some].tolist(), strict=True))
