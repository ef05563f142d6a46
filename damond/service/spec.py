"""What a worker needs to know about its context: plain data that crosses processes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from damond.core import Budget
from damond.core.context import check_name

CALLBACKS = ("before_start", "after_sampling", "after_aggregation", "before_terminate")


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """One target as the user gave it.

    Attributes:
        id: What it means is the primitive's business: a pid for ``vaddr``.
        ranges: Initial regions as ``(start, end)`` in bytes; empty leaves them to the primitive.
        found: It was not named, but found by what it is: it may have ended since, which is no error.
    """

    id: int
    ranges: tuple[tuple[int, int], ...] = ()
    found: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextSpec:
    """A context to be monitored, before it is.

    Attributes:
        name: Unique in a supervisor.
        primitive: Name of a primitive, or ``auto``, or (embedded only) an importable class ``"module:Class"``.
        options: Options of the primitive, validated by its schema.
        attrs: The fields of :class:`damond.core.Attrs` that were asked for. Microseconds and counts.
        targets: What to watch.
        callbacks: Name of a callback -> importable function ``"module:function"``, called in the worker.
        private: ``Callback.private``: any plain data.
        seed: Of the context's randomness; None draws one.
        select: Conditions that choose processes while the context runs, as in the configuration; or None.
        children: Watch the descendants of its processes too.
        command: A program to start, watch and end with the context; empty for none.
        waits_for_targets: Go on without any target, until some come.
        intervals_goal: The fields of :class:`damond.core.IntervalsGoal`, or None: intervals stay as they are.
        max_cpu: CPU time per time that it may use, 0.01 = 1 % of one CPU; None is no bound of its own.
        max_checks_per_s: Pages per second that it may look at; None is no bound of its own.
        initial_nr_regions: As in :class:`damond.core.Context`.
        strict_min_nr_regions: As in :class:`damond.core.Context`.
    """

    name: str
    primitive: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    attrs: Mapping[str, int] = field(default_factory=dict)
    targets: tuple[TargetSpec, ...] = ()
    callbacks: Mapping[str, str] = field(default_factory=dict)
    private: Any = None
    seed: int | None = None
    select: Mapping[str, Any] | None = None
    children: bool = False
    command: tuple[str, ...] = ()
    waits_for_targets: bool = False
    intervals_goal: Mapping[str, int] | None = None
    max_cpu: float | None = None
    max_checks_per_s: float | None = None
    initial_nr_regions: int = 0
    strict_min_nr_regions: bool = False

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def follows(self) -> bool:
        """Whether its targets change by themselves."""
        return self.select is not None or self.children

    def to_map(self) -> dict[str, Any]:
        """Make a map of plain values."""
        return asdict(self)

    def bounds(self, share: Mapping[str, float]) -> dict[str, float | None]:
        """Say what it may cost: its own ``max_cpu`` and ``max_checks_per_s``, or its share of a whole, if less."""
        return {
            name: min(filter(None, (getattr(self, name), share.get(name))), default=None)
            for name in ("max_cpu", "max_checks_per_s")
        }

    def budget(self) -> Budget | None:
        """Return its own bounds, or None without any."""
        bounds = self.bounds({})
        return Budget(**bounds) if any(bounds.values()) else None

    @classmethod
    def from_map(cls, body: Mapping[str, Any]) -> Self:
        """Undo :meth:`to_map`."""
        targets = tuple(
            TargetSpec(each["id"], tuple(map(tuple, each["ranges"])), each["found"]) for each in body["targets"]
        )
        return cls(**{**body, "targets": targets, "command": tuple(body["command"])})
