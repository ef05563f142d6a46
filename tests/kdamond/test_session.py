"""A kdamond of ours, from start to end: what is written, and that nothing stays."""

import errno
import logging
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from damond.core import AddrRange, Attrs, IntervalsGoal
from damond.errors import DamondError, InvalidAttrsError, KdamondRunningError, SourceUnavailableError, UsageError
from damond.units import Usec
from damond_kdamond.admin import Admin
from damond_kdamond.owner import KDAMONDS, Owner
from damond_kdamond.session import Session, Setup
from damond_kdamond.trace import AGGREGATED, INSTANCES
from tests.kdamond.fakes import THREAD, FakeKernel
from tests.kdamond.test_owner import DEAD

CONTEXT = f"{KDAMONDS}/0/contexts/0"
ATTRS = Attrs(
    sample_interval=Usec(10_000),
    aggr_interval=Usec(200_000),
    primitive_update_interval=Usec(3_000_000),
    min_nr_regions=20,
    max_nr_regions=500,
)


def setup(
    *,
    operations: str = "vaddr",
    nr_targets: int = 1,
    ranges: tuple[AddrRange, ...] = (),
    goal: IntervalsGoal | None = None,
    source: str = "auto",
) -> Setup:
    targets = [(os.getpid() + number, ranges) for number in range(nr_targets)]
    return Setup(operations=operations, targets=targets, attrs=ATTRS, goal=goal, source=source)


@contextmanager
def as_it_was(kernel: FakeKernel) -> Iterator[None]:
    """Check that neither a kdamond nor a trace instance is left."""
    yield
    assert kernel.nr_kdamonds == 0
    assert not (kernel.base / INSTANCES).exists() or kernel.instances == []
    assert not (kernel.base / KDAMONDS / "0").exists()


