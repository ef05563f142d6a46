"""The monitoring context: targets, attributes and how to check accesses, for one kdamond."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from damond.core import adaptation
from damond.core.attrs import Attrs
from damond.core.budget import Budget
from damond.core.regions import MIN_REGION_SZ, AddrRange
from damond.core.target import Target
from damond.core.tuning import IntervalsGoal
from damond.errors import InvalidNameError

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

CallbackFn = Callable[["Context"], Any]


def check_name(name: str) -> str:
    """Return the name if it can be part of a stream topic.

    Raises:
        InvalidNameError: It can't.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise InvalidNameError(f"{name!r} is no context name", hint="use 1 to 64 of the characters A-Z a-z 0-9 _ -")
    return name


@dataclass(slots=True)
class Callback:
    """What to call in the worker at the events of the monitoring (``struct damon_callback``).

    Each is called with the context, in the thread that monitors, so that results may be read without protection.
    A true return stops the monitoring.

    Attributes:
        private: The user's own.
        before_start: Before the first sample; the regions are there.
        after_sampling: Once per sample, after the check, so it sees what was sampled (the kernel of 5.15 calls it
            before the check).
        after_aggregation: Once per aggregation, with the merged regions, before the counters are reset.
        before_terminate: Before the monitoring ends. The regions are still there (5.15: they are not), with what
            the unfinished aggregation has counted.
    """

    private: Any = None
    before_start: CallbackFn | None = None
    after_sampling: CallbackFn | None = None
    after_aggregation: CallbackFn | None = None
    before_terminate: CallbackFn | None = None


@dataclass(slots=True, eq=False)
class Context:
    """One monitoring: what is watched, how accurately and for whom (``struct damon_ctx``).

    Attributes:
        name: Unique in a supervisor; part of the stream's topics.
        attrs: Accuracy and cost: those in force, which goal and budget may have changed.
        targets: What is watched, in the user's order.
        callback: What to call at the events of the monitoring.
        rng: The only source of chance of this context.
        waits_for_targets: Go on without any target, until some come.
        min_region_sz: Least size and alignment of regions. Bytes.
        passed_samples: Samples since the start; the primitive's measure of time, if it wants a reproducible one.
        window_samples: Samples since the last aggregation.
        checks: Pages looked at since the last aggregation; counted by the primitive.
        unknown: Of how many of them nothing could be said; counted by the primitive.
        intervals_goal: What the intervals are tuned to, or None: they stay as they are.
        budget: What it may cost, or None. Kept by longer intervals, fewer regions and samples.
        initial_nr_regions: Regions to begin with, if there is room for twice as many; 0 begins with
            ``min_nr_regions``, as the kernel does, which on large memory are too large to see anything in.
        strict_min_nr_regions: Cut any region that is larger than the total size divided by ``min_nr_regions`` (Linux
            7.1); before, such a region is merely not merged any further.
        allowed_nr_regions: What the budget makes of ``max_nr_regions``; 0 until it is known.
    """

    name: str = "damon"
    attrs: Attrs = field(default_factory=Attrs)
    targets: list[Target] = field(default_factory=list)
    callback: Callback = field(default_factory=Callback)
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    waits_for_targets: bool = False
    min_region_sz: int = MIN_REGION_SZ
    passed_samples: int = 0
    window_samples: int = 0
    checks: int = 0
    unknown: int = 0
    intervals_goal: IntervalsGoal | None = None
    budget: Budget | None = None
    initial_nr_regions: int = 0
    strict_min_nr_regions: bool = False
    allowed_nr_regions: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def nr_regions(self) -> int:
        """Regions of all targets."""
        return adaptation.nr_regions(self.targets)

    @property
    def samples_left(self) -> int:
        """Samples of the aggregation under way, the next one included."""
        return max(1, self.attrs.samples_per_aggr - self.window_samples)

    @property
    def region_budget(self) -> int:
        """Most regions that there may be now: ``max_nr_regions``, or what the budget allows of them."""
        most = self.attrs.max_nr_regions
        return max(self.attrs.min_nr_regions, min(most, self.allowed_nr_regions or most))

    def initial_regions(self, ranges: Sequence[AddrRange]) -> list[AddrRange]:
        """Cut the ranges of one target into the regions to begin with; targets share the number.

        Args:
            ranges: Sorted by address and disjoint. Bytes.
        """
        wanted = min(self.initial_nr_regions, self.region_budget // 2) // max(len(self.targets), 1)
        return adaptation.initial_regions(ranges, max(self.attrs.min_nr_regions, wanted), self.min_region_sz)

    def region_sz_limit(self) -> int:
        """Bytes that no region may grow above by merging."""
        return adaptation.region_sz_limit(self.targets, self.attrs.min_nr_regions, self.min_region_sz)
