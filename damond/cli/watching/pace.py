"""How often to draw, so that looking costs little."""

import time
from collections.abc import Callable
from typing import Final

REDRAW_EVERY_S: Final = 0.25
"""Least time between two pictures: nobody reads faster. Seconds."""

MAX_CPU_SHARE: Final = 0.1
"""Of one CPU, for everything that this process does. Where that takes more, pictures become rarer."""


class Pace:
    """Decides when the next picture is due.

    Args:
        now: A clock. Seconds.
        cpu: CPU time of this process. Seconds.

    Attributes:
        cpu_share: What was used since the picture before the last, of one CPU.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time) -> None:
        self._now = now
        self._cpu = cpu
        self._last_s, self._last_cpu_s = now(), cpu()
        self._due_s = self._last_s
        self.cpu_share = 0.0

    def is_due(self) -> bool:
        """Say whether it is time for a picture; if so, it is expected to be drawn now."""
        now_s = self._now()
        if now_s < self._due_s:
            return False
        spent_s = self._cpu() - self._last_cpu_s
        self.cpu_share = spent_s / max(now_s - self._last_s, REDRAW_EVERY_S)
        self._due_s = now_s + max(REDRAW_EVERY_S, spent_s / MAX_CPU_SHARE)
        self._last_s, self._last_cpu_s = now_s, self._cpu()
        return True
