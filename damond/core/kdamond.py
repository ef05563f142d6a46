"""The monitoring loop (``kdamond_fn``)."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from damond.core import adaptation
from damond.core.adaptation import apply_min_nr_regions
from damond.core.attrs import Attrs
from damond.core.budget import Budget
from damond.core.context import Context
from damond.core.counting import Counting
from damond.core.pacing import Pacer
from damond.core.policies.kernel import KernelPolicy
from damond.core.policy import Policy
from damond.core.primitive import Primitive, Window
from damond.core.roster import Roster
from damond.core.snapshot import Snapshot
from damond.core.surroundings import Clock, Sink, StopSource
from damond.core.target import Target
from damond.core.tuning import IntervalsGoal
from damond.errors import InvalidAttrsError
from damond.units import NSEC_PER_USEC, USEC_PER_SEC

_log = logging.getLogger(__name__)

_NSEC_PER_SEC: Final = 1_000_000_000

_LOOK_S: Final = 1.0
"""How soon the end of a target is seen that somebody else monitors, however long its aggregations are. Seconds."""

_REST_S: Final = 0.1
"""How soon a context that is paused or without targets takes note of a request. Seconds."""


class Kdamond:
    """Monitors one context until it is told to stop, a callback says so, or no target is left.

    Args:
        ctx: The context.
        primitive: How accesses are checked.
        clock: Where time comes from.
        stop: Sleeps, and says when to stop.
        sink: Takes what is found.
        policy: How the regions adapt; None is as in the kernel.

    Attributes:
        ctx: The context.
        end_reason: Why the loop ended: ``requested``, ``callback`` or ``target_gone``.
        paused: Whether sampling rests.
    """

    def __init__(
        self,
        ctx: Context,
        primitive: Primitive,
        *,
        clock: Clock,
        stop: StopSource,
        sink: Sink,
        policy: Policy | None = None,
    ) -> None:
        self.ctx = ctx
        self.end_reason = ""
        self._primitive = primitive
        self._clock = clock
        self._stop = stop
        self._sink = sink
        self._policy = policy or KernelPolicy()
        self.paused = False
        self._pacer = Pacer(ctx, primitive)
        self._calls: list[Callable[[], None]] = []
        self._roster = Roster(ctx, primitive)
        self._deadline_ns = 0
        self._counting = Counting(ctx, primitive, clock)

    def run(self) -> str:
        """Monitor; return ``end_reason``.

        Raises:
            Exception: Whatever the primitive or a callback raises. ``Primitive.cleanup`` has been called then.
        """
        try:
            self._pacer.begin()
            self._init()
            self._begin_pacing()
            self._sink.started(self.ctx, self._primitive)
            if self._callback(self.ctx.callback.before_start):
                self.end_reason = "callback"
            self._counting.begin()
            if self._primitive.owns_regions:
                self._collect_loop()
            else:
                self._loop()
            self._deliver_unfinished()
            self._callback(self.ctx.callback.before_terminate)
        finally:
            self._primitive.cleanup(self.ctx)
        return self.end_reason

    def _init(self) -> None:
        """Have the primitive begin; targets that were found, and may be gone, join as they do while it runs."""
        targets = self.ctx.targets
        found = [target for target in targets if target.found]
        if not found or type(self._primitive).retarget is Primitive.retarget:
            self._primitive.init(self.ctx)
            return
        targets[:] = [target for target in targets if not target.found]
        self._primitive.init(self.ctx)
        targets += found
        self._primitive.retarget(self.ctx)

    def _loop(self) -> None:
        ctx, primitive = self.ctx, self._primitive
        self._deadline_ns = self._clock.monotonic_ns()
        self._plan_update()
        self._policy.start(ctx)
        while not self._need_stop():
            if self._rests():
                continue
            primitive.prepare_access_checks(ctx)
            if not self._sleep():
                continue
            max_nr_accesses = primitive.check_accesses(ctx)
            ctx.passed_samples += 1
            ctx.window_samples += 1
            if self._callback(ctx.callback.after_sampling):
                self.end_reason = "callback"
            if ctx.passed_samples == 1:  # the first one loads and opens what the others only use
                self._pacer.start_clock(*self._readings())
            if ctx.window_samples >= ctx.attrs.samples_per_aggr:
                self._aggregate(max_nr_accesses)
            elif self._pacer.sampled() or self._is_overrun():
                self._pace(ctx.nr_regions)
            if ctx.passed_samples >= self._update_at:
                primitive.update(ctx)
                self._plan_update()
                if not ctx.window_samples:  # what is new is so from the beginning
                    self._forget_missed()

    def _is_overrun(self) -> bool:
        return self.ctx.budget is not None and self._pacer.is_overrun(*self._readings())

    def _plan_update(self) -> None:
        """Refresh what holds until the next update: its time, and the greatest size of a region."""
        self._limit_sizes()
        self._update_at = self.ctx.passed_samples + self.ctx.attrs.samples_per_update

    def _limit_sizes(self) -> None:
        """Refresh the greatest size of a region."""
        ctx = self.ctx
        self._sz_limit = ctx.region_sz_limit()
        if ctx.strict_min_nr_regions and not self._primitive.owns_regions:
            self._sz_limit = apply_min_nr_regions(
                ctx.targets, ctx.attrs.min_nr_regions, ctx.min_region_sz, ctx.window_samples
            )

    def _collect_loop(self) -> None:
        """Deliver what somebody else, who adapts the regions too, has aggregated."""
        ctx, is_first = self.ctx, True
        self._plan_update()
        while not self._need_stop():
            if self._rests():
                continue
            if self._stop.wait(min(ctx.attrs.aggr_interval / 2 / USEC_PER_SEC, _LOOK_S)):
                self.end_reason = "requested"
                if not self._primitive.collects_at_once:
                    break
            before, nr_windows, nr_regions = ctx.attrs, 0, 0
            self._pacer.aggregating(self._counting.cpu_us)
            for window in self._primitive.collect(ctx):
                ctx.passed_samples += window.max_nr_accesses
                ctx.checks = window.checks
                if self._callback(ctx.callback.after_aggregation):
                    self.end_reason = "callback"
                self._sink.aggregated(self._snapshot(window=window))
                self._counting.begin(follows=True)
                self._pacer.aggregated()
                nr_windows += 1
                nr_regions = window.checks // max(window.max_nr_accesses, 1)
            if ctx.attrs != before:
                self._sink.paced(ctx, before)
            if nr_windows and is_first:  # it loads and opens what the others only use
                self._pacer.start_clock(*self._readings())
                is_first = False
            elif nr_windows:
                self._pace(nr_regions)

    def call(self, function: Callable[[], None]) -> None:
        """Have the loop call a function between two samples (``damon_call``); from the loop's own thread only.

        The :class:`StopSource` listens while the loop waits, so that is where requests come in.
        """
        self._calls.append(function)

    def tune(self, attrs: Attrs) -> None:
        """Change the attributes; what was counted with the old ones is converted. Use it through :meth:`call`.

        Raises:
            DamondError: The primitive can't take them; nothing has changed.
        """
        old, asked = self.ctx.attrs, self._pacer.asked
        if self.ctx.intervals_goal is not None and attrs.sample_interval != asked.sample_interval:
            self.ctx.intervals_goal.check(attrs)
        self._pacer.ask(attrs)
        try:
            self._change(self._pacer.asked if self._primitive.tunes_intervals else self._pacer.attrs())
        except BaseException:
            self._pacer.ask(asked)
            raise
        self._limit_sizes()
        self._sink.tuned(self.ctx, old)

    def aim(self, goal: IntervalsGoal | None) -> None:
        """Tune the intervals to another goal from now on, or leave them as they are. Use it through :meth:`call`.

        Raises:
            DamondError: The primitive can't; nothing has changed.
        """
        self._primitive.aim(self.ctx, goal)
        self.ctx.intervals_goal = self._aimed = goal
        self._pace(self.ctx.nr_regions)

    def allow(self, budget: Budget | None) -> None:
        """Keep another budget from now on. Use it through :meth:`call`."""
        self.ctx.budget = budget
        self._pace(self.ctx.nr_regions)

    @property
    def asked(self) -> Attrs:
        """The attributes asked for; those in force, in the context, may be others by goal and budget."""
        return self._pacer.asked

    def _change(self, attrs: Attrs) -> None:
        """Put attributes into force."""
        ctx, old, new = self.ctx, self.ctx.attrs, self._primitive.tune(self.ctx, attrs)
        self._paced = attrs
        for target in ctx.targets:
            adaptation.convert_results(target.regions, old, new, ctx.window_samples)
        ctx.window_samples = ctx.window_samples * new.samples_per_aggr // old.samples_per_aggr
        left = max(0, self._update_at - ctx.passed_samples) * old.sample_interval // new.sample_interval
        self._update_at = ctx.passed_samples + min(max(1, left), new.samples_per_update)
        ctx.attrs = new

    def _pace(self, nr_regions: int) -> None:
        """Go as fast as goal and budget have it.

        Args:
            nr_regions: Regions that were looked at in the samples since the last time.
        """
        if self.ctx.passed_samples:
            self._pacer.settle(*self._readings(), nr_regions)
        try:
            self._follow_pace()
        except InvalidAttrsError as error:  # a process that ends this very moment is enough for the kernel's DAMON
            _log.info("%s: the pace stays for now: %s", self.ctx.name, error)

    def _follow_pace(self) -> None:
        if self._primitive.tunes_intervals:
            goal = self._pacer.bounded_goal(self._aimed)
            if goal != self._aimed:
                self._primitive.aim(self.ctx, goal)
                self._aimed = goal
            return
        old, wanted = self.ctx.attrs, self._pacer.attrs()
        if wanted != self._paced:
            self._change(wanted)
            self._sink.paced(self.ctx, old)

    def _begin_pacing(self) -> None:
        """Go at first as fast as the budget may be thought to allow."""
        self._paced, self._aimed = self._pacer.attrs(), self.ctx.intervals_goal
        if self._paced != self.ctx.attrs and not self._primitive.tunes_intervals:
            self.ctx.attrs = self._primitive.tune(self.ctx, self._paced)
        self._pacer.start_clock(*self._readings())

    def _readings(self) -> tuple[int, int]:
        """Read the clocks that the budget goes by: CPU time and time. Microseconds."""
        return self._counting.cpu_us(), self._clock.monotonic_ns() // NSEC_PER_USEC

    def retarget(self, targets: Sequence[Target]) -> None:
        """Replace the targets; those whose id stays keep their regions. Use it through :meth:`call`.

        Raises:
            DamondError: The primitive can't change its targets.
        """
        if self._roster.replace(targets):
            self._deliver_unfinished()
            self._counting.begin()
            self._roster.let_leave()
        self._limit_sizes()

    @property
    def wanted_targets(self) -> list[Target]:
        """The targets without those that have ended, and stay only until their last counts are delivered."""
        return self._roster.wanted

    def pause(self, *, paused: bool) -> None:
        """Stop sampling until it is resumed; what was counted so far is delivered. Use it through :meth:`call`.

        Raises:
            DamondError: The primitive can't; it goes on, or rests, as before.
        """
        if paused == self.paused:
            return
        self._primitive.pause(self.ctx, paused=paused)
        if paused:
            self._deliver_unfinished()
            self._roster.let_leave()
            self._count_anew()
        self.paused = paused
        self._counting.begin()

    def _rests(self) -> bool:
        """Do what was asked for between two samples; wait a little if there is nothing to sample."""
        while self._calls:
            self._calls.pop(0)()
        if not self.paused and (self.ctx.targets or not self.ctx.waits_for_targets):
            return False
        if self._stop.wait(_REST_S):
            self.end_reason = "requested"
        self._counting.begin()
        self._pacer.start_clock(*self._readings())
        self._deadline_ns = self._clock.monotonic_ns()
        return True

    def _need_stop(self) -> bool:
        if self.end_reason:
            return True
        # 5.15 ends without valid targets only where the primitive can tell (a kernel primitive leaves the hook NULL).
        if not self.ctx.waits_for_targets and not self._roster.any_valid():
            self.end_reason = "target_gone"
            return True
        return False

    def _sleep(self) -> bool:
        """Sleep until the end of the sample; say whether it is one: not where a stop or another request cut it short.

        One with less than half its interval left is late, and gets that half. A whole one would double the interval of
        a machine that misses it by little: 2.6 ms of work in 5 ms.
        """
        sample_ns = self.ctx.attrs.sample_interval * NSEC_PER_USEC
        now_ns = self._clock.monotonic_ns()
        self._deadline_ns += sample_ns
        if self._deadline_ns - now_ns < sample_ns // 2:
            self._counting.overruns += 1
            self._deadline_ns = now_ns + sample_ns // 2
        if self._stop.wait((self._deadline_ns - now_ns) / _NSEC_PER_SEC):
            self.end_reason = "requested"
            return False
        if self._calls and (now_ns := self._clock.monotonic_ns()) < self._deadline_ns:
            self._deadline_ns = now_ns
            return False
        return True

    def _aggregate(self, max_nr_accesses: int) -> None:
        ctx, nr_regions = self.ctx, self.ctx.nr_regions
        self._pacer.aggregating(self._counting.cpu_us)
        sampled = max((int(target.regions.size.max(initial=0)) for target in ctx.targets), default=0)
        self._policy.merge(ctx, max_nr_accesses, self._sz_limit)
        if self._callback(ctx.callback.after_aggregation):
            self.end_reason = "callback"
        self._sink.aggregated(self._snapshot(sampled_bytes=sampled))
        self._pacer.aggregated()
        self._counting.begin(follows=True)
        self._reset()
        self._policy.split(ctx)
        self._primitive.reset_aggregated(ctx)
        self._roster.let_leave()
        self._pace(nr_regions)

    def _reset(self) -> None:
        """Begin to count anew (kdamond_reset_aggregated)."""
        for target in self.ctx.targets:
            target.regions.last_nr_accesses = target.regions.nr_accesses
        self._count_anew()

    def _count_anew(self) -> None:
        """Forget what was counted; what the last whole aggregation has found stays what the next is compared with."""
        for target in self.ctx.targets:
            target.regions.nr_accesses = np.zeros_like(target.regions.nr_accesses)
        self._forget_missed()

    def _forget_missed(self) -> None:
        for target in self.ctx.targets:
            target.regions.miss_none()

    def _deliver_unfinished(self) -> None:
        """Deliver what the unfinished aggregation has counted, without a merge that would average it away."""
        if self.ctx.window_samples and not self._primitive.owns_regions:
            self._sink.aggregated(self._snapshot(partial=True))

    def _snapshot(self, *, partial: bool = False, window: Window | None = None, sampled_bytes: int = 0) -> Snapshot:
        """Make a snapshot of what was counted. Arguments as in :meth:`Counting.snapshot`."""
        policy = KernelPolicy.name if self._primitive.owns_regions else self._policy.name
        use = self._pacer.use()
        return self._counting.snapshot(policy, use, partial=partial, window=window, sampled_bytes=sampled_bytes)

    def _callback(self, function: Callable[[Context], object] | None) -> bool:
        return function is not None and bool(function(self.ctx))
