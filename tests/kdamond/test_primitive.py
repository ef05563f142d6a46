"""The primitives on a tree of files, with the engine around them."""

import dataclasses
import errno
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damond.core import Attrs, Budget, Context, IntervalsGoal, Kdamond, Snapshot, Target
from damond.errors import (
    InvalidOptionError,
    NoSuchProcessError,
    NotRunningError,
    SourceUnavailableError,
    UsageError,
)
from damond.plugin import Registry, parse_options
from damond.units import Usec
from damond_kdamond import KdamondPaddr, KdamondVaddr
from damond_kdamond.owner import KDAMONDS
from damond_vaddr.process import Process
from tests.kdamond.fakes import THREAD, FakeKernel
from tests.kdamond.recording import PageWriter, formats, packed, recording, rows_of

MS = 1_000_000
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


def test_offered() -> None:
    """Both primitives are found like anybody's, and only the one for processes may be chosen by itself."""
    registry = Registry()
    assert registry.primitive("kdamond").process_targets
    assert not registry.primitive("kdamond_paddr").process_targets
    assert registry.auto()[0] is registry.primitive("kdamond")
    assert registry.primitive("kdamond_paddr") not in registry.auto()


def test_snapshots(kernel: FakeKernel) -> None:
    """What the kernel aggregates comes out as it is: regions, accesses, ages; the engine changes nothing."""
    sizes = [4096, 1 << 20, 8192]
    snapshots, reason = run(make(kernel), aggregation(kernel, sizes, 3), aggregation(kernel, sizes, 4))
    assert reason == "requested"
    assert len(snapshots) == 2
    (target,) = snapshots[1].targets
    assert (target.id, target.pid) == (os.getpid(), os.getpid())
    assert target.size.tolist() == sizes
    assert target.start[0] == 0x10000
    assert target.nr_accesses.tolist() == [7, 7, 7]
    assert target.age.tolist() == [4, 4, 4]
    assert snapshots[1].max_nr_accesses == 20
    assert snapshots[1].granularity == 4096
    assert snapshots[1].primitive == "kdamond"
    assert kernel.nr_kdamonds == 0


def test_windows_follow_each_other(kernel: FakeKernel) -> None:
    """A window ends when the kernel says so, in Unix time, and the next begins there."""
    before = time.time_ns()
    snapshots, _ = run(make(kernel), *[aggregation(kernel, [4096])] * 3)
    after = time.time_ns()
    assert [abs(a.end_ns - b.start_ns) < MS for a, b in itertools.pairwise(snapshots)] == [True, True]
    assert before - MS < snapshots[0].start_ns < snapshots[0].end_ns < snapshots[2].end_ns < after + MS


def test_checks_are_those_of_the_split_regions(kernel: FakeKernel) -> None:
    """Checks are samples times the regions that the kernel had cut the result before into."""
    snapshots, _ = run(make(kernel), *[aggregation(kernel, [1 << 20] * 30)] * 3)
    assert [each.checks for each in snapshots] == [20 * 10, 20 * 60, 20 * 90]


def test_cpu_time_of_the_kernel_counts(kernel: FakeKernel) -> None:
    """CPU time in a snapshot is that of the kdamond's thread too."""
    emit = aggregation(kernel, [4096])

    def use(microseconds: int) -> Callable[[], None]:
        def step() -> None:
            kernel.text(f"proc/{THREAD}/schedstat", f"{microseconds * 1000} 0 0")
            emit()

        return step

    snapshots, _ = run(make(kernel), use(100), use(350))
    assert [each.cpu_us for each in snapshots] == [100, 250]


def test_several_targets(kernel: FakeKernel) -> None:
    """Regions belong to the target whose number they carry."""
    kernel.process(os.getppid())
    first, second = aggregation(kernel, [4096] * 2), aggregation(kernel, [4096] * 5, target=1)
    pids = (os.getpid(), os.getppid())
    snapshots, _ = run(make(kernel), lambda: (first(), second()), pids=pids)
    assert [(target.id, len(target.start)) for target in snapshots[0].targets] == [(pids[0], 2), (pids[1], 5)]


