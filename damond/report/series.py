"""The working set over time: one number per window."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import Snapshot
from damond.report.profile import Floats

MAX_WINDOWS: Final = 1 << 16
"""Windows that are kept, 16 bytes each: 1.8 h at 10 a second."""


class WorkingSets:
    """The windows of a run, the oldest forgotten when there are too many."""

    def __init__(self) -> None:
        self._end_ns = np.zeros(MAX_WINDOWS, np.int64)
        self._accessed = np.zeros(MAX_WINDOWS, np.int64)
        self._nr = 0

    def __len__(self) -> int:
        return min(self._nr, MAX_WINDOWS)

    def add(self, snapshot: Snapshot) -> None:
        """Append a window. If Unix time was set back, what was before is forgotten."""
        if self._nr and snapshot.end_ns <= self._end_ns[(self._nr - 1) % MAX_WINDOWS]:
            self._nr = 0
        self._end_ns[self._nr % MAX_WINDOWS] = snapshot.end_ns
        self._accessed[self._nr % MAX_WINDOWS] = snapshot.accessed_bytes
        self._nr += 1

    def between(self, start_ns: int, end_ns: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return end (Unix time, ns) and working set (bytes) of the windows that end within ``(start_ns, end_ns]``."""
        index = np.arange(self._nr - len(self), self._nr) % MAX_WINDOWS
        times = self._end_ns[index]
        some = index[np.searchsorted(times, start_ns, "right") : np.searchsorted(times, end_ns, "right")]
        return self._end_ns[some], self._accessed[some]


def means(end_ns: NDArray[np.int64], values: NDArray[np.int64], edges_ns: NDArray[np.int64]) -> Floats:
    """Average values by the time they belong to, between each two neighbouring edges; NaN where there are none."""
    column = np.searchsorted(edges_ns, end_ns, "left") - 1
    inside = (column >= 0) & (column < len(edges_ns) - 1)
    total = np.bincount(column[inside], values[inside].astype(np.float64), len(edges_ns) - 1)
    count = np.bincount(column[inside], minlength=len(edges_ns) - 1)
    mean: Floats = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return mean
