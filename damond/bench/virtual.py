"""The real loop over the real synthetic primitive, in a time that does not pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np

from damond.bench.setting import Setting
from damond.core import Attrs, Context, Kdamond, Primitive, Snapshot
from damond.plugin import Registry
from damond.units import NSEC_PER_USEC

_EPOCH_NS: Final = 1_000_000_000_000_000_000
"""Unix time at which every run begins: virtual time is what lies behind it. Nanoseconds."""

_NSEC_PER_SEC: Final = 1_000_000_000


class VirtualTime:
    """Clock and stop source in one: waiting is what makes time pass.

    Args:
        span_us: When the run is to end. Virtual time, microseconds.
        ctx: The context, whose checks are charged as CPU time.
    """

    def __init__(self, span_us: int) -> None:
        self._span_ns = span_us * NSEC_PER_USEC
        self._now_ns = 0

    def wall_ns(self) -> int:
        """Unix time."""
        return _EPOCH_NS + self._now_ns

    def monotonic_ns(self) -> int:
        """Time since the start of the run."""
        return self._now_ns

    def cpu_us(self) -> int:
        """Nothing costs CPU time here: what a check costs is for ``damond bench cost`` to say."""
        return 0

    def wait(self, timeout_s: float) -> bool:
        """Let the time pass; say whether the run is over."""
        self._now_ns += round(timeout_s * _NSEC_PER_SEC)
        return self._now_ns > self._span_ns


@dataclass
class Run:
    """What a run cost; the sink of the loop.

    Attributes:
        take: Takes every snapshot.
        checks: Access checks made.
        pages: Pages looked at: a check of a block of b pages looks at b.
        weighted_regions: Regions, times the time for which there were so many. Nanoseconds.
        span_ns: Virtual time monitored. Nanoseconds.
        most_regions: The greatest number of regions of a snapshot.
        sample_us: The last sampling interval. Microseconds.
    """

    take: Callable[[Snapshot], None]
    block: int = 1
    checks: int = 0
    weighted_regions: int = 0
    span_ns: int = 0
    most_regions: int = 0
    sample_us: int = 0

    def started(self, ctx: Context, primitive: Primitive) -> None:
        """Nothing is to be done."""

    def tuned(self, ctx: Context, old: Attrs) -> None:
        """Nothing is to be done: every snapshot says its intervals."""

    def paced(self, ctx: Context, old: Attrs) -> None:
        """Nothing is to be done: every snapshot says its intervals."""

    def aggregated(self, snapshot: Snapshot) -> None:
        """Count the cost and hand the snapshot on."""
        span_ns = snapshot.end_ns - snapshot.start_ns
        self.checks += snapshot.checks
        self.span_ns += span_ns
        self.weighted_regions += span_ns * snapshot.nr_regions
        self.most_regions = max(self.most_regions, snapshot.nr_regions)
        self.sample_us = snapshot.sample_us
        self.take(snapshot)

    @property
    def checks_per_s(self) -> float:
        """Access checks per second."""
        return self.checks * _NSEC_PER_SEC / max(self.span_ns, 1)

    @property
    def pages_per_s(self) -> float:
        """Pages looked at per second."""
        return self.checks_per_s * self.block

    @property
    def nr_regions(self) -> float:
        """Regions, on average over time."""
        return self.weighted_regions / max(self.span_ns, 1)


def memory(options: Mapping[str, Any], setting: Setting, seed: int) -> Primitive:
    """Make the synthetic primitive, found by entry point as everybody finds it."""
    return Registry(offering="synthetic").make("synthetic", {**options, "seed": seed, "block": setting.block})


def watch(primitive: Primitive, setting: Setting, span_us: int, seed: int, take: Callable[[Snapshot], None]) -> Run:
    """Monitor a scripted memory.

    Args:
        primitive: What :func:`memory` made.
        setting: How to monitor it.
        span_us: For how long. Virtual time, microseconds.
        seed: Of the context's randomness.
        take: Takes every snapshot; :func:`begin_us` and :func:`end_us` tell its virtual time.
    """
    run = Run(take, setting.block)
    time = VirtualTime(span_us)
    ctx = Context(name="bench", attrs=setting.attrs, rng=np.random.default_rng(seed))
    Kdamond(ctx, primitive, clock=time, stop=time, sink=run).run()
    return run


def begin_us(snapshot: Snapshot) -> int:
    """Tell when the window of a snapshot began. Virtual time, microseconds."""
    return (snapshot.start_ns - _EPOCH_NS) // NSEC_PER_USEC


def end_us(snapshot: Snapshot) -> int:
    """Tell when the window of a snapshot ended. Virtual time, microseconds."""
    return (snapshot.end_ns - _EPOCH_NS) // NSEC_PER_USEC


def truth_of(primitive: Primitive) -> Any:
    """Give the scripted memory behind a synthetic primitive (``damond_synthetic.Memory``)."""
    return cast("Any", primitive).memory
