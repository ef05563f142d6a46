"""How the intensity of a track changes over time, as a factor of its full intensity.

All are periodic, and known by their integral: what a track does within one sampling interval is exact, however
short its period is beside it.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_EXACT: Final = 7
"""Digits of a microsecond that are told: the others are rounding, by which intervals that are alike would differ."""


@dataclass(frozen=True, slots=True)
class Wave:
    """A factor over time.

    Attributes:
        period_us: After this time it repeats. Microseconds.
        phase: How much of a period it is ahead, 0 to 1.
        integral: The integral of the factor from the begin of a period to this part of it, 0 to 1.
    """

    period_us: int
    phase: float
    integral: Callable[[float], float]

    def exposure_us(self, start_us: int, end_us: int) -> float:
        """Integrate the factor over a time. Microseconds at full intensity."""
        if self.integral is float:  # the usual one, at each sample
            return float(end_us - start_us)
        first = start_us % self.period_us / self.period_us + self.phase
        last = first + (end_us - start_us) / self.period_us
        return round((self._upto(last) - self._upto(first)) * self.period_us, _EXACT)

    def _upto(self, periods: float) -> float:
        whole = math.floor(periods)
        return whole * self.integral(1.0) + self.integral(periods - whole)


@dataclass(frozen=True, slots=True)
class _Line:
    """A part of a period, over which the factor goes from one level to another in a straight line."""

    width: float
    begin: float
    end: float


def _along(lines: Sequence[_Line], part: float) -> float:
    total = 0.0
    for line in lines:
        done = min(part / line.width, 1.0) if line.width else 1.0
        total += line.width * done * (line.begin + (line.end - line.begin) * done / 2)
        part -= line.width
        if part <= 0:
            break
    return total


def const() -> Callable[[float], float]:
    """Stay at full intensity."""
    return float


def sine(low: float) -> Callable[[float], float]:
    """Swing between full intensity and ``low``, beginning in the middle and rising."""
    return functools.partial(_sine, (1 + low) / 2, (1 - low) / 2)


def _sine(middle: float, amplitude: float, part: float) -> float:
    return middle * part + amplitude * (1 - math.cos(2 * math.pi * part)) / (2 * math.pi)


def square(duty: float, low: float) -> Callable[[float], float]:
    """Work at full intensity for ``duty`` of the period, at ``low`` for the rest."""
    return functools.partial(_along, (_Line(duty, 1, 1), _Line(1 - duty, low, low)))


def ramp(levels: Sequence[float]) -> Callable[[float], float]:
    """Go from level to level in straight lines of equal duration, then jump back to the first."""
    width = 1 / (len(levels) - 1)
    return functools.partial(_along, tuple(_Line(width, *pair) for pair in itertools.pairwise(levels)))


def steps(levels: Sequence[float]) -> Callable[[float], float]:
    """Stay at each level for an equal part of the period."""
    return functools.partial(_along, tuple(_Line(1 / len(levels), level, level) for level in levels))
