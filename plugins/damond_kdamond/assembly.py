"""From events, one per region, to aggregations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from damond_kdamond.pages import ROW, Rows

_UNKNOWN: Final = -1
"""Number of the target after which events were lost: of what follows only a number 0 surely begins something."""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """The regions of all targets at the end of one aggregation.

    Attributes:
        end_ns: Its end. Nanoseconds of CLOCK_MONOTONIC.
        targets: Number of a target -> its regions; one without regions is not in it.
        after_gap: Something between the one before and this one was lost.
        sample_us: The sampling interval that the kernel has tuned itself to; 0 where it says nothing. Microseconds.
    """

    end_ns: int
    targets: dict[int, Rows] = field(default_factory=dict)
    after_gap: bool = False
    sample_us: int = 0


class Assembler:
    """Puts together what the kernel has taken apart (kdamond_reset_aggregated, mm/damon/core.c, Linux 5.18 to 7.2).

    It emits one event per region, target by target in their order, and each says how many regions its target has. An
    aggregation is complete with the last target's last region; or, if the last target has none, once the next one
    begins or nothing has come for a while. What lacks a part (the buffer was overwritten) is left out as a whole.

    Args:
        nr_targets: How many there are.

    Attributes:
        left_out: Targets that were left out with their aggregations.
    """

    def __init__(self, nr_targets: int) -> None:
        self.left_out = 0
        self._last = nr_targets - 1
        self._rows: Rows = np.zeros(0, ROW)
        self._gaps: list[int] = []
        self._open: dict[int, Rows] = {}
        self._after_gap = False
        self._skipped: int | None = None

    def feed(self, rows: Rows, until_ns: int, gaps: Sequence[int] = ()) -> list[Aggregation]:
        """Take new events; return the aggregations that are complete.

        Args:
            rows: What was read, sorted by time.
            until_ns: Take what is not later only: of what is, earlier parts may be on another CPU, not yet read.
            gaps: Times right before which events were lost.
        """
        self._gaps += gaps
        if len(self._rows):
            rows = np.concatenate([self._rows, rows])
            rows = rows[np.argsort(rows["time_ns"], kind="stable")]
        return list(self._assemble(rows, int(np.searchsorted(rows["time_ns"], until_ns, side="right"))))

    def _assemble(self, rows: Rows, ripe: int) -> Iterator[Aggregation]:
        """Go through the groups: the events of one target in one aggregation."""
        gaps = {gap: int(np.searchsorted(rows["time_ns"], gap)) for gap in self._gaps}
        cuts = {*_boundaries(rows[:ripe]), *(at for at in gaps.values() if 0 < at < ripe)}
        begin, grown = 0, False
        for past in [*sorted(cuts), ripe]:
            if begin in gaps.values():
                self._leave_out(_UNKNOWN)
            wanted = int(rows["nr_regions"][begin]) if begin < past else 0
            if past == ripe and past - begin < max(wanted, 1):
                break
            group, begin, grown = rows[begin:past], past, True
            number = int(group["target_id"][0])
            if self._open and number <= max(self._open):
                yield self._close()
            self._take(number, group, whole=len(group) == wanted)
            if self._open and number == self._last:
                yield self._close()
        self._rows = rows[begin:]
        self._gaps = [gap for gap, at in gaps.items() if at >= begin]
        if self._open and not grown and not len(self._rows):
            yield self._close()

    def _take(self, number: int, group: Rows, *, whole: bool) -> None:
        """Add a target to the aggregation under way, unless one before it in the same aggregation lacks a part.

        Where the next aggregation begins is seen by the numbers: they rise within one, and 0 is always the first.
        """
        if self._skipped is not None and (number == 0 or number <= self._skipped):
            self._skipped = None
        if not whole or self._skipped is not None:
            self.left_out += 1
            self._leave_out(number)
        else:
            self._open[number] = group

    def _leave_out(self, number: int) -> None:
        self._open.clear()
        self._after_gap = True
        self._skipped = number

    def _close(self) -> Aggregation:
        targets, after_gap = self._open, self._after_gap
        self._open, self._after_gap = {}, False
        return Aggregation(max(int(rows["time_ns"][-1]) for rows in targets.values()), targets, after_gap)


def _boundaries(rows: Rows) -> list[int]:
    """Find where another target or the next aggregation begins: regions of one target are sorted by address."""
    before, after = rows[:-1], rows[1:]
    changes = (
        (before["target_id"] != after["target_id"])
        | (before["nr_regions"] != after["nr_regions"])
        | (before["start"] >= after["start"])
    )
    return (np.flatnonzero(changes) + 1).tolist()
