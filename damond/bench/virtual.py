"""The real loop over the real synthetic primitive, in a time that does not pass."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np

from damond.bench.setting import Setting
from damond.core import Attrs, Callback, Context, Kdamond, Primitive, Snapshot
from damond.core.budget import AGGREGATION_US, CHECK_US, PASS_US
from damond.errors import UsageError
from damond.plugin import Registry
from damond.units import NSEC_PER_USEC, USEC_PER_SEC, format_interval

_EPOCH_NS: Final = 1_000_000_000_000_000_000
"""Unix time at which every run begins: virtual time is what lies behind it. Nanoseconds."""

_NSEC_PER_SEC: Final = 1_000_000_000


class VirtualTime:
    """Clock and stop source in one: waiting is what makes time pass.

    CPU time is what passes and aggregations would cost by the figures that a budget begins with; what they do cost on a
    machine is for ``damond bench cost`` to say.

    Args:
        span_us: When the run is to end. Virtual time, microseconds.
        ctx: The context, whose passes are charged.
    """

    def __init__(self, span_us: int, ctx: Context) -> None:
        self._span_ns = span_us * NSEC_PER_USEC
        self._ctx = ctx
        self._now_ns = 0
        self._cpu_us = 0.0

    def wall_ns(self) -> int:
        """Unix time."""
        return _EPOCH_NS + self._now_ns

    def monotonic_ns(self) -> int:
        """Time since the start of the run."""
        return self._now_ns

    def cpu_us(self) -> int:
        """CPU time that passes and aggregations so far would have cost."""
        return int(self._cpu_us)

    def aggregated(self) -> None:
        """Charge an aggregation."""
        self._cpu_us += AGGREGATION_US

    def wait(self, timeout_s: float) -> bool:
        """Let the time pass; say whether the run is over."""
        self._now_ns += round(timeout_s * _NSEC_PER_SEC)
        self._cpu_us += PASS_US + CHECK_US * self._ctx.nr_regions
        return self._now_ns > self._span_ns


@dataclass
class Run:
    """What a run cost; the sink of the loop.

    Attributes:
        take: Takes every snapshot.
        pages: Pages looked at.
        checks: Checks made: fewer, where one looks at a block of pages.
        cpu_us: CPU time that this would have cost. Microseconds.
        span_ns: Virtual time monitored. Nanoseconds.
        sample_us: The last sampling interval. Microseconds.
        nr_whole: Aggregations that have ended.
    """

    take: Callable[[Snapshot], None]
    pages: int = 0
    checks: int = 0
    cpu_us: int = 0
    span_ns: int = 0
    sample_us: int = 0
    nr_whole: int = 0
    _passes: int = 0

    def started(self, ctx: Context, primitive: Primitive) -> None:
        """Nothing is to be done."""

    def tuned(self, ctx: Context, old: Attrs) -> None:
        """Nothing is to be done: every snapshot says its intervals."""

    def paced(self, ctx: Context, old: Attrs) -> None:
        """Nothing is to be done: every snapshot says its intervals."""

    def sampled(self, ctx: Context) -> None:
        """Count the checks of a pass."""
        self.checks += ctx.nr_regions
        self._passes += 1

    def aggregated(self, snapshot: Snapshot) -> None:
        """Count the cost and hand the snapshot on."""
        self.nr_whole += not snapshot.partial
        self.pages += snapshot.checks
        self.cpu_us += snapshot.cpu_us
        self.span_ns += snapshot.end_ns - snapshot.start_ns
        self.sample_us = snapshot.sample_us
        self.take(snapshot)

    def costs(self) -> dict[str, float]:
        """Sum the cost up: pages and checks per second, regions per pass, CPU in percent, the last interval."""
        seconds = max(self.span_ns, 1) / _NSEC_PER_SEC
        return {
            "pages_per_s": self.pages / seconds,
            "checks_per_s": self.checks / seconds,
            "nr_regions": self.checks / max(self._passes, 1),
            "cpu_percent": self.cpu_us / seconds / USEC_PER_SEC * 100,
            "sample_us": self.sample_us,
        }


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

    Raises:
        UsageError: With this setting, nothing is found within that time.
    """
    run = Run(take)
    ctx = Context(
        name="bench",
        attrs=setting.attrs,
        callback=Callback(after_sampling=run.sampled, after_aggregation=lambda _: time.aggregated()),
        rng=np.random.default_rng(seed),
        intervals_goal=setting.goal,
        budget=setting.budget,
        initial_nr_regions=setting.initial_nr_regions,
        strict_min_nr_regions=setting.strict_min_nr_regions,
    )
    time = VirtualTime(span_us, ctx)
    policy = Registry(policy=setting.policy).make_policy(setting.policy, setting.policy_options)
    Kdamond(ctx, primitive, clock=time, stop=time, sink=run, policy=policy).run()
    if not run.nr_whole:
        raise UsageError(
            f"with these settings no aggregation ends within {format_interval(span_us)}: there is nothing to judge",
            hint="allow more checks, or more CPU time",
        )
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
