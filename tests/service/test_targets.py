"""Targets come and go, contexts pause and resume: told on the stream and in status, each with its reason."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from damond.client import Client
from damond.errors import NoSuchProcessError, UsageError
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec, TargetSpec
from tests.chaos.rig import Served, Witness, synthetic, wait

SLEEPER = "import sys; print(flush=True); sys.stdin.read()"
ATTRS = 'sample_interval = "100ms"\naggr_interval = "200ms"\n'
OPTIONS = 'options = {source = "referenced"}\n'
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start processes with a mark in their command line, that are there once they have printed a line."""
    made: list[subprocess.Popen[str]] = []

    def sleeper(mark: str = "x") -> "subprocess.Popen[str]":
        line = [sys.executable, "-c", SLEEPER, mark]
        made.append(subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert made[-1].stdout is not None
        made[-1].stdout.readline()
        return made[-1]

    yield sleeper
    for each in made:
        each.communicate()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Served]]:
    made: list[Served] = []

    def begin(text: str) -> Served:
        made.append(Served(tmp_path, text))
        return made[-1]

    yield begin
    for each in made:
        try:
            each.end()
        finally:
            each.abandon()


def dead() -> int:
    """A pid that is nobody's, as it was somebody's just now."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


PF_KTHREAD = 0x00200000


def is_kernel_thread(pid: int) -> bool:
    """Say whether it is one, by the flags in /proc/PID/stat (field 9)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return False
    return bool(int(fields[6]) & PF_KTHREAD)


def changes(witness: Witness, context: str) -> list[tuple[str, list[int], list[int]]]:
    """Reason, and who came and went, of each change of targets."""
    events = [each for each in witness.events(context) if each.event == "targets_changed"]
    for each in events:
        assert all(target["id"] == target["pid"] for how in ("added", "removed") for target in each.details[how])
    return [
        (each.reason, *(sorted(target["id"] for target in each.details[how]) for how in ("added", "removed")))
        for each in events
    ]


def told_last(served: Served, name: str, event: str, reason: str) -> dict[str, Any]:
    """Give the row of a context once that event is the last that the supervisor was told of: the stream is ahead."""

    def look() -> dict[str, Any] | None:
        row = served.row(name)
        last = row["events"][-1]
        return row if (last["event"], last["reason"]) == (event, reason) else None

    found: dict[str, Any] = wait(look, lambda: served.row(name)["events"])
    return found


def test_selected_targets(serve: Any, start: Start, tmp_path: Path) -> None:
    """Processes that are found and that end are told on the stream, in status and in the log, with ids and reason."""
    mark = f"mark-{tmp_path.name}"
    served = serve(f'[context.sel]\nprimitive = "vaddr"\nselect = {{cmdline = "{mark}"}}\n{ATTRS}{OPTIONS}')
    with served.witness("sel") as witness:
        first = start(mark)
        witness.wait(lambda _: changes(witness, "sel") == [("selected", [first.pid], [])])
        second = start(mark)
        witness.wait(lambda _: changes(witness, "sel")[1:] == [("selected", [second.pid], [])])
        first.communicate()
        witness.wait(lambda _: changes(witness, "sel")[2:] == [("ended", [], [first.pid])])
    row = told_last(served, "sel", "targets_changed", "ended")
    assert row["targets"] == [second.pid]
    told = [each for each in row["events"] if each["event"] == "targets_changed"]
    assert [each["reason"] for each in told] == ["selected", "selected", "ended"]
    assert told[-1]["details"]["removed"] == [{"id": first.pid, "pid": first.pid}]
    wait(lambda: f"sel: targets_changed: {first.pid} gone (ended)" in served.log.read_text())


def test_named_targets(serve: Any, start: Start) -> None:
    """One of several pids that ends is told; a worker that dies afterwards comes back for those that are left."""
    first, second = start(), start()
    served = serve(f'[context.two]\nprimitive = "vaddr"\npids = [{first.pid}, {second.pid}]\n{ATTRS}{OPTIONS}')
    assert served.row("two")["targets"] == [first.pid, second.pid]
    with served.witness("two") as witness:
        first.communicate()
        witness.wait(lambda _: changes(witness, "two") == [("ended", [], [first.pid])])
        # What the stream has from the worker may come before what the supervisor is told.
        wait(lambda: served.row("two")["targets"] == [second.pid])
        os.kill(served.row("two")["pid"], signal.SIGKILL)
        witness.wait(lambda seen: any(each.event == "started" for each in seen))
        wait(lambda: served.row("two")["state"] == "running")
        assert served.row("two")["targets"] == [second.pid]
        # While its worker is down the last one ends: there is nothing to come back for.
        os.kill(served.row("two")["pid"], signal.SIGKILL)
        served.wait_for("two", "backoff")
        second.communicate()
        row = served.wait_for("two", "stopped")
    assert row["reason"] == "target_gone"
    assert [each["event"] for each in row["events"]][-2:] == ["target_gone", "stopped"]


