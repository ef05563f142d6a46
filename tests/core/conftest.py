"""A kdamond in virtual time: no clock, no sleep, every call in order."""

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pytest

from damond.core import Attrs, Callback, Context, Kdamond, Primitive, Snapshot, Target
from damond.units import Usec

EPOCH_NS = 1_700_000_000_000_000_000


class VirtualTime:
    """Clock and stop source in one: waiting is what makes time pass; after ``samples`` waits it asks to stop.

    Attributes:
        late_ns: Sample -> time that passes before its wait, as on a machine that is short of CPU.
        asks: Sample -> what somebody asks for while it waits.
        cuts_s: Sample -> when a request of a person ends that wait before its time.
        waits_s: What the loop asked to wait.
    """

    def __init__(self, samples: int, late_ns: dict[int, int] | None = None, cpu_us_per_sample: int = 0) -> None:
        self.samples = samples
        self.late_ns = late_ns or {}
        self.waits_s: list[float] = []
        self.asks: dict[int, Callable[[], None]] = {}
        self.cuts_s: dict[int, float] = {}
        self.now_ns = 0
        self._cpu_us_per_sample = cpu_us_per_sample

    def wall_ns(self) -> int:
        return EPOCH_NS + self.now_ns

    def monotonic_ns(self) -> int:
        # Read by the loop once per sample before it waits; what a late sample costs has passed by then.
        return self.now_ns + self.late_ns.get(len(self.waits_s), 0)

    def cpu_us(self) -> int:
        return len(self.waits_s) * self._cpu_us_per_sample

    def wait(self, timeout_s: float) -> bool:
        timeout_s = self.cuts_s.get(len(self.waits_s), timeout_s)
        self.now_ns = self.monotonic_ns() + round(timeout_s * 1e9)
        self.asks.get(len(self.waits_s), lambda: None)()
        self.waits_s.append(timeout_s)
        return len(self.waits_s) > self.samples


class Recorder(Primitive):
    """Writes down every call; regions are found accessed where ``hits`` says so."""

    name: ClassVar[str] = "recorder"

    def __init__(self, hits: Callable[[Context, Target], Any] | None = None, fail_in: str = "") -> None:
        super().__init__(None)
        self.calls: list[str] = []
        self._hits = hits
        self._fail_in = fail_in

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name == self._fail_in:
            raise OSError(f"broken in {name}")

    def init(self, ctx: Context) -> None:
        self._call("init")

    def update(self, ctx: Context) -> None:
        self._call("update")

    def prepare_access_checks(self, ctx: Context) -> None:
        self._call("prepare")

    def check_accesses(self, ctx: Context) -> int:
        self._call("check")
        highest = 0
        for target in ctx.targets:
            if self._hits is not None:
                target.regions.nr_accesses += np.asarray(self._hits(ctx, target), np.uint32)
            ctx.checks += len(target.regions)
            highest = max(highest, int(target.regions.nr_accesses.max(initial=0)))
        return highest

    def reset_aggregated(self, ctx: Context) -> None:
        self._call("reset")

    def cleanup(self, ctx: Context) -> None:
        self._call("cleanup")


class MortalRecorder(Recorder):
    """The same, of targets that end: it can tell which are still there."""

    def __init__(self, ends: dict[int, int]) -> None:
        super().__init__()
        self._ends = ends

    def target_valid(self, target: Target) -> bool:
        return self.calls.count("check") < self._ends[target.id]


class SociableRecorder(Recorder):
    """The same, whose targets come and go; some are gone already when they are to join.

    Attributes:
        ended: Targets that have ended since.
    """

    def __init__(self, gone: Collection[int] = (), hits: Callable[[Context, Target], Any] | None = None) -> None:
        super().__init__(hits)
        self.ended: set[int] = set()
        self._gone = gone

    def target_valid(self, target: Target) -> bool:
        return target.id not in self.ended

    def init(self, ctx: Context) -> None:
        self.calls.append(f"init {[target.id for target in ctx.targets]}")

    def retarget(self, ctx: Context) -> None:
        self.calls.append(f"retarget {[target.id for target in ctx.targets]}")
        ctx.targets[:] = [target for target in ctx.targets if target.id not in self._gone]