def test_what_is_written(kernel: FakeKernel) -> None:
    """Operations, targets and attributes are in sysfs, the tracepoint is on, and the kdamond runs."""
    with (
        as_it_was(kernel),
        closing(Session(kernel, setup(operations="fvaddr", ranges=(AddrRange(4096, 8192),)))) as session,
    ):
        assert kernel.has(f"{CONTEXT}/operations") == "fvaddr"
        assert kernel.has(f"{CONTEXT}/targets/0/pid_target") == str(os.getpid())
        assert kernel.has(f"{CONTEXT}/targets/0/regions/0/start") == "4096"
        assert kernel.has(f"{CONTEXT}/targets/0/regions/0/end") == "8192"
        assert kernel.has(f"{CONTEXT}/monitoring_attrs/intervals/update_us") == "3000000"
        assert kernel.has(f"{CONTEXT}/schemes/0/access_pattern/sz/max") == "0", "the scheme does nothing"
        assert session.attrs() == ATTRS
        assert session.running()
        instance = f"{INSTANCES}/{kernel.myself().instance}"
        assert kernel.has(f"{instance}/trace_clock") == "mono"
        assert kernel.has(f"{instance}/events/damon/damon_aggregated/enable") == "1"
        assert kernel.has(f"{instance}/events/damon/damon_monitor_intervals_tune/enable") == "0"
        assert kernel.has(f"{instance}/buffer_size_kb") == str(4 * 500 * 52 // 1024)
        assert kernel.commands == ["on"]


def test_goal(kernel: FakeKernel) -> None:
    """A goal is passed on, and the tracepoint that tells about tuning is switched on."""
    goal = IntervalsGoal(access_bp=300, aggrs=2, min_sample_us=1_000, max_sample_us=50_000)
    with as_it_was(kernel), closing(Session(kernel, setup(goal=goal))) as session:
        directory = f"{CONTEXT}/monitoring_attrs/intervals/intervals_goal"
        names = ("access_bp", "aggrs", "min_sample_us", "max_sample_us")
        assert [kernel.has(f"{directory}/{name}") for name in names] == ["300", "2", "1000", "50000"]
        assert session.source.sees_tuning
        instance = f"{INSTANCES}/{kernel.myself().instance}"
        assert kernel.has(f"{instance}/events/damon/damon_monitor_intervals_tune/enable") == "1"


def test_tried_regions(kernel: FakeKernel) -> None:
    """Without the tracepoint the scheme covers everything, and does no more than to count."""
    with as_it_was(kernel), closing(Session(kernel, setup(source="tried_regions"))) as session:
        pattern = f"{CONTEXT}/schemes/0/access_pattern"
        assert kernel.has(f"{CONTEXT}/schemes/0/action") == "stat"
        assert kernel.has(f"{pattern}/sz/max") == str(2**64 - 1)
        assert kernel.has(f"{pattern}/nr_accesses/max") == str(2**32 - 1)
        assert kernel.instances == []
        assert not session.source.sees_tuning


REFUSALS = [
    pytest.param({"missing": ["tried_regions"]}, {"source": "tried_regions"}, "tried_regions", id="no tried_regions"),
    pytest.param({}, {"source": "tried_regions", "nr_targets": 2}, "which of 2 targets", id="two targets"),
    pytest.param({"tracefs": False}, {"source": "tracepoint"}, "no tracefs", id="no tracefs"),
    pytest.param({}, {"operations": "xaddr"}, "no operations xaddr, only vaddr, fvaddr, paddr", id="operations"),
]


@pytest.mark.parametrize(("lack", "given", "message"), REFUSALS)
def test_what_can_not_be_is_refused(
    kernel: FakeKernel, tmp_path_factory: pytest.TempPathFactory, lack: dict, given: dict, message: str
) -> None:
    """What a kernel can't do is said, and leaves nothing behind."""
    poor = FakeKernel(tmp_path_factory.mktemp("poor"), **lack)
    with as_it_was(poor), pytest.raises((SourceUnavailableError, UsageError), match=message):
        Session(poor, setup(**given))


def test_falls_back(tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture) -> None:
    """Without tracefs, tried_regions is used; the log says so."""
    poor = FakeKernel(tmp_path_factory.mktemp("poor"), tracefs=False)
    with as_it_was(poor), closing(Session(poor, setup())):
        assert "tried_regions, which is slow" in caplog.text


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOMEM])
def test_start_refused(kernel: FakeKernel, number: int) -> None:
    """If the kernel refuses to start, it is said, and everything is as it was."""
    kernel.refuse["on"] = number
    with as_it_was(kernel), pytest.raises(SourceUnavailableError, match=os.strerror(number)):
        Session(kernel, setup())


