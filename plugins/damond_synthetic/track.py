"""One scripted activity: which pages, how they share it, when, and how much."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.units import USEC_PER_SEC
from damond_synthetic.spatial import Floats, Pages, Shape
from damond_synthetic.temporal import Wave

MISS = float | Callable[[Floats], Floats]
"""The probability that a page is left alone: one for all pages, or by page, counted from the start of the track."""

ARRIVALS: Final = ("random", "even")
"""``random``: independent of each other (Poisson). ``even``: one after another at equal distances, as a program paces
itself; which page each one goes to is random in both."""

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
        if self.kind == "none":
            return 0
        now = time_us % self.period_us
        if self.kind == "slide":
            return (self.room + 1) * now // self.period_us
        if self.kind == "bounce":
            return 2 * self.room * min(now, self.period_us - now) // self.period_us
        return (self.room // self.stride + 1) * now // self.period_us * self.stride


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One scripted activity.

    Attributes:
        first: Number of the first page (address / page size) before any movement.
        shape: How the pages share the accesses.
        wave: How the intensity changes.
        rate: Accesses per second of the whole track at full intensity. If they come at random (Poisson), a page with
            the share s is touched within a time T with probability ``1 - exp(-rate * s * T)``.
        even: They come at equal distances instead: the chance is ``rate * s * T`` as long as at most one comes in T.
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
    even: bool = False
    probability: float = 1.0
    begin_us: int = 0
    until_us: int | None = None
    movement: Movement = Movement()

    def misses(self, time_us: int, interval_us: int) -> Iterator[tuple[int, int, int, MISS]]:
        """Describe one sampling interval by pieces: origin, first and end page, and the probability of a miss."""
        yield from self.misses_of(*self.exposure(time_us, interval_us), interval_us)

    def misses_of(self, origin: int, exposure_us: float, interval_us: int) -> Iterator[tuple[int, int, int, MISS]]:
        """Describe the sampling interval that :meth:`exposure` has told of, as :meth:`misses` does."""
        if not exposure_us:
            return
        for piece in self.shape.pieces:
            miss = self._miss(piece.share, exposure_us, interval_us)
            if miss != 1.0:
                yield origin, origin + piece.first, origin + piece.end, miss

    def touches(self, pages: Pages, time_us: int, interval_us: int) -> Floats:
        """Give the accesses to be expected for each page (by number) in one sampling interval."""
        origin, exposure_us = self.exposure(time_us, interval_us)
        full = self.probability / self.shape.greatest / interval_us if self.rate is None else self.rate / USEC_PER_SEC
        place = pages.astype(np.float64) - origin
        touches = np.zeros(len(pages))
        for piece in self.shape.pieces:
            rows = (place >= piece.first) & (place < piece.end)
            touches[rows] = piece.share(place[rows]) if callable(piece.share) else piece.share
        return touches * (full * exposure_us)

    def exposure(self, time_us: int, interval_us: int) -> tuple[int, float]:
        """Tell on which page the track begins in an interval, and how long it works in it at full intensity.

        Microseconds.
        """
        exposures_us = self._exposures_us(range(time_us, time_us + interval_us, interval_us))
        return self._origin(time_us), float(exposures_us[0])

    def runs(self, times_us: range) -> Iterator[tuple[slice, list[int], float]]:
        """Tell :meth:`exposure` of sampling intervals in a row, those of equal exposure together.

        Args:
            times_us: When each of the intervals begins; the step is their length. Microseconds.

        Yields:
            Which of them (a slice), the page on which the track begins in each, or one that holds for all, and the
            exposure. Microseconds.
        """
        origins = [self.first]
        if self.movement.kind != "none":
            origins = [self._origin(each) for each in times_us]
        if self._works_fully(times_us):
            yield slice(len(times_us)), origins, float(times_us.step)
            return
        begin = 0
        for exposure_us, run in itertools.groupby(self._exposures_us(times_us).tolist()):
            end = begin + len(list(run))
            yield slice(begin, end), origins[begin:end] if len(origins) > 1 else origins, exposure_us
            begin = end

    def _origin(self, time_us: int) -> int:
        return self.first + self.movement.offset(max(time_us - self.begin_us, 0))

    def _works_fully(self, times_us: range) -> bool:
        """Say whether it works at full intensity all the time."""
        ended = self.until_us is not None and self.until_us < times_us[-1] + times_us.step
        return self.wave.is_const and self.begin_us <= times_us[0] and not ended

    def _exposures_us(self, times_us: range) -> Floats:
        starts = np.array(times_us) - self.begin_us
        ends = starts + times_us.step
        if self.until_us is not None:
            ends = np.minimum(ends, self.until_us - self.begin_us)
        starts = np.maximum(starts, 0)
        return self.wave.exposures_us(starts, np.maximum(starts, ends))

    def _miss(self, share: float | Callable[[Floats], Floats], exposure_us: float, interval_us: int) -> MISS:
        if self.rate is not None:
            accesses = self.rate * exposure_us / USEC_PER_SEC
            if self.even:
                return _even_miss(share, accesses)
            if callable(share):
                return lambda page: np.exp(share(page) * -accesses)
            return math.exp(-accesses * share)
        factor = self.probability / self.shape.greatest * exposure_us / interval_us
        if callable(share):
            return lambda page: 1.0 - np.minimum(share(page) * factor, 1.0)
        return 1.0 - min(share * factor, 1.0)


def _even_miss(share: float | Callable[[Floats], Floats], accesses: float) -> MISS:
    """Miss all of a whole number of accesses, and one more in as many of the intervals as the rest says."""
    whole = math.floor(accesses)
    rest = accesses - whole
    if callable(share):
        return lambda page: (1.0 - share(page)) ** whole * (1.0 - rest * share(page))
    return float((1.0 - share) ** whole * (1.0 - rest * share))
