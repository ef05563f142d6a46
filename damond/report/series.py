"""The working set over time: one number per window."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import Snapshot
from damond.report.profile import Floats

MAX_WINDOWS: Final = 1 << 16
"""Windows that are kept, 24 bytes each: 1.8 h at 10 a second."""

Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Windows in the order of time, and the working set of each.

    Attributes:
        start_ns: Begin, Unix time. Nanoseconds.
        end_ns: End, not behind the begin of the next.
        accessed: Bytes of regions with any access.
    """

    start_ns: Times
    end_ns: Times
    accessed: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.end_ns)

    def means(self, edges_ns: Times) -> Floats:
        """Average over the time between each two neighbouring edges; NaN where there is no window. Bytes."""
        if not len(self):
            return np.full(len(edges_ns) - 1, np.nan)
        corners = np.column_stack([self.start_ns, self.end_ns]).ravel() - edges_ns[0]
        span_ns = (self.end_ns - self.start_ns).astype(np.float64)
        covered, total = (
            np.diff(np.interp(edges_ns - edges_ns[0], corners, np.repeat(np.cumsum(np.append(0.0, each)), 2)[1:-1]))
            for each in (span_ns, span_ns * self.accessed)
        )
        mean: Floats = np.divide(total, covered, out=np.full(len(covered), np.nan), where=covered > 0)
        return mean


class WorkingSets:
    """The windows of a run, the oldest forgotten when there are too many."""

    def __init__(self) -> None:
        self._rows = np.zeros((3, MAX_WINDOWS), np.int64)
        self._nr = 0

    def __len__(self) -> int:
        return min(self._nr, MAX_WINDOWS)

    def add(self, snapshot: Snapshot) -> None:
        """Append a window. If Unix time was set back, what was before is forgotten."""
        last_ns = int(self._rows[1, (self._nr - 1) % MAX_WINDOWS]) if self._nr else 0
        if snapshot.end_ns <= last_ns:
            self._nr = 0
        start_ns = max(snapshot.start_ns, last_ns) if self._nr else snapshot.start_ns
        self._rows[:, self._nr % MAX_WINDOWS] = start_ns, snapshot.end_ns, snapshot.accessed_bytes
        self._nr += 1

    def between(self, start_ns: int, end_ns: int) -> Windows:
        """Return the windows that end within ``(start_ns, end_ns]``."""
        index = np.arange(self._nr - len(self), self._nr) % MAX_WINDOWS
        times = self._rows[1, index]
        some = index[np.searchsorted(times, start_ns, "right") : np.searchsorted(times, end_ns, "right")]
        return Windows(*self._rows[:, some])
