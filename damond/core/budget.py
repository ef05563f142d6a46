"""A bound on what a context costs, and the arithmetic that keeps it: longer intervals, fewer regions and samples."""

import math
from dataclasses import dataclass
from typing import Final

from damond.core.attrs import Attrs
from damond.errors import InvalidAttrsError
from damond.units import USEC_PER_SEC

PASS_US: Final = 600.0
"""What a pass over no region is taken to cost before it is measured. Microseconds of CPU.

These three as ``make bench`` finds them of a worker of vaddr that wakes up ten times a second, its caches cold (x86-64,
2026); at fifty times a second a pass costs half of it.
"""

CHECK_US: Final = 2.5
"""The same for one region more: four system calls, 1.5 us with a plain file as the bitmap; page_idle walks the mappings
of each page besides. Microseconds of CPU."""

AGGREGATION_US: Final = 1000.0
"""The same for an aggregation: regions are merged and split, a snapshot is made and published. Microseconds of CPU."""

_REPAY_US: Final = 30.0 * USEC_PER_SEC
"""Time within which what was used too much is saved again."""

_LEAST_SHARE: Final = 0.5
"""Of the budget, for what goes on while it is saved."""

_SMOOTHING: Final = 0.3
"""Weight of the newest measurement."""

_LEAST_NR_REGIONS: Final = 150
"""No budget lowers the greatest number of regions below: a pass over half as many costs four fifths."""

_TOLERANCE: Final = 1.25
"""The greatest number of regions is not moved for less: each time, neighbours are merged that were told apart."""

_LONGER: Final = 4.0
"""Times that an aggregation may get longer before it has fewer samples instead."""

_LEAST_NR_SAMPLES: Final = 5
"""No budget leaves an aggregation fewer: beyond, it gets longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a context may cost.

    Attributes:
        max_cpu: CPU time per time, 0.01 = 1 % of one CPU; None: as much as it takes.
        max_checks_per_s: Pages looked at per second; None: as many as it takes.

    Raises:
        InvalidAttrsError: A bound is no positive number.
    """

    max_cpu: float | None = None
    max_checks_per_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_cpu", "max_checks_per_s"):
            value = getattr(self, name)
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InvalidAttrsError(name, value, "must be above 0", hint=f"leave {name} out for no bound")


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetUse:
    """What a context may cost, what it does cost, and what was done to keep it so.

    Attributes:
        max_cpu: As in :class:`Budget`.
        max_checks_per_s: As in :class:`Budget`.
        cpu: CPU time per time, smoothed over about half a minute. 0.01 = 1 % of one CPU.
        wanted_cpu: What it would cost without a budget, by the same measurement.
        wanted_checks_per_s: Pages that it would look at without a budget, per second.
        stretched: How many times longer than asked for (or tuned) the sampling interval is; 1 is not at all.
        max_nr_regions: Regions that the budget allows, at most as many as the attributes do.
    """

    max_cpu: float | None = None
    max_checks_per_s: float | None = None
    cpu: float = 0.0
    wanted_cpu: float = 0.0
    wanted_checks_per_s: float = 0.0
    stretched: float = 1.0
    max_nr_regions: int = 0


