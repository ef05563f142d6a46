"""The contract of a primitive: how accesses are checked in one kind of address space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from damond.core.attrs import Attrs
from damond.core.regions import MIN_REGION_SZ
from damond.errors import UsageError

if TYPE_CHECKING:  # a context holds a primitive, and a primitive works on contexts
    from damond.core.context import Context
    from damond.core.target import Target
    from damond.core.tuning import IntervalsGoal


@dataclass(frozen=True, slots=True)
class SourceProbe:
    """Whether one access-bit source works on this machine.

    Attributes:
        name: Name of the source, as the option ``source`` takes it.
        works: Whether it works for this process here.
        granularity: Bytes that one check looks at; 0 is the whole mapping.
        reason: Why not, or what to know when it does.
        hint: What would help.
    """

    name: str
    works: bool
    granularity: int
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a primitive works on this machine.

    Attributes:
        works: Whether it works for this process here.
        granularity: Bytes that one check looks at, with the source that would be chosen; 0 is the whole mapping.
        reason: Why not, or what to know when it does.
        hint: What would help.
        sources: Each access-bit source that the primitive knows, in the order in which it would choose.
        warnings: What works against good results here.
    """

    works: bool
    granularity: int = MIN_REGION_SZ
    reason: str = ""
    hint: str = ""
    sources: tuple[SourceProbe, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NoOptions:
    """The options of a primitive that has none."""


@dataclass(frozen=True, slots=True)
class Window:
    """One aggregation that a primitive which owns its regions has collected.

    Attributes:
        start_ns: Begin, Unix time. Nanoseconds.
        end_ns: End, Unix time. Nanoseconds.
        max_nr_accesses: Samples in it.
        checks: Access checks made in it.
    """

    start_ns: int
    end_ns: int
    max_nr_accesses: int
    checks: int


class Primitive(ABC):
    """How to find out what was accessed in one kind of address space (``struct damon_primitive``).

    One instance serves one context, in a process of its own. The loop calls :meth:`init` once, then for every
    sample :meth:`prepare_access_checks`, waits, and calls :meth:`check_accesses`; :meth:`reset_aggregated` follows
    each aggregation and :meth:`update` each primitive_update_interval; :meth:`cleanup` comes last, in any case.
    What it raises ends the context; a :class:`damond.errors.DamondError` reaches the user as it is.

    Attributes:
        name: What the configuration calls the primitive; unique on a machine.
        Options: A frozen dataclass with the options; see :mod:`damond.plugin.options`.
        auto_rank: Place in the order in which ``primitive = "auto"`` tries primitives, lowest first; None: never.
        process_targets: Whether target ids are pids.
        owns_regions: Whether somebody else samples, merges and splits (the kernel's DAMON): the loop then only waits
            and calls :meth:`collect`.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions
    auto_rank: ClassVar[int | None] = None
    process_targets: ClassVar[bool] = False
    owns_regions: ClassVar[bool] = False

    granularity: int = MIN_REGION_SZ
    """Bytes that one check looks at; 0 is the whole mapping. Published with every snapshot, and may change between
    two of them. A check of a block of pages counts an access if any of them was touched, and counts one at most."""

    least_sample_us: int = 1
    """Below this no tuning goes, whatever the goal. Microseconds."""

    tunes_intervals: bool = False
    """Whether somebody else tunes the intervals to the goal of the context (the kernel); set in :meth:`init`."""

    collects_at_once: bool = False
    """Whether :meth:`collect` yields what there is, and waits for nothing: then it is called once more at the end."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @classmethod
    def probe(cls) -> Probe:
        """Say whether the primitive can work on this machine; must not change anything on it."""
        return Probe(works=True)

    @property
    def pages_per_check(self) -> int:
        """Pages that one check looks at; 1 where it is a whole mapping."""
        return max(1, self.granularity // MIN_REGION_SZ)

    def attrs(self, given: Mapping[str, int]) -> Attrs:
        """Make the attributes of a context from those that the user gave; the rest is the primitive's choice.

        Called once, before :meth:`init`. A primitive that can't keep an interval stretches it here; the stream then
        carries the event ``attrs_changed``.

        Args:
            given: Fields of :class:`Attrs` that were asked for. Microseconds and counts.

        Raises:
            InvalidAttrsError: What was asked for contradicts itself.
        """
        return Attrs.fitting(given)

    def init(self, ctx: Context) -> None:
        """Make the regions of targets that have none yet; open what is needed.

        Raises:
            DamondError: The context can't be monitored; nothing is started then.
        """

    def update(self, ctx: Context) -> None:
        """Fit the regions to what there is to monitor now."""

    def prepare_access_checks(self, ctx: Context) -> None:
        """Choose a sampling address in every region and make its page look not accessed."""

    @abstractmethod
    def check_accesses(self, ctx: Context) -> int:
        """Count an access for every region whose sampled page was accessed since it was prepared.

        Adds the pages looked at to ``ctx.checks``, and those of which nothing could be said to ``ctx.unknown``; regions
        of which this sample could say nothing are told by :meth:`Regions.miss`: they are not to be taken for cold.

        Returns:
            The highest ``nr_accesses`` of all regions: the threshold of the next merge depends on it.
        """

    def collect(self, ctx: Context) -> Iterator[Window]:
        """Yield the aggregations that ended since the last call, if the primitive owns its regions.

        Called twice per aggregation interval, or once a second. With each window the regions of the targets, their
        ``nr_accesses`` and ``age``, and ``ctx.attrs`` if somebody else tunes them, are those of that aggregation.
        """
        raise NotImplementedError(f"{self.name} says that it owns its regions, and does not define collect()")

    def tune(self, ctx: Context, attrs: Attrs) -> Attrs:  # noqa: ARG002
        """Take new attributes while the context runs; return those that can be kept.

        The loop converts results that were counted with the old ones, and sets ``ctx.attrs``, after this call.

        Raises:
            DamondError: They can't be taken; nothing changes.
        """
        return attrs

    def aim(self, ctx: Context, goal: IntervalsGoal | None) -> None:
        """Take another goal to the one who tunes the intervals, if ``tunes_intervals``.

        Args:
            ctx: The context.
            goal: That of the context, with a ``min_sample_us`` that its budget allows; None leaves intervals alone.

        Raises:
            DamondError: It can't be taken.
        """

    def retarget(self, ctx: Context) -> None:  # noqa: ARG002
        """Take note that targets came or went while the context runs; make the regions of new ones.

        A new target that can't be monitored (any more) is to be taken out of ``ctx.targets``.

        Raises:
            DamondError: The targets of this primitive can't change.
        """
        raise UsageError(
            f"the targets of a context of {self.name!r} can't change while it runs",
            hint="stop it, change its configuration, and start it again",
        )

    def pause(self, ctx: Context, *, paused: bool) -> None:
        """Take note that the context rests from now on, or goes on. Who samples only when asked has nothing to do.

        Raises:
            DamondError: That can't be; it stays as it was.
        """

    def cpu_us(self) -> int:
        """Return CPU time used for this context outside of the worker, by the kernel for one. Microseconds."""
        return 0

    def reset_aggregated(self, ctx: Context) -> None:
        """Forget what was gathered over an aggregation, beyond the regions' own counters."""

    def target_valid(self, target: Target) -> bool:  # noqa: ARG002
        """Say whether the target is still there. A primitive that does not define this never ends by itself."""
        return True

    def cleanup(self, ctx: Context) -> None:
        """Close what :meth:`init` opened. Called in any case, also after a failure of ``init`` itself."""
