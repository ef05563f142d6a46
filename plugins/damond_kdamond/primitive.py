"""The primitives: the kernel's DAMON does the work, and its results become snapshots like everybody else's."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from damond.core import Attrs, Context, IntervalsGoal, Primitive, Probe, Target, Window
from damond.errors import InvalidOptionError, NoSuchProcessError, NotRunningError, UsageError
from damond.units import Usec
from damond_accessbits import Root
from damond_kdamond.admin import WHAT_TARGET
from damond_kdamond.files import Files
from damond_kdamond.options import KdamondPaddrOptions, KdamondVaddrOptions
from damond_kdamond.probing import probe
from damond_kdamond.session import Session, Setup
from damond_kdamond.windows import Windows, fill
from damond_physical.ram import system_ram
from damond_vaddr.process import Process

_log = logging.getLogger(__name__)

_UPDATE_US: Final = 1_000_000
"""damo's default; the kernel's is 60 s. For processes only: memory of a machine seldom comes and goes."""


def _fitted(attrs: Attrs, goal: IntervalsGoal | None) -> Attrs:
    """Bring intervals within the bounds of a goal: the kernel takes no others (EINVAL)."""
    if goal is None or goal.fit(attrs.sample_interval) == attrs.sample_interval:
        return attrs
    sample = goal.fit(attrs.sample_interval)
    return replace(attrs, sample_interval=sample, aggr_interval=Usec(sample * attrs.samples_per_aggr))


def _intervals(attrs: Attrs) -> dict[str, Usec]:
    return {"sample_interval": attrs.sample_interval, "aggr_interval": attrs.aggr_interval}


class KdamondVaddr(Primitive):
    """Has processes monitored by a kdamond of the kernel; the id of a target is a pid.

    One per machine: the kernel has one tree of kdamonds, whose number can't be changed while one runs.
    ``checks`` is derived, see :class:`~damond_kdamond.cost.CheckCount`; everything else is the kernel's own.
    """

    name = "kdamond"
    Options: ClassVar[type] = KdamondVaddrOptions
    auto_rank: ClassVar[int | None] = 10
    process_targets = True
    owns_regions = True

    def __init__(self, options: Any, root: Root = Root(), files: Files | None = None) -> None:  # noqa: B008 - Root is frozen
        super().__init__(options)
        self._root = root
        self._files = files or Files(root)
        self._session: Session | None = None
        self._processes: dict[int, Process] = {}
        self._ended: set[int] = set()
        self._paused = False
        self._unasked = 0
        self._goal: IntervalsGoal | None = None
        self._asked = Attrs()

    @classmethod
    def probe(cls, root: Root = Root()) -> Probe:  # noqa: B008 - Root is frozen
        """Look who uses the kernel's DAMON, and how its results could be read; writes nothing."""
        return probe(root)

    def attrs(self, given: Mapping[str, int]) -> Attrs:
        """Look at mappings every second where nothing else is said."""
        return Attrs.fitting(given, primitive_update_interval=self._update_us)

    def init(self, ctx: Context) -> None:
        """Start the kdamond."""
        setup = Setup(
            operations=self._operations,
            targets=self._targets(ctx),
            attrs=_fitted(ctx.attrs, ctx.intervals_goal),
            goal=ctx.intervals_goal,
            source=self.options.source,
        )
        self._session = Session(self._files, setup)
        self._asked = ctx.attrs
        self._note_goal(ctx.intervals_goal)
        ctx.attrs = self._session.attrs()
        self._windows = Windows(ctx.attrs, self._session.begin_ns)

    def _note_goal(self, goal: IntervalsGoal | None) -> None:
        """Take note of a goal, and of whether the kernel tunes to it: before Linux 6.15 the loop does."""
        self._goal = goal
        self.tunes_intervals = self._opened.tunes
        self.collects_at_once = self._opened.source.reads_at_once

    def aim(self, ctx: Context, goal: IntervalsGoal | None) -> None:
        """Let the kernel tune to another goal."""
        kept = self._opened.aim(goal, _fitted(self._in_force(), goal), self._numbers_ended(ctx))
        self._windows.change(kept, time.monotonic_ns())
        self._note_goal(goal)

    @property
    def _operations(self) -> str:
        return str(self.options.ops)

    @property
    def _update_us(self) -> int:
        return _UPDATE_US

    def _targets(self, ctx: Context) -> list[WHAT_TARGET]:
        """Take hold of the processes; say which ranges of them are to be monitored."""
        found: list[WHAT_TARGET] = []
        for target in list(ctx.targets):
            try:
                self._processes[target.id] = Process(self._root, target.id)
            except NoSuchProcessError:
                if not target.found:
                    raise
                ctx.targets.remove(target)  # it has ended since it was found
                continue
            target.pid = target.id
            ranges = target.regions.ranges() or list(self.options.ranges)
            if self.options.ops == "fvaddr" and not ranges:
                raise InvalidOptionError(
                    "fvaddr needs ranges", hint='give the option ranges = ["START-END", ...], or ops = "vaddr" for all'
                )
            found.append((target.id, ranges))
        if not found:
            raise UsageError("kdamond has no target", hint="name a process, or use kdamond_paddr for physical memory")
        return found

    def check_accesses(self, ctx: Context) -> int:
        """The kernel does; the loop of a primitive that owns its regions never calls this."""
        raise NotImplementedError(f"{self.name} collects")

    def collect(self, ctx: Context) -> Iterator[Window]:
        """Yield what the kernel has aggregated; see :meth:`damond.core.Primitive.collect`.

        Raises:
            NotRunningError: Somebody else has switched the kdamond off.
        """
        # In this order: what is read afterwards is all there will be of a process that has ended before.
        running = self._opened.running()
        ended = {pid for pid, process in self._processes.items() if process.ended()}
        for aggregation in self._opened.read():
            window = self._windows.window(aggregation)
            ctx.attrs = self._windows.attrs
            fill(ctx.targets, aggregation, self._ended, window.max_nr_accesses)
            yield window
            self._ask_for_tuning()
        ctx.attrs = self._windows.newest
        self._ended |= ended
        if not running and not (ended and len(ended) == len(self._processes)):
            raise NotRunningError(
                "the kernel's kdamond has stopped, and nothing that damond did stopped it",
                hint="somebody else may have written to /sys/kernel/mm/damon/admin: start the context again",
            )

    def _ask_for_tuning(self) -> None:
        """Ask for the intervals now and then where results don't carry them (Linux 6.15; or tried_regions)."""
        goal = self._goal
        if goal is None or not self.tunes_intervals or self._opened.source.sees_tuning:
            return
        self._unasked += 1
        if self._unasked >= goal.aggrs and self._opened.running():
            self._unasked = 0
            self._windows.change(self._opened.tuned_attrs(), time.monotonic_ns())

    def tune(self, ctx: Context, attrs: Attrs) -> Attrs:
        """Commit new attributes to the running kdamond; it goes on with what it has tuned, if the intervals stay."""
        wanted = _fitted(attrs, self._goal)
        if self.tunes_intervals and _intervals(attrs) == _intervals(self._asked):
            wanted = replace(attrs, **_intervals(self._in_force()))
        kept = self._opened.commit(wanted, self._numbers_ended(ctx))
        self._windows.change(kept, time.monotonic_ns())
        self._asked = attrs
        return kept

    def _in_force(self) -> Attrs:
        """Return what the kernel goes by now, as far as can be known; a commit of anything else would change that."""
        if self.tunes_intervals and not self._paused and not self._opened.source.sees_tuning:
            try:
                return self._opened.tuned_attrs()
            except OSError as error:  # it may end this very moment, which others notice
                _log.debug("the kernel does not say which intervals it has: %s", error)
        return self._windows.newest

    def pause(self, ctx: Context, *, paused: bool) -> None:
        """Let the kdamond rest, too. A kernel without ``pause`` forgets its regions and their ages over that."""
        asked_ns = time.monotonic_ns()  # the first aggregation after a pause may have ended before the kernel answers
        attrs = self._in_force()
        kept = self._opened.pause(attrs, paused=paused, ended=self._numbers_ended(ctx))
        self._windows.change(attrs, asked_ns)
        self._paused = paused
        if not paused:
            self._windows.resume(asked_ns, anew=not kept)
            if not kept:
                _log.info("%s: this kernel's DAMON knows no pause: it begins with new regions, of age 0", ctx.name)

    def _numbers_ended(self, ctx: Context) -> list[int]:
        """Return the numbers, in the kernel's list, of the targets whose processes have ended."""
        return [
            number
            for number, target in enumerate(ctx.targets)
            if target.id in self._processes and self._processes[target.id].ended()
        ]

    @property
    def _opened(self) -> Session:
        if self._session is None:
            raise RuntimeError("init() comes first")
        return self._session

    def cpu_us(self) -> int:
        """Return the CPU time of the kdamond's thread."""
        return self._session.cpu_us() if self._session is not None else 0

    def target_valid(self, target: Target) -> bool:
        """Say whether the process runs, or has ended with results still to be collected."""
        if self._paused and target.id in self._processes and self._processes[target.id].ended():
            return False
        return target.id not in self._ended

    def cleanup(self, ctx: Context) -> None:  # noqa: ARG002 - the contract's
        """Stop the kdamond and leave no trace of it."""
        try:
            if self._session is not None:
                self._session.close()
        finally:
            self._session = None
            while self._processes:
                self._processes.popitem()[1].close()


class KdamondPaddr(KdamondVaddr):
    """Has physical memory monitored by a kdamond of the kernel; the one target has the id 0.

    A class of its own, and not an option of ``kdamond``: whether targets are pids is a matter of the class.
    """

    name = "kdamond_paddr"
    Options = KdamondPaddrOptions
    auto_rank = None
    process_targets = False

    @property
    def _operations(self) -> str:
        return "paddr"

    @property
    def _update_us(self) -> int:
        return Attrs().primitive_update_interval

    def _targets(self, ctx: Context) -> list[WHAT_TARGET]:
        """Make the target."""
        if not ctx.targets:
            ctx.targets.append(Target(0))
        if [target.id for target in ctx.targets] != [0]:
            raise UsageError(
                f"kdamond_paddr has one target, of id 0; not {', '.join(str(target.id) for target in ctx.targets)}",
                hint="leave targets out; the option ranges limits what is monitored",
            )
        return [(None, ctx.targets[0].regions.ranges() or self.options.ranges or system_ram(self._root))]
