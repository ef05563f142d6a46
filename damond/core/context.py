"""The monitoring context: targets, attributes and how to check accesses, for one kdamond."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from damond.core import adaptation
from damond.core.attrs import Attrs
from damond.core.regions import MIN_REGION_SZ
from damond.core.target import Target
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
        attrs: Accuracy and cost.
        targets: What is watched, in the user's order.
        callback: What to call at the events of the monitoring.
        rng: The only source of chance of this context.
        waits_for_targets: Go on without any target, until some come.
        min_region_sz: Least size and alignment of regions. Bytes.
        passed_samples: Samples since the start; the primitive's measure of time, if it wants a reproducible one.
        checks: Access checks made since the last aggregation; counted by the primitive.
        unknown: How many of them could say nothing; counted by the primitive.
    """

    name: str = "damon"
    attrs: Attrs = field(default_factory=Attrs)
    targets: list[Target] = field(default_factory=list)
    callback: Callback = field(default_factory=Callback)
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    waits_for_targets: bool = False
    min_region_sz: int = MIN_REGION_SZ
    passed_samples: int = 0
    checks: int = 0
    unknown: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)

    @property
    def nr_regions(self) -> int:
        """Regions of all targets."""
        return adaptation.nr_regions(self.targets)

    def region_sz_limit(self) -> int:
        """Bytes that no region may grow above by merging."""
        return adaptation.region_sz_limit(self.targets, self.attrs.min_nr_regions, self.min_region_sz)