def ending(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Let processes end that are in the set."""
    gone: set[int] = set()
    monkeypatch.setattr(Process, "ended", lambda self: self.pid in gone)
    return gone


def test_target_gone(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process ends the context does, after the last result has been delivered."""
    gone = ending(monkeypatch)
    emit = aggregation(kernel, [4096])

    def end() -> None:
        emit()
        gone.add(os.getpid())
        kernel.ends_by_itself()

    snapshots, reason = run(make(kernel), emit, end, emit)
    assert reason == "target_gone"
    assert len(snapshots) == 2
    assert kernel.nr_kdamonds == 0


def test_one_of_two_targets_gone(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has ended loses its regions after its last result; the other goes on."""
    kernel.process(os.getppid())
    gone = ending(monkeypatch)
    both = (aggregation(kernel, [4096] * 2), aggregation(kernel, [4096] * 5, target=1))

    def emit() -> None:
        for each in both:
            each()

    def end() -> None:
        emit()
        gone.add(os.getpid())

    snapshots, reason = run(make(kernel), end, emit, pids=(os.getpid(), os.getppid()))
    assert reason == "requested"
    assert [[len(target.start) for target in each.targets] for each in snapshots] == [[2, 5], [0, 5]]


def test_switched_off_by_somebody(kernel: FakeKernel) -> None:
    """If the kdamond stops while its process lives, the context fails and says so; results so far came out."""
    emit = aggregation(kernel, [4096])
    with pytest.raises(NotRunningError, match="nothing that damond did stopped it"):
        run(make(kernel), lambda: (emit(), kernel.ends_by_itself()))
    assert kernel.nr_kdamonds == 0
    assert kernel.instances == []


def test_tune(kernel: FakeKernel) -> None:
    """Other attributes are committed; what was aggregated before them is shown with the old ones."""
    primitive = make(kernel)
    sink = Sink()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getpid())])
    emit = aggregation(kernel, [4096])
    new = Attrs(sample_interval=Usec(20_000), aggr_interval=Usec(200_000), max_nr_regions=50)
    steps = [lambda: (emit(), loop.tune(new)), emit]
    script = Script(iter(steps))
    loop = Kdamond(ctx, primitive, clock=Clock(), stop=script, sink=sink)
    loop.run()
    assert [(each.sample_us, each.max_nr_accesses) for each in sink.snapshots] == [(5_000, 20), (20_000, 10)]
    assert sink.changes == [(primitive.attrs({}), new)]
    assert kernel.commands == ["on", "commit", "off"]
    assert script.waited == [0.05, 0.1, 0.1]


def looped(kernel: FakeKernel, *pids: int) -> tuple[Kdamond, Sink, list[Callable[[], object]]]:
    """Make a loop, and the list of steps that it takes: tests fill it."""
    primitive, sink = make(kernel), Sink()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(pid) for pid in pids or (os.getpid(),)])
    steps: list[Callable[[], object]] = []
    return Kdamond(ctx, primitive, clock=Clock(), stop=Script(iter(steps)), sink=sink), sink, steps


def test_tune_after_a_target_has_ended(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one of two processes gone and reaped, a commit passes: a kernel thread, without memory, takes its place."""
    kernel.process(os.getppid())
    gone = ending(monkeypatch)
    loop, sink, steps = looped(kernel, os.getppid(), os.getpid())
    both = (aggregation(kernel, [4096] * 2), aggregation(kernel, [4096] * 5, target=1))
    new = Attrs(sample_interval=Usec(20_000), aggr_interval=Usec(200_000))
    pids: list[str] = []

    def end() -> None:
        for emit in both:
            emit()
        gone.add(os.getppid())
        kernel.reap(os.getppid())
        loop.tune(new)
        pids.extend(kernel.has(f"{KDAMONDS}/0/contexts/0/targets/{number}/pid_target") for number in (0, 1))

    steps += [end, lambda: [emit() for emit in both]]
    loop.run()
    assert pids == ["2", str(os.getpid())]
    assert [[len(target.start) for target in each.targets] for each in sink.snapshots] == [[2, 5], [0, 5]]
    assert [each.sample_us for each in sink.snapshots] == [5_000, 20_000]


@pytest.mark.parametrize("lack", [[], ["pause"]], ids=["kernel with pause", "kernel without"])
def test_pause(kernel: FakeKernel, tmp_path_factory: pytest.TempPathFactory, lack: list[str]) -> None:
    """A kernel that can pause does; another one is stopped and started anew. The pause itself is in no window."""
    kernel = FakeKernel(tmp_path_factory.mktemp("pausing"), missing=lack)
    loop, sink, steps = looped(kernel)
    emit = aggregation(kernel, [4096] * 3)
    resumed, states = [], []

    def resume() -> None:
        loop.tune(Attrs(max_nr_regions=500))
        resumed.append(time.time_ns())
        loop.pause(paused=False)
        resumed.append(time.time_ns())

    steps += [
        emit,
        lambda: (emit(), loop.call(lambda: loop.pause(paused=True))),
        lambda: states.append(kernel.has(f"{KDAMONDS}/0/state")),
        lambda: loop.call(resume),
        emit,
        emit,
    ]
    assert loop.run() == "requested"
    assert states == ["off" if lack else "on"]
    assert kernel.commands == (["on", "off", "on", "off"] if lack else ["on", "commit", "commit", "commit", "off"])
    assert sink.snapshots[-1].max_nr_regions == 500
    assert resumed[0] - MS < sink.snapshots[-2].start_ns < resumed[1] + MS
    assert len(sink.snapshots) == 4
    assert kernel.nr_kdamonds == 0


def test_an_aggregation_that_ends_before_the_kernel_answers(kernel: FakeKernel) -> None:
    """The pause is in no window, however late the kernel says that it goes on."""
    loop, sink, steps = looped(kernel)
    emit = aggregation(kernel, [4096] * 3)
    asked_ns: list[int] = []

    def resume() -> None:
        asked_ns.append(time.time_ns())
        kernel.on_commit = emit
        loop.pause(paused=False)

    def rest() -> None:
        time.sleep(5 * MS / 1e9)  # so long is the pause, at least

    steps += [emit, lambda: loop.call(lambda: loop.pause(paused=True)), rest, lambda: loop.call(resume), emit]
    assert loop.run() == "requested"
    first, early, late = sink.snapshots[-3:]
    assert first.end_ns < asked_ns[0] - MS < early.start_ns <= early.end_ns
    assert late.start_ns == pytest.approx(early.end_ns, abs=MS)


def test_target_that_ends_in_a_pause(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the context rests, the end of its only process is the end of the context, too."""
    gone = ending(monkeypatch)
    loop, _, steps = looped(kernel)
    steps += [
        lambda: loop.call(lambda: loop.pause(paused=True)),
        lambda: gone.add(os.getpid()),
        lambda: None,
        lambda: None,
    ]
    assert loop.run() == "target_gone"
    assert kernel.nr_kdamonds == 0


def test_pause_that_is_refused(kernel: FakeKernel) -> None:
    """If the kernel refuses, the context goes on, and whoever asked is told."""
    loop, sink, steps = looped(kernel)
    kernel.refuse["commit"] = errno.EINVAL

    def pause() -> None:
        with pytest.raises(SourceUnavailableError, match="refuses to pause"):
            loop.pause(paused=True)

    steps += [lambda: loop.call(pause), aggregation(kernel, [4096])]
    assert loop.run() == "requested"
    assert not loop.paused
    assert len(sink.snapshots) == 1


def test_cpu_time_over_a_pause(tmp_path: Path) -> None:
    """Where a pause takes another thread, the CPU time of both counts."""
    kernel = FakeKernel(tmp_path, missing=["pause"])
    loop, _, steps = looped(kernel)
    used: list[int] = []

    def spend(microseconds: int) -> None:
        kernel.text(f"proc/{THREAD}/schedstat", f"{microseconds * 1000} 0 0")

    def pause() -> None:
        spend(300)
        loop.pause(paused=True)
        spend(0)

    def look() -> None:
        spend(50)
        used.append(loop._primitive.cpu_us())

    steps += [lambda: loop.call(pause), lambda: loop.call(lambda: loop.pause(paused=False)), look]
    loop.run()
    assert used == [350]


GOAL = IntervalsGoal(400, 2, 5_000, 100_000)


def test_tuned_by_the_kernel(kernel: FakeKernel) -> None:
    """Snapshots carry the interval that the kernel has tuned itself to, from that very aggregation on."""
    emit = aggregation(kernel, [4096])

    def tuned() -> None:
        import struct  # noqa: PLC0415

        writer = PageWriter()
        writer.data(time.monotonic_ns(), struct.pack("<HBBiQ", formats()[1].id, 0, 0, 1, 20_000))
        kernel.trace(writer.finish())
        emit()

    snapshots, _ = run(make(kernel), emit, tuned, emit, goal=GOAL)
    intervals = [(each.sample_us, each.aggr_us, each.max_nr_accesses) for each in snapshots]
    assert intervals == [(5_000, 100_000, 20), (20_000, 400_000, 20), (20_000, 400_000, 20)]


def test_tuned_without_a_tracepoint(kernel: FakeKernel) -> None:
    """Where nothing tells about tuning, the kernel is asked as often as it tunes."""
    kernel.tried = [(0, 4096, 1, 2)]
    kernel.tuned_us = (8_000, 160_000)
    steps = [lambda: None] * 4
    snapshots, _ = run(make(kernel, source="tried_regions"), *steps, goal=GOAL)
    assert [each.sample_us for each in snapshots] == [5_000, 5_000, 8_000, 8_000]
    assert kernel.commands.count("update_tuned_intervals") == 2


def test_start_within_the_goal(kernel: FakeKernel) -> None:
    """Tuning begins within the bounds of the goal: the kernel would refuse anything else."""
    snapshots, _ = run(make(kernel), aggregation(kernel, [4096]), goal=IntervalsGoal(min_sample_us=8_000))
    assert [(each.sample_us, each.aggr_us) for each in snapshots] == [(8_000, 160_000)]


def test_tuned_by_the_loop(tmp_path: Path) -> None:
    """A kernel before 6.15 can't tune: the loop does it, and commits what it comes to."""
    kernel = FakeKernel(tmp_path, missing=["intervals_goal"])
    emit = aggregation(kernel, [4096, 4096])
    snapshots, _ = run(make(kernel), emit, emit, emit, emit, goal=GOAL)
    # 7 of 20 samples is far above 4 %, so intervals stay at the least; with a goal of 100 % they are lengthened.
    assert {each.sample_us for each in snapshots} == {5_000}
    kernel = FakeKernel(tmp_path / "other", missing=["intervals_goal"])
    emit = aggregation(kernel, [4096, 4096])
    snapshots, _ = run(make(kernel), emit, emit, emit, emit, goal=IntervalsGoal(10_000, 2))
    assert [each.sample_us for each in snapshots[:3]] == [5_000, 5_000, 8_250]
    assert "commit" in kernel.commands


def test_goal_after_a_process_has_ended(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another goal can be given to the kernel although one of the processes is gone, which it would refuse."""
    gone = ending(monkeypatch)
    kernel.process(os.getppid())
    primitive, sink = make(kernel), Sink()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getppid()), Target(os.getpid())], intervals_goal=GOAL)
    emit = aggregation(kernel, [4096], target=1)

    def end() -> None:
        gone.add(os.getppid())
        kernel.reap(os.getppid())
        loop.aim(IntervalsGoal(aggrs=7))
        emit()

    loop = Kdamond(ctx, primitive, clock=Clock(), stop=Script(iter([emit, end])), sink=sink)
    loop.run()
    assert ctx.intervals_goal == IntervalsGoal(aggrs=7)
    assert len(sink.snapshots) == 2


def test_pace_that_the_kernel_refuses(kernel: FakeKernel, caplog: pytest.LogCaptureFixture) -> None:
    """What a budget asks for may be refused for now (a process ends this very moment): the context goes on."""
    primitive, sink = make(kernel), Sink()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getpid())], intervals_goal=GOAL)
    emit = aggregation(kernel, [4096])

    def refuse() -> None:
        kernel.refuse["commit"] = errno.EINVAL
        loop.ctx.budget = Budget(max_checks_per_s=1)
        emit()

    loop = Kdamond(ctx, primitive, clock=Clock(), stop=Script(iter([emit, refuse, emit])), sink=sink)
    with caplog.at_level("INFO"):
        assert loop.run() == "requested"
    assert "the pace stays for now" in caplog.text
    assert len(sink.snapshots) == 3


def test_what_has_been_aggregated_is_delivered_before_the_end(kernel: FakeKernel) -> None:
    """An aggregation that ends just before a stop is one of the results."""
    primitive, sink = make(kernel), Sink()
    emit = aggregation(kernel, [4096])

    class EndsLate(Script):
        def wait(self, timeout_s: float) -> bool:
            emit()
            return super().wait(timeout_s)

    ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getpid())])
    loop = Kdamond(ctx, primitive, clock=Clock(), stop=EndsLate(iter([lambda: None])), sink=sink)
    assert loop.run() == "requested"
    assert len(sink.snapshots) == 2


def test_goal_changes(kernel: FakeKernel) -> None:
    """A goal is set, changed and lifted while the kdamond runs."""
    ctx, sink = Context(attrs=make(kernel).attrs({}), targets=[Target(os.getpid())]), Sink()
    primitive, emit = make(kernel), aggregation(kernel, [4096])
    directory = "sys/kernel/mm/damon/admin/kdamonds/0/contexts/0/monitoring_attrs/intervals/intervals_goal"
    seen: list[tuple[str, bool]] = []

    def aim(goal: IntervalsGoal | None) -> Callable[[], None]:
        def step() -> None:
            loop.aim(goal)
            seen.append((kernel.root.read_word(f"{directory}/aggrs"), primitive.tunes_intervals))
            emit()

        return step

    script = Script(iter([emit, aim(GOAL), aim(IntervalsGoal(aggrs=7)), aim(None)]))
    loop = Kdamond(ctx, primitive, clock=Clock(), stop=script, sink=sink)
    loop.run()
    assert seen == [("2", True), ("7", True), ("0", False)]
    assert kernel.commands.count("commit") == 3


def test_tried_regions(kernel: FakeKernel) -> None:
    """Without the tracepoint the same comes from tried_regions, sorted by address, one per aggregation."""
    kernel.tried = [(number * 4096, (number + 1) * 4096, number, 2 * number) for number in range(12)]
    snapshots, reason = run(make(kernel, source="tried_regions"), lambda: None, lambda: None)
    (target,) = snapshots[0].targets
    assert target.start.tolist() == [number * 4096 for number in range(12)]
    assert target.nr_accesses.tolist() == list(range(12))
    assert target.age.tolist() == [2 * number for number in range(12)]
    assert len(snapshots) == 2
    assert reason == "requested"


def test_tried_regions_of_a_target_that_ends(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the kdamond ends while it is asked, that is the end of the target and no error."""
    gone = ending(monkeypatch)

    def end() -> None:
        gone.add(os.getpid())
        kernel.ends_by_itself()

    assert run(make(kernel, source="tried_regions"), end, lambda: None) == ([], "target_gone")


def test_tried_regions_without_any(kernel: FakeKernel) -> None:
    """An answer without regions is no aggregation."""
    assert run(make(kernel, source="tried_regions"), lambda: None)[0] == []


def test_tried_regions_fail(kernel: FakeKernel) -> None:
    """An error of a kdamond that runs is not taken for its end."""
    kernel.refuse["update_schemes_tried_regions"] = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        run(make(kernel, source="tried_regions"), lambda: None)
    assert kernel.nr_kdamonds == 0


def test_tried_regions_that_vanish(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions that are cleared while they are read are no aggregation: the kdamond has just gone."""
    kernel.tried = [(0, 4096, 0, 0), (4096, 8192, 0, 0)]
    shown = kernel._show_tried

    def show(directory: str) -> None:
        shown(directory)
        (kernel.base / directory / "1/age").unlink()

    monkeypatch.setattr(kernel, "_show_tried", show)
    assert run(make(kernel, source="tried_regions"), lambda: None)[0] == []


def test_lost_events(kernel: FakeKernel, caplog: pytest.LogCaptureFixture) -> None:
    """After a gap a window is no longer than an aggregation, and the log tells of the gap."""
    emit = aggregation(kernel, [4096])

    def with_gap() -> None:
        rows = rows_of([4096] * 3, time.monotonic_ns() - 3)
        kernel.trace(packed(rows, missed=True))

    snapshots, _ = run(make(kernel), emit, with_gap, lambda: None)
    assert len(snapshots) == 2
    assert snapshots[1].end_ns - snapshots[1].start_ns == 100 * MS
    assert "aggregations are missing" in caplog.text


def test_recorded_run(kernel: FakeKernel) -> None:
    """The recording of a real kernel comes out as windows of 100 ms with rising ages."""
    pages = recording("linux-7.2").pages
    shift = time.monotonic_ns() - int.from_bytes(pages[-1][:8], "little") - 10**10
    moved = [(int.from_bytes(page[:8], "little") + shift).to_bytes(8, "little") + page[8:] for page in pages]
    snapshots, _ = run(make(kernel), lambda: kernel.trace(moved))
    assert len(snapshots) >= 14
    assert all(90 * MS < each.end_ns - each.start_ns < 150 * MS for each in snapshots[1:])
    assert max(int(each.targets[0].age.max()) for each in snapshots) >= 10
    assert all(int(each.targets[0].nr_accesses.max()) <= each.max_nr_accesses for each in snapshots)


def test_fvaddr(kernel: FakeKernel) -> None:
    """The ranges of fvaddr go to the kernel; without any it is refused before anything is made."""
    seen = []
    primitive = make(kernel, ops="fvaddr", ranges=["0x10000-0x30000"])
    run(primitive, lambda: seen.append(kernel.has(f"{KDAMONDS}/0/contexts/0/targets/0/regions/0/end")))
    assert seen == [str(0x30000)]
    with pytest.raises(InvalidOptionError, match="fvaddr needs ranges"):
        run(make(kernel, ops="fvaddr"))
    assert kernel.nr_kdamonds == 0


def test_paddr(kernel: FakeKernel) -> None:
    """kdamond_paddr monitors all System RAM as one target without a pid, and never ends by itself."""
    kernel.text("proc/iomem", "00001000-0009ffff : System RAM\n00100000-07ffffff : System RAM\n")
    seen = []
    target = f"{KDAMONDS}/0/contexts/0/targets/0"

    def look() -> None:
        seen.append((kernel.has(f"{KDAMONDS}/0/contexts/0/operations"), kernel.has(f"{target}/regions/1/end")))
        aggregation(kernel, [4096] * 4)()

    snapshots, reason = run(make(kernel, KdamondPaddr), look, lambda: None, pids=())
    assert seen == [("paddr", str(0x8000000))]
    assert reason == "requested"
    assert [(each.id, each.pid, len(each.start)) for each in snapshots[0].targets] == [(0, None, 4)]
    assert snapshots[0].update_us == 60_000_000


def test_paddr_switched_off_by_somebody(kernel: FakeKernel) -> None:
    """Physical memory does not end: if the kdamond does, somebody else did it."""
    kernel.text("proc/iomem", "00001000-0009ffff : System RAM\n")
    with pytest.raises(NotRunningError):
        run(make(kernel, KdamondPaddr), kernel.ends_by_itself, pids=())


def test_paddr_has_one_target(kernel: FakeKernel) -> None:
    """Targets of kdamond_paddr other than 0 are refused."""
    with pytest.raises(UsageError, match="one target, of id 0; not 7"):
        run(make(kernel, KdamondPaddr), pids=(7,))


@pytest.mark.parametrize(
    ("pids", "error"),
    [pytest.param((), UsageError, id="none"), pytest.param((4_000_000,), NoSuchProcessError, id="no such process")],
)
def test_targets_are_needed(kernel: FakeKernel, pids: tuple[int, ...], error: type[Exception]) -> None:
    """Processes must be named, and be there; nothing is made before that is sure."""
    with pytest.raises(error):
        run(make(kernel), pids=pids)
    assert kernel.nr_kdamonds == 0


def test_given_regions(kernel: FakeKernel) -> None:
    """Regions that the user gave go to the kernel as initial ones."""
    primitive = make(kernel)
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getpid())])
    ctx.targets[0].set_ranges([(4096, 8192), (16384, 32768)])
    primitive.init(ctx)
    assert kernel.has(f"{KDAMONDS}/0/contexts/0/targets/0/regions/1/start") == "16384"
    primitive.cleanup(ctx)
    assert kernel.nr_kdamonds == 0


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        pytest.param({}, (5_000, 100_000, 1_000_000), id="nothing given"),
        pytest.param({"sample_interval": 50_000}, (50_000, 500_000, 1_000_000), id="slow samples"),
        pytest.param({"sample_interval": 1_000}, (1_000, 100_000, 1_000_000), id="fast samples"),
        pytest.param({"primitive_update_interval": 7}, (5_000, 100_000, 7), id="updates"),
    ],
)
def test_attrs(kernel: FakeKernel, given: dict[str, int], wanted: tuple[int, int, int]) -> None:
    """Intervals that are not given fit those that are; mappings are looked at every second."""
    attrs = make(kernel).attrs(given)
    assert (attrs.sample_interval, attrs.aggr_interval, attrs.primitive_update_interval) == wanted


def test_what_the_kernel_took(kernel: FakeKernel) -> None:
    """The attributes of the context are those that were read back from sysfs."""
    primitive = make(kernel)
    ctx = Context(attrs=Attrs(max_nr_regions=77), targets=[Target(os.getpid())])
    primitive.init(ctx)
    primitive.cleanup(ctx)
    assert ctx.attrs == dataclasses.replace(Attrs(), max_nr_regions=77)


def test_cleanup_without_init(kernel: FakeKernel) -> None:
    """Cleaning up what was never started does nothing."""
    primitive = make(kernel)
    primitive.cleanup(Context())
    primitive.cleanup(Context())
    assert primitive.cpu_us() == 0
    with pytest.raises(RuntimeError, match="init"):
        next(primitive.collect(Context()))


def test_regions_are_their_own(kernel: FakeKernel) -> None:
    """Snapshots keep what they showed, whatever comes later."""
    snapshots, _ = run(make(kernel), aggregation(kernel, [4096]), aggregation(kernel, [8192, 4096]))
    assert snapshots[0].targets[0].size.tolist() == [4096]
    assert snapshots[0].targets[0].start.dtype == np.uint64
    assert snapshots[0].targets[0].nr_accesses.dtype == np.uint32


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO, "damond_kdamond")