class Governor:
    """Measures what passes cost, and says how long intervals must be for the budget.

    Passes are taken to cost ``scale * (PASS_US + CHECK_US * regions)`` each, with a scale that follows what is
    measured, and aggregations what they did cost lately: which of both is dear depends on the primitive. What this
    gets wrong becomes a debt, which is paid back.

    Attributes:
        budget: What is to be kept.
        cpu: See :class:`BudgetUse`.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.cpu = 0.0
        self._scale = 1.0
        self._aggregation_us = AGGREGATION_US
        self._has_passed = self._has_aggregated = False
        self._measured_us = 0.0
        self._debt_us = 0.0

    def measured(
        self,
        cpu_us: float,
        span_us: float,
        nr_passes: int,
        nr_regions: int,
        aggregation_us: float = 0.0,
        nr_aggregations: int = 0,
    ) -> None:
        """Take note of a measurement.

        Args:
            cpu_us: CPU time used in all. Microseconds.
            span_us: Time in which it was. Microseconds.
            nr_passes: Samples in it.
            nr_regions: Regions that each looked at.
            aggregation_us: The part of the CPU time that aggregations have used. Microseconds.
            nr_aggregations: How many ended in it.
        """
        if span_us <= 0:
            return
        if nr_passes:
            found = max(cpu_us - aggregation_us, 1.0) / (nr_passes * (PASS_US + CHECK_US * nr_regions))
            self._scale += (_SMOOTHING if self._has_passed else 1.0) * (found - self._scale)
            self._has_passed = True
        if nr_aggregations:
            weight = _SMOOTHING if self._has_aggregated else 1.0
            self._aggregation_us += weight * (aggregation_us / nr_aggregations - self._aggregation_us)
            self._has_aggregated = True
        self._measured_us += span_us
        weight = max(1 - math.exp(-span_us / _REPAY_US), span_us / self._measured_us)
        self.cpu += weight * (cpu_us / span_us - self.cpu)
        if self.budget.max_cpu is not None:
            debt_us = self._debt_us + cpu_us - self.budget.max_cpu * span_us
            self._debt_us = min(max(debt_us, 0.0), self.budget.max_cpu * _REPAY_US)

    def runs_over(self, cpu_us: float, span_us: float, nr_regions: int) -> bool:
        """Say whether what is measured right now is so much more than it should be that it can't wait."""
        if self.budget.max_cpu is None:
            return False
        return cpu_us > 1.5 * self.budget.max_cpu * span_us + 2 * self.sample_us(nr_regions, 1)

    def sample_us(self, nr_regions: float, nr_samples: float) -> float:
        """Predict the CPU time of a sample and of its share of an aggregation of so many. Microseconds."""
        return self._scale * (PASS_US + CHECK_US * nr_regions) + self._aggregation_us / nr_samples

    @property
    def _rate(self) -> float | None:
        """CPU time per time that may be used now: less than the budget while debts are paid."""
        max_cpu = self.budget.max_cpu
        return None if max_cpu is None else max_cpu * max(_LEAST_SHARE, 1 - self._debt_us / (max_cpu * _REPAY_US))

    def nr_samples(self, asked: Attrs, wish_us: float, nr_regions: int, pages_per_check: int) -> int:
        """Say how many samples an aggregation should have: fewer, where it would get too long otherwise.

        What moves is lost in long aggregations however often they look, and in short ones a handful of looks does.

        Args:
            asked: The attributes asked for.
            wish_us: As in :meth:`most_regions`.
            nr_regions: Regions that there are.
            pages_per_check: Pages that one check looks at.
        """
        samples = asked.samples_per_aggr
        span_us, fitting = _LONGER * samples * wish_us, float(samples)
        if self._rate is not None:
            left_us = span_us * self._rate - self._aggregation_us
            fitting = left_us / (self._scale * (PASS_US + CHECK_US * nr_regions))
        if self.budget.max_checks_per_s is not None and nr_regions:
            passes_per_s = self.budget.max_checks_per_s / (nr_regions * pages_per_check)
            fitting = min(fitting, span_us / USEC_PER_SEC * passes_per_s)
        return max(min(samples, _LEAST_NR_SAMPLES), min(samples, int(fitting)))

    def least_interval_us(self, nr_regions: int, pages_per_check: int, nr_samples: int) -> float:
        """Say how long a sampling interval must be, with so many of them in an aggregation. Microseconds."""
        least = 0.0
        if self._rate is not None:
            least = self.sample_us(nr_regions, nr_samples) / self._rate
        if self.budget.max_checks_per_s is not None:
            least = max(least, nr_regions * pages_per_check / self.budget.max_checks_per_s * USEC_PER_SEC)
        return least

    def most_regions(self, asked: Attrs, wish_us: float, pages_per_check: int, before: int) -> int:
        """Say how many regions the budget allows.

        As many as can be looked at without longer intervals, down to a floor; beyond, intervals are lengthened. So a
        coarser picture comes before a blurred one, whose counts saturate: measured over 49 shapes it is the better.

        Args:
            asked: The attributes asked for.
            wish_us: The sampling interval asked for, or tuned. Microseconds.
            pages_per_check: Pages that one check looks at.
            before: What was said last, or 0.
        """
        fitting = [float(asked.max_nr_regions)]
        if self._rate is not None:
            left_us = self._rate * wish_us - self._aggregation_us / asked.samples_per_aggr
            fitting.append((left_us / self._scale - PASS_US) / CHECK_US)
        if self.budget.max_checks_per_s is not None:
            fitting.append(self.budget.max_checks_per_s * wish_us / USEC_PER_SEC / pages_per_check)
        floor = min(asked.max_nr_regions, max(_LEAST_NR_REGIONS, 2 * asked.min_nr_regions))
        most = max(floor, int(min(fitting)))
        is_near = before and most < _TOLERANCE * before and before < _TOLERANCE * most
        return before if is_near and most < asked.max_nr_regions else most


def wanted_regions(asked: Attrs, nr_regions: int, allowed: int) -> int:
    """Say how many regions there would be without a budget: twice as many, where it holds them back."""
    held_back = allowed < asked.max_nr_regions and 2 * nr_regions > allowed
    return min(2 * nr_regions, asked.max_nr_regions) if held_back else nr_regions
