"""How the memory is monitored in a run."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Self

from damond.core import Attrs, Budget, IntervalsGoal
from damond.service.pace import DEFAULT_GOAL, DEFAULT_POLICY

MAX_CHECKS_PER_S: Final = 20_000.0
"""Pages looked at per second that accuracy is judged at, if nothing else is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the memory is monitored in a run.

    Attributes:
        attrs: Intervals and number of regions to begin with.
        policy: Name of the adaptation policy.
        policy_options: Its options.
        goal: What the intervals are tuned to; None leaves them as they are.
        budget: What it may cost; None: as much as it takes.
        initial_nr_regions: Regions to begin with; 0 is the least number.
        strict_min_nr_regions: Cut regions that are larger than the least number allows.
        block: Pages that one check looks at.
    """

    attrs: Attrs = field(default_factory=Attrs)
    policy: str = "kernel"
    policy_options: Mapping[str, Any] = field(default_factory=dict)
    goal: IntervalsGoal | None = None
    budget: Budget | None = None
    initial_nr_regions: int = 0
    strict_min_nr_regions: bool = False
    block: int = 1

    @classmethod
    def kernel(cls) -> Self:
        """Monitor as the kernel does by default: 5 ms / 100 ms, 10 to 1000 regions, and nothing is tuned."""
        return cls()

    @classmethod
    def shipped(cls) -> Self:
        """Monitor as the service does by default, but for its bound, which here is one of pages per second."""
        attrs = Attrs()
        return cls(
            attrs=attrs,
            policy=DEFAULT_POLICY,
            goal=DEFAULT_GOAL,
            budget=Budget(max_checks_per_s=MAX_CHECKS_PER_S),
            initial_nr_regions=attrs.max_nr_regions // 2,
            strict_min_nr_regions=True,
        )

    def but(self, **changes: Any) -> Self:
        """Return another one that differs in this."""
        return replace(self, **changes)

    def document(self) -> dict[str, Any]:
        """Make plain data of it."""
        return asdict(self)