def test_busy(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """If DAMON_STAT came in between, EBUSY names it."""
    kernel.refuse["on"] = errno.EBUSY
    real = kernel.write

    def write(relative: str, value: object, **more: float) -> None:
        if value == "on":
            kernel.text("sys/module/damon_stat/parameters/enabled", "Y")
        real(relative, value, **more)

    monkeypatch.setattr(kernel, "write", write)
    with as_it_was(kernel), pytest.raises(KdamondRunningError, match="the module damon_stat") as caught:
        Session(kernel, setup())
    assert "damond in process" not in str(caught.value)


@pytest.mark.parametrize("state", ["on", "off"])
def test_somebody_elses_is_not_touched(kernel: FakeKernel, state: str) -> None:
    """Where somebody else has a kdamond nothing is written at all."""
    kernel.somebody_elses(state=state)
    kernel.commands.clear()
    before = {each: each.stat().st_mtime_ns for each in (kernel.base / "sys").rglob("*")}
    with pytest.raises(KdamondRunningError):
        Session(kernel, setup())
    assert kernel.commands == []
    assert {each: each.stat().st_mtime_ns for each in (kernel.base / "sys").rglob("*")} == before


def test_one_at_a_time(kernel: FakeKernel) -> None:
    """A second session is refused and changes nothing for the first; afterwards one can start again."""
    with as_it_was(kernel), closing(Session(kernel, setup())) as first:
        with pytest.raises(KdamondRunningError, match=f"a context of damond in process {os.getpid()}"):
            Session(kernel, setup())
        assert first.running()
        assert len(kernel.instances) == 1
    with as_it_was(kernel), closing(Session(kernel, setup())) as next_one:
        assert next_one.running()


def crashed(kernel: FakeKernel, *, on: bool) -> Owner:
    """Leave what a worker leaves that is killed."""
    owner = Owner(DEAD, 5, kernel.myself().pid_ns)
    admin = Admin(kernel, owner)
    admin.create("vaddr")
    kernel.mkdir(f"{INSTANCES}/{owner.instance}")
    if on:
        admin.switch_on()
    return owner


@pytest.mark.parametrize("on", [False, True], ids=["before the start", "while it ran"])
def test_leftovers_are_removed(kernel: FakeKernel, caplog: pytest.LogCaptureFixture, on: bool) -> None:
    """What a dead damond left behind is removed at the next start, which then succeeds."""
    crashed(kernel, on=on)
    with as_it_was(kernel), closing(Session(kernel, setup())):
        assert kernel.instances == [kernel.myself().instance]
    assert f"process {DEAD}" in caplog.text


def test_only_leftovers_are_removed(kernel: FakeKernel) -> None:
    """Trace instances of others, and of a damond that lives, stay; so does a kdamond made after the crash."""
    crashed(kernel, on=False)
    kernel.process(50, starttime=5)
    living = Owner(50, 5, kernel.myself().pid_ns).instance
    for name in (living, "damond-web", "somebody"):
        kernel.mkdir(f"{INSTANCES}/{name}")
    kernel.somebody_elses()
    with pytest.raises(KdamondRunningError):
        Session(kernel, setup())
    assert kernel.nr_kdamonds == 1
    assert kernel.instances == sorted([living, "damond-web", "somebody"])


def test_replaced_kdamond_stays(kernel: FakeKernel, caplog: pytest.LogCaptureFixture) -> None:
    """If somebody has replaced the kdamond while we ran, it is not ours to stop."""
    session = Session(kernel, setup())
    kernel.ends_by_itself()
    (kernel.base / KDAMONDS / "0").rename(kernel.base / "old")  # keeps its inode number from being given again
    kernel.somebody_elses(state="on")
    assert not session.running()
    session.close()
    assert kernel.nr_kdamonds == 1
    assert kernel.has(f"{KDAMONDS}/0/state") == "on"
    assert kernel.instances == []
    assert "not the one that damond made" in caplog.text


def test_removed_kdamond(kernel: FakeKernel) -> None:
    """If somebody has removed the kdamond, there is nothing left to do."""
    session = Session(kernel, setup())
    kernel.ends_by_itself()
    kernel.write(f"{KDAMONDS}/nr_kdamonds", 0)
    assert not session.running()
    with as_it_was(kernel):
        session.close()


def test_ended_by_itself(kernel: FakeKernel) -> None:
    """A kdamond that has ended with its target is removed without a word about switching off."""
    with as_it_was(kernel):
        session = Session(kernel, setup())
        kernel.ends_by_itself()
        assert not session.running()
        session.close()
    assert kernel.commands == ["on"]


def test_ends_while_it_is_switched_off(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel answers EPERM if the kdamond ended just before "off": that is no failure."""
    session = Session(kernel, setup())
    real = kernel.write

    def write(relative: str, value: object, **more: float) -> None:
        if value == "off":
            kernel.ends_by_itself()
        real(relative, value, **more)

    monkeypatch.setattr(kernel, "write", write)
    with as_it_was(kernel):
        session.close()
    assert kernel.commands == ["on", "off"]


def test_commit(kernel: FakeKernel) -> None:
    """Other attributes go through the kernel's commit."""
    other = Attrs(max_nr_regions=2000)
    with as_it_was(kernel), closing(Session(kernel, setup())) as session:
        assert session.commit(other) == other
        assert kernel.commands == ["on", "commit"]
        assert kernel.has(f"{INSTANCES}/{kernel.myself().instance}/buffer_size_kb") == str(4 * 2000 * 52 // 1024)


def test_commit_refused(kernel: FakeKernel) -> None:
    """If the kernel refuses, the old attributes are there again."""
    kernel.refuse["commit"] = errno.EINVAL
    with as_it_was(kernel), closing(Session(kernel, setup())) as session:
        with pytest.raises(InvalidAttrsError, match="the kernel refuses them"):
            session.commit(Attrs())
        assert session.attrs() == ATTRS


def test_aim_refused(kernel: FakeKernel) -> None:
    """If the kernel refuses another goal, the old one is there again, as the attributes are."""
    goal = IntervalsGoal(max_sample_us=20_000)
    with as_it_was(kernel), closing(Session(kernel, setup(goal=goal))) as session:
        kernel.refuse["commit"] = errno.EINVAL
        with pytest.raises(InvalidAttrsError, match="the kernel refuses them"):
            session.aim(IntervalsGoal(max_sample_us=40_000), ATTRS)
        with pytest.raises(InvalidAttrsError, match="sample_interval"):
            session.commit(Attrs(sample_interval=Usec(30_000)))
        assert kernel.has(f"{CONTEXT}/monitoring_attrs/intervals/intervals_goal/max_sample_us") == "20000"


def test_commit_outside_of_the_goal(kernel: FakeKernel) -> None:
    """A sampling interval outside of the bounds of the goal is refused before anything is written."""
    with as_it_was(kernel), closing(Session(kernel, setup(goal=IntervalsGoal(max_sample_us=20_000)))) as session:
        with pytest.raises(InvalidAttrsError, match="sample_interval"):
            session.commit(Attrs(sample_interval=Usec(30_000)))
        assert kernel.commands == ["on"]


def test_unknown_format(kernel: FakeKernel) -> None:
    """If the tracepoint can't be understood, the trace instance is removed again with all the rest."""
    kernel.text(f"{AGGREGATED}/format", "nonsense")
    with as_it_was(kernel), pytest.raises(ValueError, match="no description of an event"):
        Session(kernel, setup())


def test_cpu_time(kernel: FakeKernel) -> None:
    """CPU time is that of the kdamond's thread."""
    kernel.text(f"proc/{THREAD}/schedstat", "7000000 123 4")
    with as_it_was(kernel), closing(Session(kernel, setup())) as session:
        assert session.cpu_us() == 7000


def test_no_damon(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A kernel without DAMON is said to be one."""
    bare = FakeKernel(tmp_path_factory.mktemp("bare"))
    (bare.base / f"{KDAMONDS}/nr_kdamonds").unlink()
    with pytest.raises(DamondError, match="no DAMON with a sysfs interface"):
        Session(bare, setup())


def test_unexpected_error_is_told(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel answers to any of the writes is told with the file, and undone."""
    real = kernel.write

    def write(relative: str, value: object, **more: float) -> None:
        if relative.endswith("sample_us"):
            raise PermissionError(errno.EPERM, "Operation not permitted", f"/{relative}")
        real(relative, value, **more)

    monkeypatch.setattr(kernel, "write", write)
    with as_it_was(kernel), pytest.raises(SourceUnavailableError, match="sample_us: Operation not permitted"):
        Session(kernel, setup())


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "damond_kdamond")


def test_somebody_looks_while_it_starts(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """EBUSY of a start with no other user of DAMON in sight is somebody who just looked: it is tried again."""
    real = kernel._command

    def command(kdamond: str, word: str) -> None:
        kernel.refuse = {"on": errno.EBUSY} if len(kernel.commands) < 2 else {}
        real(kdamond, word)

    monkeypatch.setattr(kernel, "_command", command)
    with as_it_was(kernel), closing(Session(kernel, setup())) as session:
        assert session.running()
        assert kernel.commands == ["on", "on", "on"]
