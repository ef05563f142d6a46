"""When to look at the processes of the machine again: soon where some have come or gone, and within a budget."""

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

LOOK_EVERY_S: Final = 1.0
"""Least time between two looks: so soon is a process found on a machine that has not too many of them."""

_AT_LEAST_EVERY_S: Final = 10.0
"""Without a sign that anything has changed, if the budget allows: a process may have become another user's, or moved to
another cgroup."""

_SHARE: Final = 0.1
"""Of the budget of the service, for looking."""

_AFTERWARDS: Final = 1
"""Looks that follow one for which there was a sign: who has been forked runs another program a moment later."""

_LOADAVG: Final = Path("/proc/loadavg")


def _signs() -> str | None:
    """Read what changes when a process or thread comes or goes: how many there are, and the newest one's number.

    Returns:
        None where nothing can be said.
    """
    try:
        _, threads, newest = _LOADAVG.read_text(encoding="ascii").rsplit(None, 2)
    except (OSError, ValueError):
        return None
    return f"{threads.partition('/')[2]} {newest}"


class Looks:
    """Says when a look is due.

    Args:
        max_cpu: Tells the budget of the service: CPU time per time, or None without one.
        signs: Tells what changes when processes come or go.
        now: Clock. Seconds.
    """

    def __init__(
        self,
        max_cpu: Callable[[], float | None],
        signs: Callable[[], str | None] = _signs,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._max_cpu = max_cpu
        self._signs = signs
        self._now = now
        self._looked_s = -_AT_LEAST_EVERY_S
        self._cost_s = 0.0
        self._seen: str | None = None
        self._for: Collection[str] = ()
        self._more = 0

    def due(self, contexts: Collection[str] = ()) -> bool:
        """Say whether to look now.

        Args:
            contexts: For whom: who was not among them the last time has not seen what came meanwhile.
        """
        max_cpu, waited_s = self._max_cpu(), self._now() - self._looked_s
        if max_cpu is not None and waited_s * _SHARE * max_cpu < self._cost_s:
            return False
        seen = self._signs()
        if seen is None or seen != self._seen or not set(contexts) <= set(self._for):
            self._seen, self._more = seen, 1 + _AFTERWARDS
        self._for = contexts
        return self._more > 0 or waited_s >= _AT_LEAST_EVERY_S

    def again(self) -> None:
        """Take note that what a look has found could not be made use of."""
        self._more = max(self._more, 1)

    def looked(self, cost_s: float) -> None:
        """Take note of a look, and what it has cost. Seconds of CPU time."""
        self._looked_s, self._cost_s = self._now(), cost_s
        self._more = max(0, self._more - 1)
