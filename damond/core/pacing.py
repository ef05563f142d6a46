"""How fast a context goes: as it was asked to or as its goal has it, and no faster than its budget allows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from damond.core.attrs import MAX_INTERVAL, Attrs
from damond.core.budget import Budget, BudgetUse, Governor, wanted_regions
from damond.core.context import Context
from damond.core.primitive import Primitive
from damond.core.tuning import IntervalsGoal, Tuner
from damond.units import USEC_PER_SEC, Usec

_SLACK: Final = 1.08
"""An interval that is longer than it must be by less stays: every change costs ages a rounding."""

_NEAR_SAMPLES: Final = 1.3
"""The number of samples of an aggregation is not moved for less: every change costs counts a rounding."""

_SAMPLES_PER_UPDATE: Final = 5
"""Where the budget holds a context back, a look at the mappings costs about a third of a pass: no more often then."""


class Pacer:
    """Keeps what was asked for, and makes of it the attributes in force.

    Args:
        ctx: The context; its ``intervals_goal`` and ``budget`` may change at any time.
        primitive: What checks accesses.

    Attributes:
        asked: The attributes asked for.
    """

    def __init__(self, ctx: Context, primitive: Primitive) -> None:
        self.asked = ctx.attrs
        self._ctx = ctx
        self._primitive = primitive
        self._tuner: Tuner | None = None
        self._governor = Governor(ctx.budget or Budget())
        self._settled = (0, 0, 0)
        self._sampled = 0
        self._aggregations = 0
        self._aggregation_began_us: int | None = None
        self._wish_us = 0.0

    def begin(self) -> None:
        """Bound the number of regions before there are any: the cost of a pass is not measured yet."""
        self.ask(self._ctx.attrs)
        self._allow_regions()

    def ask(self, asked: Attrs) -> None:
        """Take other attributes; tuning goes on from them, or as it was if the intervals stay."""
        goal, before = self._ctx.intervals_goal, self.asked
        self.asked = asked
        if goal is None or asked.sample_interval != before.sample_interval or not self._wish_us:
            self._wish_us = asked.sample_interval if goal is None else goal.fit(asked.sample_interval)
        self._refresh()

    def _refresh(self) -> None:
        """Take note of another goal or budget."""
        goal = self._ctx.intervals_goal if self._tunes() else None
        if goal != (self._tuner.goal if self._tuner else None):
            self._tuner = None if goal is None else Tuner(goal)
            self._wish_us = self.asked.sample_interval if goal is None else goal.fit(int(self._wish_us))
        self._governor.budget = self._ctx.budget or Budget()

    def _tunes(self) -> bool:
        return self._ctx.intervals_goal is not None and not self._primitive.tunes_intervals

    def sampled(self) -> bool:
        """Look at the counts within a long aggregation; say whether :meth:`attrs` may have changed."""
        ctx, tuner = self._ctx, self._tuner
        wish = None if tuner is None else tuner.sampled(ctx.targets, ctx.window_samples, ctx.attrs)
        if wish is None:
            return False
        self._wish(wish)
        return True

    def aggregating(self, cpu_us: Callable[[], int]) -> None:
        """Take note that an aggregation ends, which costs until the next :meth:`settle`.

        Args:
            cpu_us: Reads the CPU clock, which is done for a budget only: the kernel's thread has a file to be read.
        """
        self._aggregation_began_us = None if self._ctx.budget is None else cpu_us()

    def aggregated(self) -> None:
        """Look at the counts of an aggregation, before they are reset."""
        self._aggregations += 1
        self._refresh()
        wish = None if self._tuner is None else self._tuner.aggregated(self._ctx.targets, self._ctx.attrs)
        if wish is not None:
            self._wish(wish)

    def _wish(self, wish_us: int) -> None:
        """Take what the tuner makes of the interval in force; where that is stretched, shorten the one wished for.

        To lengthen begins from the one in force: even that is too short then.
        """
        now, goal = self._ctx.attrs.sample_interval, self._ctx.intervals_goal
        if goal is not None and wish_us <= now and self._wish_us < now:
            wish_us = goal.fit(int(self._wish_us * wish_us / now))
        self._wish_us = wish_us

    def start_clock(self, cpu_us: int, now_us: int) -> None:
        """Measure from here on; what was used before (to start, or at rest) is not charged."""
        self._settled = (cpu_us, now_us, self._ctx.passed_samples)
        self._aggregations = 0
        self._aggregation_began_us = None

    def is_overrun(self, cpu_us: int, now_us: int) -> bool:
        """Say whether the context must slow down before its aggregation ends."""
        if self._ctx.budget is None:
            return False
        return self._governor.runs_over(cpu_us - self._settled[0], now_us - self._settled[1], self._ctx.nr_regions)

    def settle(self, cpu_us: int, now_us: int, nr_regions: int) -> None:
        """Charge what was used since the last time.

        Args:
            cpu_us: Reading of the CPU clock. Microseconds.
            now_us: Reading of a monotonic clock. Microseconds.
            nr_regions: Regions of the passes since then.
        """
        cpu_before, then_us, passes_before = self._settled
        passed, began_us = self._ctx.passed_samples, self._aggregation_began_us
        number = 0 if began_us is None else self._aggregations
        of_aggregations_us = 0 if began_us is None or not number else cpu_us - began_us
        self._governor.measured(
            cpu_us - cpu_before, now_us - then_us, passed - passes_before, nr_regions, of_aggregations_us, number
        )
        self._sampled = nr_regions
        self._aggregation_began_us = None
        self._settled = (cpu_us, now_us, passed)
        self._aggregations = 0

    def attrs(self) -> Attrs:
        """Make the attributes that should be in force for the regions that there are now."""
        self._refresh()
        self._allow_regions()
        ctx, pages, samples = self._ctx, self._primitive.pages_per_check, self._nr_samples()
        least = max(
            self._wish_us,
            self._governor.least_interval_us(self._nr_regions, pages, samples),
            self._primitive.least_sample_us,
        )
        now = ctx.attrs.sample_interval
        if least == self.asked.sample_interval:
            return self.asked
        if least > self._wish_us and least <= now <= least * _SLACK and ctx.attrs.samples_per_aggr == samples:
            least = now
        sample = Usec(min(int(least), MAX_INTERVAL // samples))
        attrs = replace(self.asked, sample_interval=sample, aggr_interval=Usec(sample * samples))
        if sample <= self._wish_us:
            return attrs
        update = max(self.asked.primitive_update_interval, min(_SAMPLES_PER_UPDATE * sample, MAX_INTERVAL))
        return replace(attrs, primitive_update_interval=Usec(update))

    @property
    def _nr_regions(self) -> int:
        """How many regions a sample looks at: somebody else's are cut into more than they show."""
        return self._sampled if self._primitive.owns_regions and self._sampled else self._ctx.nr_regions

    def _nr_samples(self) -> int:
        """Make the number of samples that an aggregation should have; one that is nearly right stays."""
        ctx, asked = self._ctx, self.asked.samples_per_aggr
        wish, pages, now = max(self._wish_us, 1.0), self._primitive.pages_per_check, ctx.attrs.samples_per_aggr
        wanted = self._governor.nr_samples(self.asked, wish, self._nr_regions, pages)
        is_near = now <= _NEAR_SAMPLES * wanted and wanted <= _NEAR_SAMPLES * now
        return now if is_near and wanted < asked else wanted

    def bounded_goal(self, before: IntervalsGoal | None) -> IntervalsGoal | None:
        """Return the goal for somebody else who tunes: its least interval is what the budget allows.

        Args:
            before: What was returned last: it stays where it is about right.
        """
        goal = self._ctx.intervals_goal
        if goal is None or before is None:
            return goal
        pages, samples = self._primitive.pages_per_check, self.asked.samples_per_aggr
        least = int(self._governor.least_interval_us(self._nr_regions, pages, samples))
        least = goal.fit(least)
        near = before.min_sample_us <= least * _SLACK and least <= before.min_sample_us * _SLACK
        return before if near else replace(goal, min_sample_us=least)

    def _allow_regions(self) -> None:
        ctx = self._ctx
        pages, before = self._primitive.pages_per_check, ctx.allowed_nr_regions
        ctx.allowed_nr_regions = self._governor.most_regions(self.asked, max(self._wish_us, 1.0), pages, before)

    def use(self) -> BudgetUse | None:
        """Report on the budget; None without one."""
        ctx, governor = self._ctx, self._governor
        if ctx.budget is None:
            return None
        wish = max(self._wish_us, self._primitive.least_sample_us)
        wanted = wanted_regions(self.asked, self._nr_regions, ctx.region_budget)
        return BudgetUse(
            max_cpu=ctx.budget.max_cpu,
            max_checks_per_s=ctx.budget.max_checks_per_s,
            cpu=governor.cpu,
            wanted_cpu=governor.sample_us(wanted, self.asked.samples_per_aggr) / wish,
            wanted_checks_per_s=wanted * self._primitive.pages_per_check * USEC_PER_SEC / wish,
            stretched=max(1.0, ctx.attrs.sample_interval / wish),
            max_nr_regions=ctx.region_budget,
        )
