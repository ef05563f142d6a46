"""How the memory is monitored in a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from damond.core import Attrs, Budget, IntervalsGoal


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