def test_tune_targets(serve: Any, start: Start) -> None:
    """Asked for by hand: told as such; a pid that is not there, or can't be watched, is refused and changes nothing."""
    first, second = start(), start()
    served = serve(f'[context.one]\nprimitive = "vaddr"\npid = {first.pid}\n{ATTRS}{OPTIONS}')
    with served.witness("one") as witness, served.client() as client:
        client.tune("one", add_targets=[second.pid])
        witness.wait(lambda _: changes(witness, "one") == [("requested", [second.pid], [])])
        client.tune("one", remove_targets=[first.pid])
        witness.wait(lambda _: changes(witness, "one")[1:] == [("requested", [], [first.pid])])
        pid = dead()
        with pytest.raises(NoSuchProcessError, match=f"there is no process {pid}"):
            client.tune("one", add_targets=[first.pid, pid])
        if kernel_threads := [pid for pid in psutil.pids() if is_kernel_thread(pid)]:
            with pytest.raises(UsageError, match=f"{kernel_threads[0]} can't be watched"):
                client.tune("one", add_targets=kernel_threads[:1])
        zombie = subprocess.Popen([sys.executable, "-c", ""])
        wait(lambda: Path(f"/proc/{zombie.pid}/stat").read_text().split(") ")[1][0] == "Z")
        with pytest.raises(NoSuchProcessError, match="zombie"):
            client.tune("one", add_targets=[zombie.pid])
        zombie.wait()
        assert served.row("one")["targets"] == [second.pid]
        witness.wait_for_snapshots(2, "one")
        assert len(changes(witness, "one")) == 2


def test_tune_targets_in_the_terminal(serve: Any, start: Start) -> None:
    """The command says what is wrong, and what to do."""
    served = serve(f'[context.one]\nprimitive = "vaddr"\npid = {start().pid}\n{ATTRS}{OPTIONS}')
    line = [sys.executable, "-m", "damond", "tune", "--runtime-dir", str(served.run), "one", "--add", str(dead())]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == os.EX_NOINPUT
    assert "there is no process" in done.stderr
    assert "'ps' lists those that run" in done.stderr


def test_pause_and_resume(serve: Any) -> None:
    """Both are events, and told in status; what changes nothing is none."""
    served = serve(synthetic("one"))
    with served.witness("one") as witness, served.client() as client:
        for verb in (client.pause, client.pause, client.resume, client.resume):
            verb("one")
        witness.wait(lambda _: [each.event for each in witness.events("one")] == ["paused", "resumed"])
        assert {each.reason for each in witness.events("one")} == {"requested"}
        client.pause("one")
        os.kill(served.row("one")["pid"], signal.SIGKILL)
        # Rests again as before, and says why.
        witness.wait(lambda _: witness.events("one")[-1].reason == "its worker has been restarted")
        assert witness.events("one")[-1].event == "paused"
    row = told_last(served, "one", "paused", "its worker has been restarted")
    assert [each["event"] for each in row["events"]][-4:] == [
        "restarting",
        "starting",
        "started",
        "paused",
    ]
    wait(lambda: "one: paused (requested)" in served.log.read_text())


@pytest.mark.parametrize("others", [1, 0], ids=["others go on", "none is left"])
def test_found_process_ends_while_the_worker_starts(start: Start, others: int) -> None:
    """What was found and has ended since is left out; a context without any other waits, and is well."""
    live = [start().pid for _ in range(others)]
    targets = tuple(TargetSpec(pid, found=True) for pid in (dead(), *live))
    spec = ContextSpec(
        name="sel",
        primitive="vaddr",
        options={"source": "referenced"},
        attrs={"sample_interval": 100_000, "aggr_interval": 200_000},
        targets=targets,
        select={"cmdline": "nothing has this in its command line"},
        waits_for_targets=True,
    )
    with EmbeddedSupervisor() as supervisor:
        supervisor.start([spec])
        (row,) = supervisor.status()["contexts"]
        assert row["state"] == "running"
        assert row["targets"] == live


def test_named_process_that_is_not_there(serve: Any) -> None:
    """What was named must be there, beside a selector too."""
    served = serve(synthetic("other"))
    table = {"primitive": "vaddr", "pid": dead(), "select": {"name": "nothing"}, "options": {"source": "referenced"}}
    with Client(served.run) as client, pytest.raises(NoSuchProcessError, match="there is no process"):
        client.start(contexts={"one": table})
