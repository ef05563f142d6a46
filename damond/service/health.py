"""Whether a worker is healthy: judged by its own aggregation interval, and by what it was seen to need."""

import time
from typing import Final

HEALTHY_AGGRS: Final = 3
"""Aggregation intervals within which a healthy worker publishes a snapshot."""
FIRST_WINDOW_S: Final = 1.5
"""What the first aggregation of a worker may take beyond its interval, before it is known how late its samples are."""
SUSPICION_S: Final = 2.0
"""Time for which an unhealthy worker may still turn out to be merely short of CPU."""


class Health:
    """The health of one worker after the other.

    Attributes:
        healthy: Whether snapshots arrive in time.
        hung: Whether the worker of the moment is being ended because it hangs.
    """

    def __init__(self) -> None:
        self.healthy = True
        self.hung = False
        self._ready_s: float | None = None
        self._last_s = 0.0
        self._gap_s = FIRST_WINDOW_S

    def begin(self) -> None:
        """Take note that a worker is being started."""
        self._ready_s, self.hung, self.healthy = None, False, True

    def ready(self) -> None:
        """Take note that it samples."""
        self._ready_s = self._last_s = time.monotonic()
        self._gap_s = FIRST_WINDOW_S

    @property
    def is_ready(self) -> bool:
        """Whether the worker of the moment has become ready."""
        return self._ready_s is not None

    @property
    def ran_s(self) -> float:
        """How long the worker ran well: what it did not do while it hung is no healthy running."""
        return 0.0 if self._ready_s is None else self._last_s - self._ready_s

    def forgive(self) -> None:
        """Judge from now on: the past says nothing, as after a change of the interval."""
        self._last_s = time.monotonic()

    def rest(self) -> None:
        """Take note that nothing is expected of it now."""
        self.healthy = True
        self.forgive()

    def judge(self, last_snapshot_s: float, aggr_interval_s: float, stalled_s: float) -> float | None:
        """Judge a running worker.

        Args:
            last_snapshot_s: When its last snapshot came, by the monotonic clock.
            aggr_interval_s: Its aggregation interval.
            stalled_s: For how long this process itself has not run since it looked last: nobody else's fault.

        Returns:
            How late it is, if it is to be ended for that; said once. Seconds.
        """
        self._last_s += stalled_s
        if last_snapshot_s > self._last_s:
            # Late samples stretch a window: a worker is measured by what it was seen to need, too.
            self._gap_s, self._last_s = last_snapshot_s - self._last_s, last_snapshot_s
        late_s = time.monotonic() - self._last_s
        allowed_s = HEALTHY_AGGRS * max(aggr_interval_s, self._gap_s)
        self.healthy = late_s <= allowed_s
        if self.hung or late_s <= allowed_s + SUSPICION_S:
            return None
        self.hung = True
        return late_s
