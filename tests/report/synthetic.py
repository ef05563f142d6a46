"""Runs of the primitive ``synthetic`` in virtual time: snapshots of which the exact truth is known."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from damond.core import Attrs, Context, Kdamond, Primitive, Snapshot
from damond.plugin import Registry
from damond.report.source import of_snapshots
from damond.report.subject import Subject

EPOCH_NS = 1_700_000_000_000_000_000
MIB = 1 << 20


@dataclass
class VirtualTime:
    """Clock, stop source and sink in one: waiting is what makes time pass."""

    samples: int
    now_ns: int = 0
    nr_waits: int = 0
    snapshots: list[Snapshot] = field(default_factory=list)

    def wall_ns(self) -> int:
        return EPOCH_NS + self.now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def cpu_us(self) -> int:
        return 0

    def wait(self, timeout_s: float) -> bool:
        self.now_ns += round(timeout_s * 1e9)
        self.nr_waits += 1
        return self.nr_waits > self.samples

    def started(self, ctx: Context, primitive: Primitive) -> None:
        pass

    def tuned(self, ctx: Context, old: Attrs) -> None:
        pass

    def aggregated(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


@dataclass
class Run:
    """What was monitored, and the memory itself: the truth."""

    snapshots: list[Snapshot]
    memory: Any

    @property
    def subject(self) -> Subject:
        return of_snapshots(self.snapshots)


def monitor(options: dict[str, Any], seconds: float, seed: int = 1, **attrs: Any) -> Run:
    """Monitor scripted memory for so many virtual seconds."""
    primitive: Any = Registry(offering="synthetic").make("synthetic", {"seed": seed, **options})
    given = Attrs(**{"min_nr_regions": 10, "max_nr_regions": 200, **attrs})
    time = VirtualTime(round(seconds * 1e6 / given.sample_interval))
    ctx = Context(attrs=given, targets=[], rng=np.random.default_rng(seed))
    Kdamond(ctx, primitive, clock=time, stop=time, sink=time).run()
    return Run(time.snapshots, primitive.memory)
