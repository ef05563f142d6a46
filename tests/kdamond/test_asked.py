"""The primitives while somebody, or a goal, asks for something else."""

import errno
import os
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from damond.core import Attrs, Budget, Context, IntervalsGoal, Kdamond, Target
from damond.errors import (
    SourceUnavailableError,
)
from damond.units import Usec
from damond_kdamond.owner import KDAMONDS
from tests.kdamond.fakes import THREAD, FakeKernel
from tests.kdamond.looping import GOAL, INTERVALS, MS, Clock, Script, Sink, aggregation, ending, looped, make, run
from tests.kdamond.recording import PageWriter, formats


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


def tuned_to(kernel: FakeKernel, sample_us: int) -> None:
    """Let the kernel say that it has tuned its sampling interval."""
    writer = PageWriter()
    writer.data(time.monotonic_ns(), struct.pack("<HBBiQ", formats()[1].id, 0, 0, 1, sample_us))
    kernel.trace(writer.finish())


def test_tuned_by_the_kernel(kernel: FakeKernel) -> None:
    """Snapshots carry the interval that the kernel has tuned itself to, from that very aggregation on."""
    emit = aggregation(kernel, [4096])

    def tuned() -> None:
        tuned_to(kernel, 20_000)
        emit()

    snapshots, _ = run(make(kernel), emit, tuned, emit, goal=GOAL)
    intervals = [(each.sample_us, each.aggr_us, each.max_nr_accesses) for each in snapshots]
    assert intervals == [(5_000, 100_000, 20), (20_000, 400_000, 20), (20_000, 400_000, 20)]


@pytest.mark.parametrize("source", ["tracepoint", "tried_regions"])
def test_a_commit_keeps_what_the_kernel_has_tuned(kernel: FakeKernel, source: str) -> None:
    """A pause, and a tune of anything else, leave intervals as the kernel has tuned them."""
    primitive, sink = make(kernel, source=source), Sink()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getpid())], intervals_goal=GOAL)
    kernel.tuned_us = (20_000, 400_000)
    kernel.tried = [(4096, 8192, 7, 0)]
    emit = aggregation(kernel, [4096]) if source == "tracepoint" else lambda: None
    committed: list[tuple[str, str]] = []

    def tuned() -> None:
        if source == "tracepoint":
            tuned_to(kernel, 20_000)
        emit()
        kernel.on_commit = lambda: committed.append(
            (kernel.has(f"{INTERVALS}/sample_us"), kernel.has(f"{INTERVALS}/aggr_us"))
        )

    def tune(**changed: int) -> Callable[[], None]:
        return lambda: loop.call(lambda: loop.tune(replace(loop.asked, **changed)))  # type: ignore[arg-type]

    steps: list[Callable[[], object]] = [
        *[emit, tuned, emit],
        lambda: loop.call(lambda: loop.pause(paused=True)),
        lambda: loop.call(lambda: loop.pause(paused=False)),
        emit,
        tune(max_nr_regions=500),
        lambda: loop.call(lambda: loop.aim(replace(GOAL, aggrs=7))),
        emit,
        tune(sample_interval=10_000, aggr_interval=200_000),
        *[emit, emit],
    ]
    loop = Kdamond(ctx, primitive, clock=Clock(), stop=Script(iter(steps)), sink=sink)
    assert loop.run() == "requested"
    assert committed == [("20000", "400000")] * 4 + [("10000", "200000")]
    if source == "tracepoint":
        assert [each.sample_us for each in sink.snapshots] == [5_000, *[20_000] * 4, 10_000, 10_000]


def test_a_kernel_that_does_not_say_what_it_has_tuned(kernel: FakeKernel) -> None:
    """It may end this very moment: a pause goes by what was known last, and nothing breaks."""
    primitive, sink = make(kernel, source="tried_regions"), Sink()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getpid())], intervals_goal=GOAL)
    kernel.refuse["update_tuned_intervals"] = errno.EINVAL
    steps = [lambda: loop.call(lambda: loop.pause(paused=True)), lambda: None]
    loop = Kdamond(ctx, primitive, clock=Clock(), stop=Script(iter(steps)), sink=sink)
    assert loop.run() == "requested"
    assert loop.paused


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


def test_a_bound_of_checks_counts_what_the_kernel_samples(kernel: FakeKernel) -> None:
    """It cuts the regions that it shows: by those pieces a context is paced, and by what they are said to be."""
    primitive, sink = make(kernel), Sink()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getpid())], budget=Budget(max_checks_per_s=300))
    emit = aggregation(kernel, [1 << 20] * 10)
    loop = Kdamond(ctx, primitive, clock=Clock(), stop=Script(iter([emit] * 8)), sink=sink)
    loop.run()
    last = sink.snapshots[-1]
    nr_sampled = last.checks / last.max_nr_accesses
    assert nr_sampled >= 2 * last.nr_regions
    assert nr_sampled * 1e6 / ctx.attrs.sample_interval <= 300 * 1.09


def test_somebody_who_looks_is_no_end(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for results has the lock for an aggregation: that the kdamond runs can't be seen then, and it does."""
    loop, sink, steps = looped(kernel)
    emit, read = aggregation(kernel, [4096] * 3), kernel.read

    def busy(relative: str, **given: float) -> str:
        if relative.endswith("/state") and given.get("patience_s") == 0:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return read(relative, **given)

    steps += [emit, lambda: (monkeypatch.setattr(kernel, "read", busy), emit()), emit]
    assert loop.run() == "requested"
    assert len(sink.snapshots) == 3
    assert kernel.nr_kdamonds == 0
