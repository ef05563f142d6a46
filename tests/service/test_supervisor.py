"""Real workers, a real stream: contexts start, publish, stop and die without hurting each other."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from damond.core import Snapshot
from damond.errors import (
    BusyError,
    ContextExistsError,
    DamondError,
    InvalidAttrsError,
    NotRunningError,
    UnknownNameError,
    UsageError,
    WorkerFailedError,
)
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec, TargetSpec
from damond.stream import wire
from damond.stream.subscriber import Subscriber

LIMIT_S = 60.0
KINDS = ("snapshot", "summary", "event")


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedSupervisor]:
    with EmbeddedSupervisor() as supervisor:
        yield supervisor


@pytest.fixture
def supervisor(shared: EmbeddedSupervisor) -> Iterator[EmbeddedSupervisor]:
    yield shared
    running = [each["name"] for each in shared.status()["contexts"] if each["state"] == "running"]
    if running:
        shared.stop(running)


def spec(name: str, **changes: Any) -> ContextSpec:
    return ContextSpec(**{"name": name, "primitive": "synthetic", "seed": 1, **changes})


def connected(supervisor: EmbeddedSupervisor, names: list[str], kinds: tuple[str, ...]) -> Subscriber:
    """A subscriber that misses nothing of what is done from now on."""
    subscriber = Subscriber(supervisor.endpoints.stream, names, kinds)
    assert subscriber.wait_connected(LIMIT_S)
    return subscriber


def receive_until(subscriber: Subscriber, wanted: Callable[[wire.Message], bool]) -> list[wire.Message]:
    """Messages up to the first wanted one; fails when none comes in time."""
    seen: list[wire.Message] = []
    deadline = time.monotonic() + LIMIT_S
    while not seen or not wanted(seen[-1]):
        message = subscriber.receive(max(0.0, deadline - time.monotonic()))
        assert message is not None, f"nothing more after {[type(each).__name__ for each in seen]}"
        seen.append(message)
    return seen


def is_event(*names: str) -> Callable[[wire.Message], bool]:
    return lambda message: isinstance(message, wire.Event) and message.event in names


def describe(supervisor: EmbeddedSupervisor, name: str) -> dict[str, Any]:
    (row,) = [each for each in supervisor.status()["contexts"] if each["name"] == name]
    return row


def wait_sampled(pid: int) -> None:
    """Wait until a worker has slept between samples several times: it has counted something."""
    process = psutil.Process(pid)
    slept, deadline = process.num_ctx_switches().voluntary, time.monotonic() + LIMIT_S
    while process.num_ctx_switches().voluntary < slept + 10:
        assert time.monotonic() < deadline


def test_life_of_a_context(supervisor: EmbeddedSupervisor) -> None:
    """From starting to stopped: snapshots from 0 without a gap, a summary, and the unfinished one as partial."""
    with connected(supervisor, ["life"], KINDS) as subscriber:
        supervisor.start([spec("life")])
        assert supervisor.nr_running == 1
        seen = receive_until(
            subscriber, lambda m: isinstance(m, Snapshot) and m.origin is not None and m.origin.seq == 3
        )
        supervisor.stop(["life"])
        seen += receive_until(subscriber, is_event("stopped"))
    events = [each.event for each in seen if isinstance(each, wire.Event)]
    assert events == ["starting", "started", "stopping", "stopped"]
    snapshots = [each for each in seen if isinstance(each, Snapshot)]
    assert [each.origin.seq for each in snapshots if each.origin] == list(range(len(snapshots)))
    assert len({each.origin.epoch for each in seen if each.origin}) == 1
    whole = snapshots[1]
    assert (whole.max_nr_accesses, whole.partial) == (20, False)
    assert 10 <= whole.nr_regions <= 1000
    assert whole.checks > 0
    assert whole.end_ns - whole.start_ns >= 90_000_000
    assert all(each.max_nr_accesses < 20 for each in snapshots if each.partial)
    assert any(kind == "Summary" for kind in (type(each).__name__ for each in seen))
    assert describe(supervisor, "life")["state"] == "stopped"
    assert supervisor.nr_running == 0


def test_stop_is_quick_and_delivers_partial(supervisor: EmbeddedSupervisor) -> None:
    """A stop within a long aggregation delivers what was counted, within two sample intervals and 200 ms.

    The least of five counts, as machines are shared.
    """
    attrs = {"sample_interval": 20_000, "aggr_interval": 60_000_000}
    names = [f"part{number}" for number in range(5)]
    took_s = []
    with connected(supervisor, names, KINDS) as subscriber:
        supervisor.start([spec(name, attrs=attrs) for name in names])
        pids = {name: describe(supervisor, name)["pid"] for name in names}
        for name in names:
            wait_sampled(pids[name])
            began = time.monotonic()
            supervisor.stop([name])
            took_s.append(time.monotonic() - began)
            seen = receive_until(subscriber, is_event("stopped"))
            (last,) = [each for each in seen if isinstance(each, Snapshot)]
            assert (last.context, last.partial) == (name, True)
            assert 0 < last.max_nr_accesses < 3000
            assert not psutil.pid_exists(pids[name])
    assert min(took_s) < 2 * 0.020 + 0.2, took_s


def test_killed_worker(supervisor: EmbeddedSupervisor) -> None:
    """Kill -9 of one worker is told on the stream and in status; the other loses nothing."""
    with connected(supervisor, [], KINDS) as subscriber:
        supervisor.start([spec("dies"), spec("lives")])
        receive_until(subscriber, lambda m: isinstance(m, Snapshot) and m.context == "dies")
        os.kill(describe(supervisor, "dies")["pid"], signal.SIGKILL)
        seen = receive_until(subscriber, is_event("failed"))
        failed = seen[-1]
        assert isinstance(failed, wire.Event)
        assert failed.context == "dies"
        assert "SIGKILL" in failed.reason
        assert failed.origin is not None
        assert (failed.origin.seq, failed.origin.missed, failed.origin.restarted) == (2, 0, False)
        later = receive_until(
            subscriber, lambda m: isinstance(m, Snapshot) and m.origin is not None and m.origin.seq > 5
        )
    row = describe(supervisor, "dies")
    assert (row["state"], row["exit"]) == ("failed", "killed by SIGKILL")
    assert row["error"]["hint"]
    assert all(each.origin.missed == 0 for each in seen + later if each.origin and each.context == "lives")
    supervisor.start([spec("dies")])
    assert describe(supervisor, "dies")["state"] == "running"


def test_all_or_none(supervisor: EmbeddedSupervisor) -> None:
    """If one of a group can't start, none of it runs."""
    broken = spec("broken", primitive="vaddr", targets=(TargetSpec(2**22 + 1),))
    with pytest.raises(DamondError):
        supervisor.start([spec("fine"), broken])
    assert supervisor.nr_running == 0
    assert describe(supervisor, "fine")["state"] == "stopped"
    assert describe(supervisor, "broken")["state"] == "failed"


