"""One scripted activity: which pages, how they share it, when, and how much."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.units import USEC_PER_SEC
from damond_synthetic.spatial import Floats, Shape
from damond_synthetic.temporal import Wave

MISS = float | Callable[[Floats], Floats]
"""The probability that a page is left alone: one for all pages, or by page, counted from the start of the track."""

MOVES: Final = ("none", "slide", "bounce", "hop")


@dataclass(frozen=True, slots=True)
class Movement:
    """How the range of a track moves: between samples, by whole pages, never within a sample.

    Attributes:
        kind: ``slide`` jumps back at the end, ``bounce`` turns there, ``hop`` goes in steps of its own size.
        period_us: One way through the span, for ``bounce`` forth and back. Microseconds.
        room: Pages the range can move by: those of the span less its own.
        stride: Pages of the range itself.
    """

    kind: str = "none"
    period_us: int = 1
    room: int = 0
    stride: int = 1

    def offset(self, time_us: int) -> int:
        """Tell by how many pages the range has moved."""
        now = time_us % self.period_us
        if self.kind == "slide":
            return (self.room + 1) * now // self.period_us
        if self.kind == "bounce":
            return 2 * self.room * min(now, self.period_us - now) // self.period_us
        if self.kind == "hop":
            return (self.room // self.stride + 1) * now // self.period_us * self.stride
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One scripted activity.

    Attributes:
        first: Number of the first page (address / page size) before any movement.
        shape: How the pages share the accesses.
        wave: How the intensity changes.
        rate: Accesses per second of the whole track at full intensity: they come at random (Poisson), so that a page
            with the share s is touched within a time T with probability ``1 - exp(-rate * s * T)``.
        probability: Instead of ``rate``: that the page with the greatest share is touched within one sampling
            interval, whatever its length, at full intensity; others in proportion to their share.
        begin_us: When the activity begins. Virtual time, microseconds.
        until_us: When it ends, or None.
        movement: How the range moves from ``begin_us`` on.
    """

    first: int
    shape: Shape
    wave: Wave
    rate: float | None = None
    probability: float = 1.0
    begin_us: int = 0
    until_us: int | None = None
    movement: Movement = Movement()

    def misses(self, time_us: int, interval_us: int) -> Iterator[tuple[int, int, int, MISS]]:
        """Describe one sampling interval by pieces: origin, first and end page, and the probability of a miss."""
        begin = max(time_us - self.begin_us, 0)
        end = time_us + interval_us if self.until_us is None else min(time_us + interval_us, self.until_us)
        if end - self.begin_us <= begin:
            return
        exposure_us = self.wave.exposure_us(begin, end - self.begin_us)
        origin = self.first + self.movement.offset(begin)
        for piece in self.shape.pieces:
            miss = self._miss(piece.share, exposure_us, interval_us)
            if miss != 1.0:
                yield origin, origin + piece.first, origin + piece.end, miss

    def _miss(self, share: float | Callable[[Floats], Floats], exposure_us: float, interval_us: int) -> MISS:
        if self.rate is not None:
            accesses = self.rate * exposure_us / USEC_PER_SEC
            if callable(share):
                return lambda page: np.exp(share(page) * -accesses)
            return math.exp(-accesses * share)
        factor = self.probability / self.shape.greatest * exposure_us / interval_us
        if callable(share):
            return lambda page: 1.0 - np.minimum(share(page) * factor, 1.0)
        return 1.0 - min(share * factor, 1.0)
