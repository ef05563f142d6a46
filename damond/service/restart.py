"""When a worker that died is started again, and when no more."""

import random
from typing import Final

BASE_S: Final = 0.5
"""Wait before the first restart."""
CAP_S: Final = 60.0
"""Longest wait."""
JITTER: Final = 0.25
"""Share by which a wait is lengthened at random, so that what died together does not start together."""
MAX_TRIES: Final = 5
"""Restarts in a row, after which a context has failed."""
STABLE_S: Final = 10.0
"""Time of healthy running after which the count starts again."""


class Backoff:
    """Exponential back-off with jitter.

    Attributes:
        tries: Restarts in a row.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self.tries = 0
        self._rng = rng or random.Random()  # noqa: S311 - no secret

    def next_delay_s(self, ran_s: float) -> float | None:
        """Say how long to wait before the next try of a worker that ran for a time; None is not to try any more."""
        if ran_s >= STABLE_S:
            self.tries = 0
        if self.tries >= MAX_TRIES:
            return None
        self.tries += 1
        return min(CAP_S, BASE_S * 2.0 ** (self.tries - 1) * (1 + JITTER * self._rng.random()))