def test_exclusive(supervisor: EmbeddedSupervisor) -> None:
    """An exclusive group starts only alone, and lets nothing else start."""
    supervisor.start([spec("one")])
    with pytest.raises(BusyError):
        supervisor.start([spec("alone")], exclusive=True)
    supervisor.stop(["one"])
    supervisor.start([spec("alone")], exclusive=True)
    with pytest.raises(BusyError):
        supervisor.start([spec("one")])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        pytest.param({"primitive": "syntetic"}, UnknownNameError, id="unknown primitive"),
        pytest.param({"options": {"sise": 1}}, UnknownNameError, id="unknown option"),
        pytest.param({"attrs": {"sample_interval": 9, "aggr_interval": 8}}, InvalidAttrsError, id="contradiction"),
        pytest.param({"primitive": "vaddr"}, UsageError, id="a primitive for processes without any"),
        pytest.param({"primitive": "auto"}, UsageError, id="auto without a process"),
        pytest.param(
            {"primitive": "auto", "targets": (TargetSpec(1),), "options": {"source": "page-idle"}},
            UnknownNameError,
            id="an option value that auto's primitives don't know",
        ),
        pytest.param({"callbacks": {"after_sampling": "nowhere:f"}}, UsageError, id="callback not importable"),
    ],
)
def test_refused(supervisor: EmbeddedSupervisor, changes: dict[str, Any], error: type[DamondError]) -> None:
    """What can't work is refused with its own error, and nothing runs."""
    with pytest.raises(error) as caught:
        supervisor.start([spec("bad", **changes)])
    assert caught.value.message
    assert caught.value.hint
    assert supervisor.nr_running == 0


def test_names(supervisor: EmbeddedSupervisor) -> None:
    """A name runs once; an unknown one can't be stopped; one that has stopped is not running."""
    supervisor.start([spec("once")])
    with pytest.raises(ContextExistsError):
        supervisor.start([spec("once")])
    supervisor.stop(["once"])
    with pytest.raises(NotRunningError):
        supervisor.stop(["once"])
    with pytest.raises(UnknownNameError, match="onze"):
        supervisor.stop(["onze"])


