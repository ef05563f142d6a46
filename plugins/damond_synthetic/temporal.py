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

import numpy as np
from numpy.typing import NDArray

from damond_synthetic.spatial import Floats

_EXACT: Final = 7
"""Digits of a microsecond that are told: the others are rounding, by which intervals that are alike would differ."""


Times = Floats | NDArray[np.int64]
Integral = Callable[[Floats], Floats]
"""From the begin of a period to parts of it, 0 to 1."""


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
    integral: Integral

    @property
    def is_const(self) -> bool:
        """It is at full intensity all the time."""
        return self.integral is _whole

    def exposures_us(self, starts_us: Times, ends_us: Times) -> Floats:
        """Integrate the factor over intervals of time. Microseconds at full intensity."""
        first = starts_us % self.period_us / self.period_us + self.phase
        last = first + (ends_us - starts_us) / self.period_us
        return ((self._upto(last) - self._upto(first)) * self.period_us).round(_EXACT)

    def _upto(self, periods: Floats) -> Floats:
        whole = np.floor(periods)
        return whole * self.integral(np.ones(1)) + self.integral(periods - whole)


@dataclass(frozen=True, slots=True)
class _Line:
    """A part of a period, over which the factor goes from one level to another in a straight line."""

    width: float
    begin: float
    end: float


def _along(lines: Sequence[_Line], part: Floats) -> Floats:
    total, begin = np.zeros_like(part), 0.0
    for line in lines:
        if line.width:
            done = ((part - begin) / line.width).clip(0.0, 1.0)
            total += line.width * done * (line.begin + (line.end - line.begin) / 2 * done)
            begin += line.width
    return total


def const() -> Integral:
    """Stay at full intensity."""
    return _whole


def _whole(part: Floats) -> Floats:
    return part


def sine(low: float) -> Integral:
    """Swing between full intensity and ``low``, beginning in the middle and rising."""
    return functools.partial(_sine, (1 + low) / 2, (1 - low) / 2)


def _sine(middle: float, amplitude: float, part: Floats) -> Floats:
    return middle * part + amplitude * (1 - np.cos(2 * math.pi * part)) / (2 * math.pi)


def square(duty: float, low: float) -> Integral:
    """Work at full intensity for ``duty`` of the period, at ``low`` for the rest."""
    return functools.partial(_along, (_Line(duty, 1, 1), _Line(1 - duty, low, low)))


def ramp(levels: Sequence[float]) -> Integral:
    """Go from level to level in straight lines of equal duration, then jump back to the first."""
    width = 1 / (len(levels) - 1)
    return functools.partial(_along, tuple(_Line(width, *pair) for pair in itertools.pairwise(levels)))


def steps(levels: Sequence[float]) -> Integral:
    """Stay at each level for an equal part of the period."""
    return functools.partial(_along, tuple(_Line(1 / len(levels), level, level) for level in levels))
