"""The loop around a primitive on a tree of files, step by step."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from damond.core import Attrs, Context, IntervalsGoal, Kdamond, Snapshot, Target
from damond.plugin import parse_options
from damond_kdamond import KdamondVaddr
from damond_kdamond.owner import KDAMONDS
from damond_vaddr.process import Process
from tests.kdamond.fakes import FakeKernel
from tests.kdamond.recording import packed, rows_of

MS = 1_000_000
GOAL = IntervalsGoal(400, 2, 5_000, 100_000)


INTERVALS = f"{KDAMONDS}/0/contexts/0/monitoring_attrs/intervals"


def make(kernel: FakeKernel, cls: type[KdamondVaddr] = KdamondVaddr, **options: Any) -> KdamondVaddr:
    return cls(parse_options(cls.name, cls.Options, options), kernel.root, kernel)


class Clock:
    def wall_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def cpu_us(self) -> int:
        return 0


@dataclass
class Script:
    """Does one thing per wait of the loop, and stops after the last."""

    steps: Iterator[Callable[[], object]]
    waited: list[float] = field(default_factory=list)

    def wait(self, timeout_s: float) -> bool:
        self.waited.append(timeout_s)
        step = next(self.steps, None)
        if step is None:
            return True
        step()
        return False


@dataclass
class Sink:
    snapshots: list[Snapshot] = field(default_factory=list)
    changes: list[tuple[Attrs, Attrs]] = field(default_factory=list)

    def started(self, *_: Any) -> None:
        """Nothing to keep."""

    def aggregated(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)

    def tuned(self, ctx: Context, old: Attrs) -> None:
        self.changes.append((old, ctx.attrs))

    paced = tuned


def run(
    primitive: KdamondVaddr,
    *steps: Callable[[], object],
    pids: tuple[int, ...] = (os.getpid(),),
    goal: IntervalsGoal | None = None,
    **given: int,
) -> tuple[list[Snapshot], str]:
    """Monitor while the steps are taken."""
    sink = Sink()
    ctx = Context(attrs=primitive.attrs(given), targets=[Target(pid) for pid in pids], intervals_goal=goal)
    loop = Kdamond(ctx, primitive, clock=Clock(), stop=Script(iter(steps)), sink=sink)
    reason = loop.run()
    return sink.snapshots, reason


def aggregation(kernel: FakeKernel, sizes: list[int], age: int = 0, target: int = 0) -> Callable[[], None]:
    """Let the kernel emit one aggregation, now."""

    def emit() -> None:
        rows = rows_of(sizes, time.monotonic_ns(), target=target, nr_accesses=7, age=age)
        rows["time_ns"] = rows["time_ns"][0]
        kernel.trace(packed(rows))

    return emit


def ending(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Let processes end that are in the set."""
    gone: set[int] = set()
    monkeypatch.setattr(Process, "ended", lambda self: self.pid in gone)
    return gone


def looped(kernel: FakeKernel, *pids: int) -> tuple[Kdamond, Sink, list[Callable[[], object]]]:
    """Make a loop, and the list of steps that it takes: tests fill it."""
    primitive, sink = make(kernel), Sink()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(pid) for pid in pids or (os.getpid(),)])
    steps: list[Callable[[], object]] = []
    return Kdamond(ctx, primitive, clock=Clock(), stop=Script(iter(steps)), sink=sink), sink, steps