PLUGIN = """
import os, time
import numpy as np
from damond.core import AddrRange, Primitive, Target

class Base(Primitive):
    name = "test"
    def init(self, ctx):
        ctx.targets.append(Target(0))
        ctx.targets[0].set_ranges([AddrRange(0, 1 << 20)])
    def check_accesses(self, ctx):
        return 0

class Raises(Base):
    def check_accesses(self, ctx):
        raise RuntimeError("out of cheese")

class Exits(Base):
    def check_accesses(self, ctx):
        os._exit(3)

class Hangs(Base):
    def check_accesses(self, ctx):
        print("hangs now", flush=True)
        while True:
            time.sleep(1000)

def stop_at_third(ctx):
    ctx.callback.private["calls"] += 1
    return ctx.callback.private["calls"] >= 3
"""


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedSupervisor]:
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "misbehaving.py").write_text(PLUGIN)
    sys.path.insert(0, str(folder))
    with EmbeddedSupervisor(on_stderr=lambda _: None) as supervisor:
        yield supervisor
    sys.path.remove(str(folder))


@pytest.mark.parametrize(
    ("cls", "reason", "exit_"),
    [
        pytest.param("Raises", "RuntimeError: out of cheese", "exit status 70", id="raises"),
        pytest.param("Exits", "exit status 3", "exit status 3", id="exits"),
    ],
)
def test_bad_plugin(plugged: EmbeddedSupervisor, cls: str, reason: str, exit_: str) -> None:
    """A plugin that raises or exits takes its own context down, and status says how."""
    with connected(plugged, [cls], ("event",)) as subscriber:
        with contextlib.suppress(DamondError):  # it may be dead before start() has returned: then that says so too
            plugged.start([spec(cls, primitive=f"misbehaving:{cls}")])
        seen = receive_until(subscriber, is_event("failed"))
    last = seen[-1]
    assert isinstance(last, wire.Event)
    assert reason in last.reason
    deadline = time.monotonic() + LIMIT_S
    while describe(plugged, cls)["exit"] == "alive":
        assert time.monotonic() < deadline
    row = describe(plugged, cls)
    assert (row["state"], row["exit"]) == ("failed", exit_)
    if cls == "Raises":
        assert "RuntimeError: out of cheese" in "\n".join(row["stderr"])


def test_hanging_plugin(plugged: EmbeddedSupervisor) -> None:
    """A worker that hangs is stopped by force, and its end is told as what it was."""
    plugged.start([spec("hangs", primitive="misbehaving:Hangs")])
    pid = describe(plugged, "hangs")["pid"]
    deadline = time.monotonic() + LIMIT_S
    while "hangs now" not in describe(plugged, "hangs")["stderr"]:
        assert time.monotonic() < deadline
    plugged.stop(["hangs"])
    assert not psutil.pid_exists(pid)
    assert describe(plugged, "hangs")["exit"] == "killed by SIGKILL"


def test_callback_stops(plugged: EmbeddedSupervisor) -> None:
    """A callback that returns true ends the monitoring in the worker."""
    callbacks = {"after_sampling": "misbehaving:stop_at_third"}
    with connected(plugged, ["cb"], ("event",)) as subscriber:
        plugged.start([spec("cb", primitive="misbehaving:Base", callbacks=callbacks, private={"calls": 0})])
        seen = receive_until(subscriber, is_event("stopped"))
    last = seen[-1]
    assert isinstance(last, wire.Event)
    assert last.reason == "callback"


ORPHANS = """
import sys
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec
supervisor = EmbeddedSupervisor()
supervisor.start([ContextSpec(name=f"c{i}", primitive="synthetic") for i in range(3)])
status = supervisor.status()
print(status["launcher_pid"], *[each["pid"] for each in status["contexts"]], status["runtime_dir"], flush=True)
sys.stdin.read()
"""


def test_no_worker_outlives_its_supervisor() -> None:
    """Kill -9 of the supervisor leaves neither launcher nor workers."""
    process = subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    *pids, directory = process.stdout.readline().split()
    family = [psutil.Process(int(pid)) for pid in pids]
    process.kill()
    process.wait()
    gone, alive = psutil.wait_procs(family, timeout=LIMIT_S)
    assert not alive
    assert len(gone) == 4
    process.stdin.close()
    process.stdout.close()
    for left in Path(directory).iterdir():
        left.unlink()
    Path(directory).rmdir()


def test_launcher_killed() -> None:
    """Kill -9 of the launcher ends all workers; the supervisor tells so instead of hanging."""
    with EmbeddedSupervisor() as supervisor:
        supervisor.start([spec("x")])
        worker = psutil.Process(describe(supervisor, "x")["pid"])
        os.kill(supervisor.status()["launcher_pid"], signal.SIGKILL)
        gone, _ = psutil.wait_procs([worker], timeout=LIMIT_S)
        assert gone
        deadline = time.monotonic() + LIMIT_S
        while describe(supervisor, "x")["state"] != "failed":
            assert time.monotonic() < deadline
        with pytest.raises(WorkerFailedError):
            supervisor.start([spec("y")])
