"""The primitives on a tree of files, with the engine around them."""

import dataclasses
import itertools
import os
import time
from collections.abc import Callable

import numpy as np
import pytest

from damond.core import Attrs, Context, Kdamond, Target
from damond.errors import (
    InvalidOptionError,
    NoSuchProcessError,
    NotRunningError,
    UsageError,
)
from damond.plugin import Registry
from damond_kdamond import KdamondPaddr
from damond_kdamond.owner import KDAMONDS
from tests.kdamond.fakes import THREAD, FakeKernel
from tests.kdamond.looping import MS, Clock, Script, Sink, aggregation, ending, make, run
from tests.kdamond.recording import packed, recording, rows_of


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
