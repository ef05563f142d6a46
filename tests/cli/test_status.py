"""`damond status` in words: states, what is lost and in the way, and all of one context."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from damond.cli.troubles import troubles
from tests.chaos.rig import Served, bad, synthetic, wait

OPTIONS = 'options = {source = "referenced"}'
WAITING = f'[context.idle]\nprimitive = "vaddr"\nselect = {{name = "nothing-has-this"}}\n{OPTIONS}\n'
SLOW = "does not keep up, and loses what is more:"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, synthetic("one") + WAITING)
    yield made
    try:
        made.end()
    finally:
        made.abandon()


def damond(served: Served, *args: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "damond", *args, "--runtime-dir", str(served.run)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_states(served: Served) -> None:
    """A paused context is called so; one that waits for a process says it; where all is well nothing more is said."""
    done = damond(served, "status")
    assert done.returncode == 0
    assert "idle: no process matches now; it waits for one" in done.stdout
    assert "lost" not in done.stdout
    with served.client() as client:
        client.pause("one")
    assert " paused " in damond(served, "status").stdout


def test_a_context_that_can_not_be_started_by_name(served: Served) -> None:
    """What is in no configuration is not said to start by 'damond start'."""
    served.start("passing", {"primitive": "synthetic"})
    with served.client() as client:
        client.stop("passing", "one")
    words = damond(served, "status").stdout
    assert "passing: stopped (requested)\n" in words
    assert "one: stopped (requested); 'damond start one' starts it" in words


def test_a_context_whose_process_has_ended(tmp_path: Path) -> None:
    """To start it again would not help: 'status' says what would, and once there is a process again, so does it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        served = Served(tmp_path, f'[context.job]\nprimitive = "vaddr"\ntargets = [{process.pid}]\n{OPTIONS}\n')
        with served.client() as client:
            wait(lambda: client.status()["contexts"][0]["state"] == "running")
            process.communicate(timeout=20)
            wait(lambda: client.status()["contexts"][0]["state"] == "stopped")
        words = damond(served, "status").stdout
    served.end()
    assert "job: stopped (target_gone); its process has ended: name one that runs in the configuration" in words
    assert "damond start" not in words


def test_the_end_of_a_process_is_seen_soon(tmp_path: Path) -> None:
    """However seldom its memory is looked at: samples of a minute here."""
    slow = f'max_cpu = "off"\nintervals_goal = "off"\nsample_interval = "1min"\naggr_interval = "5min"\n{OPTIONS}\n'
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        served = Served(
            tmp_path, f'[context.job]\nprimitive = "vaddr"\ntargets = [{process.pid}]\n{slow}', names=["job"]
        )
        process.communicate(timeout=20)
        ended_s = time.monotonic()
        wait(lambda: served.row("job")["state"] == "stopped", lambda: served.row("job"))
        assert time.monotonic() - ended_s < 20
        assert served.row("job")["reason"] == "target_gone"
    served.end()


def test_one_context(served: Served) -> None:
    """With a name: what happened to it, and what its worker wrote last."""
    served.start("raises", bad("check_accesses", "raise"))
    expected = (
        "restarting (RuntimeError: check_accesses is out of cheese)",
        "sample 20 ms, aggr 100 ms",
        "exit status 70",  # not told while it starts once more, so that it takes more than one look
    )

    def told() -> str:
        found = damond(served, "status", "raises").stdout
        return found if all(each in found for each in expected) else ""

    words = wait(told)
    assert words.index("last lines of its standard error") < words.rindex("is out of cheese\n")
    before = wait(lambda: served.row("raises")["worker_before"])
    assert before["exit"] == "exit status 70"
    assert "is out of cheese" in "".join(before["stderr"])
    assert "one" not in [line.split()[0] for line in words.splitlines()]
    assert '"events"' in damond(served, "status", "one", "--json").stdout
    done = damond(served, "status", "onne")
    assert done.returncode == os.EX_USAGE
    assert "did you mean 'one'?" in done.stderr


def test_stopped_launcher(served: Served) -> None:
    """A launcher that somebody has stopped is told, with the remedy."""
    launcher = served.family[1]
    os.kill(launcher, signal.SIGSTOP)
    try:
        wait(lambda: f"kill -CONT {launcher} lets it go on" in damond(served, "status").stdout)
    finally:
        os.kill(launcher, signal.SIGCONT)


def nothing() -> dict[str, Any]:
    """The status of a service that has nothing to complain about, as far as it matters here."""
    well: dict[str, Any] = {"connected": 1, "behind": [], "behind_s": 0.0}
    return {
        "launcher_pid": 7,
        "processes": {"launcher": {"state": "sleeping"}},
        "drops": {
            "missed": {"web": 0},
            "malformed": 0,
            "log": 0,
            "readers": {"local": {"messages": {}, "reports": 0}, "remote": {"messages": {}, "reports": 0}},
        },
        "control": {"replies_lost": 0, "malformed": 0},
        "readers": {"cut": 0, "limit": 2048, "stream": well, "remote_stream": dict(well)},
        "remote": {"unusable": {}, "refused": 0},
    }


def behind(**more: Any) -> dict[str, Any]:
    row = {"pid": 12, "user": "alice", "address": None, "queued_bytes": 212_992, "for_s": 5.0, **more}
    return {"connected": 1, "behind": [row], "behind_s": 5.0}


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("drops missed", {"web": 3}, "lost: 3 messages of web between its worker and the stream"),
        (
            "drops readers remote messages",
            {"web": 9},
            "lost: 9 messages of web by readers of the remote stream, as they say",
        ),
        ("drops log", 4, "lost: 4 lines of the log"),
        ("drops malformed", 5, "lost: 5 messages on the stream that are none of wire version 1"),
        ("control replies_lost", 6, "lost: 6 replies that nobody read"),
        (
            "readers stream",
            behind(),
            f"a reader of the stream {SLOW} process 12 (alice); 208 KiB wait for it since 5 s",
        ),
        (
            "readers remote_stream",
            behind(pid=None, user=None, address="10.0.0.1"),
            f"a reader of the remote stream {SLOW} 10.0.0.1; 208 KiB wait for it since 5 s",
        ),
        (
            "readers stream",
            {"connected": 0, "behind": [], "behind_s": 7.0},
            "readers of the stream did not keep up for 7 s in all",
        ),
        ("readers cut", 8, "8 connections of readers were cut: more than 2048 at once"),
        ("remote unusable", {"x.key": "no key"}, "authorised key x.key is left out: no key"),
        ("remote refused", 2, "2 connections over the network were refused: their keys are not on file"),
    ],
)
def test_troubles(path: str, value: Any, words: str) -> None:
    """Each class of losses, and each thing in the way, is one line."""
    status = nothing()
    *parents, last = path.split()
    table = status
    for name in parents:
        table = table[name]
    table[last] = value
    assert [line.plain for line in troubles(status)] == [words]


def test_no_troubles() -> None:
    """Nothing is said where nothing is wrong; a supervisor without sockets has less to say."""
    assert list(troubles(nothing())) == []
    status = nothing()
    for name in ("readers", "remote", "control"):
        del status[name]
    assert list(troubles(status)) == []
