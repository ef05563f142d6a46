"""The end of an endless run, in bounded memory: what is older is known in coarser slices of time, then forgotten."""

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from damond.core import Snapshot
from damond.report.history import Slice
from damond.report.profile import EMPTY, Profile

SLICES_PER_LEVEL: Final = 256
"""Of each width: a screen of columns. The first are single snapshots."""

JOINED: Final = 4
"""Slices of one level that make one of the next."""

NR_LEVELS: Final = 6
"""At 10 snapshots a second: 25 s of them singly, then 102 s by four, ... 7 h by 1024; 24 MiB at most (MAX_PIECES)."""

_GAP_SHARE: Final = 0.5
"""Slices are not joined over a gap wider than this share of one: it would look as if it had been watched."""

_MAX_PIECES: Final = 1024
"""Pieces of a peak: more than any screen has rows, by far."""


class Recent:
    """What a run found lately: slices in the order of time, the newest of them snapshots.

    If Unix time is set back, all is forgotten: there is no telling any more when it was.
    """

    def __init__(self) -> None:
        self._levels: list[deque[Slice]] = [deque() for _ in range(NR_LEVELS)]

    @property
    def end_ns(self) -> int:
        """End of the newest snapshot, Unix time; 0 if there is none. Nanoseconds."""
        return self._levels[0][-1].end_ns if self._levels[0] else 0

    @property
    def start_ns(self) -> int:
        """Begin of what is known, Unix time; 0 if there is nothing. Nanoseconds."""
        return next((each.start_ns for each in self), 0)

    def __iter__(self) -> Iterator[Slice]:
        """Go through all slices, the oldest first."""
        return itertools.chain.from_iterable(reversed(self._levels))

    def add(self, snapshot: Snapshot) -> None:
        """Append a snapshot."""
        if snapshot.end_ns <= self.end_ns:
            for level in self._levels:
                level.clear()
        self._append(0, Slice.of(snapshot, self.end_ns))

    def _append(self, number: int, new: Slice) -> None:
        level = self._levels[number]
        level.append(new)
        if len(level) < SLICES_PER_LEVEL + JOINED:
            return
        oldest = level.popleft()
        for _ in range(JOINED - 1):
            if level[0].start_ns - oldest.end_ns > _GAP_SHARE * (level[0].end_ns - level[0].start_ns):
                break
            oldest = oldest.join(level.popleft())
        if number + 1 < NR_LEVELS:
            self._append(number + 1, oldest)

    def between(self, start_ns: int, end_ns: int) -> list[Slice]:
        """List the slices that lie, in part at least, between two times."""
        return [each for each in self if each.end_ns > start_ns and each.start_ns < end_ns]


def peak_of(slices: Sequence[Slice], target_id: int) -> Profile:
    """Return the greatest heat of each address of a target; everything that was monitored is in it."""
    row = [_heat(each.targets[target_id]) for each in slices if target_id in each.targets]
    # By halves: most of the profiles that are joined are small then (820 slices: 0.1 s instead of 0.5).
    while len(row) > 1:
        pairs = zip(row[::2], row[1::2], strict=False)
        odd = row[-1:] if len(row) % 2 else []
        row = [left.combine(right, np.maximum).coarsen(_MAX_PIECES) for left, right in pairs] + odd
    return row[0] if row else EMPTY


def _heat(found: Profile) -> Profile:
    return Profile(found.start, found.end, found.heat, np.ones(len(found)))
