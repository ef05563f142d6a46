"""What is counted for one snapshot: since when, at what cost, and how often too late."""

from damond.core.adaptation import samples_so_far
from damond.core.budget import BudgetUse
from damond.core.context import Context
from damond.core.primitive import Primitive, Window
from damond.core.snapshot import Snapshot, TargetSnapshot
from damond.core.surroundings import Clock


class Counting:
    """Measures windows, and makes a snapshot at the end of each.

    Args:
        ctx: The context.
        primitive: What checks accesses.
        clock: Where time comes from.

    Attributes:
        overruns: Samples of this window that were late.
    """

    def __init__(self, ctx: Context, primitive: Primitive, clock: Clock) -> None:
        self.overruns = 0
        self._ctx = ctx
        self._primitive = primitive
        self._clock = clock
        self._start_ns = 0
        self._start_cpu_us = self._end_cpu_us = 0

    def cpu_us(self) -> int:
        """Read the CPU time of the worker, and of who works for it. Microseconds."""
        return self._clock.cpu_us() + self._primitive.cpu_us()

    def begin(self, *, follows: bool = False) -> None:
        """Begin to count for the next snapshot.

        Args:
            follows: Right after the last one: the CPU time used since is the next one's.
        """
        self._start_ns = self._clock.monotonic_ns()
        self._start_cpu_us = self._end_cpu_us if follows else self.cpu_us()
        self.overruns = 0
        self._ctx.window_samples = 0
        self._ctx.checks = self._ctx.unknown = 0

    def snapshot(
        self, policy: str, use: BudgetUse | None, *, partial: bool, window: Window | None, sampled_bytes: int
    ) -> Snapshot:
        """Make a snapshot of what was counted since the begin.

        Args:
            policy: Name of who adapted the regions.
            use: Of the budget.
            partial: The aggregation is not finished.
            window: The window of somebody else, who counted; None is the own one.
            sampled_bytes: See :class:`Snapshot`.
        """
        ctx, attrs = self._ctx, self._ctx.attrs
        end_ns = self._clock.wall_ns()
        self._end_cpu_us = self.cpu_us()
        # From the clock that never steps: a window is as long as it was, whatever was done to Unix time.
        start_ns = end_ns - (self._clock.monotonic_ns() - self._start_ns)
        if window is None:
            window = Window(start_ns, end_ns, ctx.window_samples, ctx.checks)
        return Snapshot(
            context=ctx.name,
            primitive=self._primitive.name,
            start_ns=window.start_ns,
            end_ns=window.end_ns,
            sample_us=attrs.sample_interval,
            aggr_us=attrs.aggr_interval,
            update_us=attrs.primitive_update_interval,
            min_nr_regions=attrs.min_nr_regions,
            max_nr_regions=attrs.max_nr_regions,
            max_nr_accesses=window.max_nr_accesses,
            granularity=self._primitive.granularity,
            checks=window.checks,
            unknown=ctx.unknown,
            cpu_us=self._end_cpu_us - self._start_cpu_us,
            overruns=self.overruns,
            partial=partial,
            targets=tuple(
                TargetSnapshot(
                    target.id,
                    target.pid,
                    target.regions.start.copy(),
                    target.regions.size,
                    target.regions.nr_accesses.copy(),
                    target.regions.age.copy(),
                    samples_so_far(target.regions, ctx.window_samples) if partial else target.regions.evidence,
                )
                for target in ctx.targets
            ),
            budget=use,
            sampled_bytes=sampled_bytes,
            policy=policy,
        )
