"""The contract of a primitive: how accesses are checked in one kind of address space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from damond.core.attrs import Attrs
from damond.core.regions import MIN_REGION_SZ

if TYPE_CHECKING:  # a context holds a primitive, and a primitive works on contexts
    from damond.core.context import Context
    from damond.core.target import Target


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
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions
    auto_rank: ClassVar[int | None] = None
    process_targets: ClassVar[bool] = False

    granularity: int = MIN_REGION_SZ
    """Bytes that one check looks at; 0 is the whole mapping. Published with every snapshot."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @classmethod
    def probe(cls) -> Probe:
        """Say whether the primitive can work on this machine; must not change anything on it."""
        return Probe(works=True)

    def attrs(self, given: Mapping[str, int]) -> Attrs:
        """Make the attributes of a context from those that the user gave; the rest is the primitive's choice.

        Called once, before :meth:`init`. A primitive that can't keep an interval stretches it here; the stream then
        carries the event ``attrs_changed``.

        Args:
            given: Fields of :class:`Attrs` that were asked for. Microseconds and counts.

        Raises:
            InvalidAttrsError: What was asked for contradicts itself.
        """
        return Attrs(**given)  # type: ignore[arg-type]

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

        Adds the checks made to ``ctx.checks``, and those that could say nothing to ``ctx.unknown``.

        Returns:
            The highest ``nr_accesses`` of all regions: the threshold of the next merge depends on it.
        """

    def reset_aggregated(self, ctx: Context) -> None:
        """Forget what was gathered over an aggregation, beyond the regions' own counters."""

    def target_valid(self, target: Target) -> bool:  # noqa: ARG002
        """Say whether the target is still there. A primitive that does not define this never ends by itself."""
        return True

    def cleanup(self, ctx: Context) -> None:
        """Close what :meth:`init` opened. Called in any case, also after a failure of ``init`` itself."""