@dataclass
class Run:
    """What came out of one run."""

    ctx: Context
    calls: list[str]
    time: VirtualTime
    reason: str = ""
    snapshots: list[Snapshot] = field(default_factory=list)

    def started(self, ctx: Context, primitive: Primitive) -> None:
        self.calls.append("started")

    def tuned(self, ctx: Context, old: Attrs) -> None:
        self.calls.append(f"tuned {old.sample_interval} -> {ctx.attrs.sample_interval}")

    def paced(self, ctx: Context, old: Attrs) -> None:
        self.calls.append(f"paced {old.sample_interval} -> {ctx.attrs.sample_interval}")

    def aggregated(self, snapshot: Snapshot) -> None:
        self.calls.append("partial" if snapshot.partial else "snapshot")
        self.snapshots.append(snapshot)


ATTRS = Attrs(
    sample_interval=Usec(1_000), aggr_interval=Usec(4_000), primitive_update_interval=Usec(10_000), min_nr_regions=3
)


def make_context(ranges: Sequence[tuple[int, int]] = ((0, 40_960), (40_960, 81_920)), **more: Any) -> Context:
    """Make a context with one target and a seed."""
    target = Target(0)
    target.set_ranges(ranges)
    given: dict[str, Any] = {"attrs": ATTRS, "targets": [target], "rng": np.random.default_rng(1)}
    return Context(**(given | more))


def run_kdamond(
    primitive: Primitive,
    ctx: Context | None = None,
    samples: int = 8,
    tune: dict[int, Attrs] | None = None,
    asks: dict[int, Callable[[Kdamond], None]] | None = None,
    cuts_s: dict[int, float] | None = None,
    **time: Any,
) -> Run:
    """Monitor for so many samples; ask for other attributes, or for anything else, in some."""
    ctx = ctx if ctx is not None else make_context()
    run = Run(ctx, getattr(primitive, "calls", []), VirtualTime(samples, **time))
    kdamond = Kdamond(ctx, primitive, clock=run.time, stop=run.time, sink=run)
    run.time.cuts_s = cuts_s or {}
    run.time.asks = {sample: functools.partial(kdamond.tune, attrs) for sample, attrs in (tune or {}).items()}
    for sample, function in (asks or {}).items():
        run.time.asks[sample] = functools.partial(kdamond.call, functools.partial(function, kdamond))
    run.reason = kdamond.run()
    return run


@pytest.fixture(scope="session")
def monitor() -> Callable[..., Run]:
    """Run a kdamond in virtual time."""
    return run_kdamond


@pytest.fixture(scope="session")
def context() -> Callable[..., Context]:
    """Make a context with one target, 4 samples per aggregation and 10 per update."""
    return make_context


@pytest.fixture(scope="session")
def recorder() -> type[Recorder]:
    """Give the primitive that writes down what is called."""
    return Recorder


@pytest.fixture(scope="session")
def mortal_recorder() -> type[MortalRecorder]:
    """Give the recording primitive of targets that end."""
    return MortalRecorder


@pytest.fixture(scope="session")
def sociable_recorder() -> type[SociableRecorder]:
    """Give the recording primitive whose targets come and go."""
    return SociableRecorder


@pytest.fixture(scope="session")
def recording_callback() -> Callable[..., Callback]:
    """Make callbacks that write into a list of calls, and stop where told."""

    def make(calls: list[str], stop_in: str = "", fail_in: str = "") -> Callback:
        def note(name: str) -> Callable[[Context], bool]:
            def function(_ctx: Context) -> bool:
                calls.append(name)
                if name == fail_in:
                    raise LookupError(f"broken in {name}")
                return name == stop_in

            return function

        names = ("before_start", "after_sampling", "after_aggregation", "before_terminate")
        return Callback(**{name: note(name) for name in names})

    return make
