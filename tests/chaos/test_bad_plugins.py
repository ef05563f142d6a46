"""A plugin that hangs, raises, exits or talks nonsense in each of its seven functions hurts its own context alone."""

import sys
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from damond.errors import WorkerFailedError
from damond.service import managed
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec
from tests.chaos.conftest import STEADY
from tests.chaos.rig import PLUGIN, Served, Witness, bad, synthetic, wait

WHILE_IT_RUNS = ("update", "prepare_access_checks", "check_accesses", "reset_aggregated", "target_valid")

DIED = ("backoff", "starting", "running")
"""What a context may be found in after its worker died for the first time."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"), "".join(map(synthetic, STEADY)))
    yield made
    try:
        made.end()
    finally:
        made.abandon()


@pytest.fixture
def steady(served: Served) -> Iterator[Witness]:
    """See that the contexts that were not meant lose nothing, and are still there in the end."""
    pids = {name: served.row(name)["pid"] for name in STEADY}
    with served.witness() as witness:
        witness.wait_for_snapshots(1, *STEADY)
        yield witness
        witness.wait_for_snapshots(2, *STEADY)
        assert witness.lost(*STEADY) == []
    assert {name: served.row(name)["pid"] for name in STEADY} == pids


def first_end(witness: Witness, name: str) -> Any:
    """Wait until the worker of a context has died; return the event that tells it."""
    words = ("restarting", "failed", "stopped")
    witness.wait(lambda seen: any(each.context == name and each.event in words for each in seen))
    return next(each for each in witness.events(name) if each.event in words)


def stop(served: Served, name: str) -> dict[str, Any]:
    with served.client() as client:
        client.stop(name)
    return served.row(name)


ENDS = [
    pytest.param("raise", "exit status 70", "RuntimeError: {where} is out of cheese", id="raises"),
    pytest.param("os._exit", "exit status 3", "ended without a word: exit status 3", id="exits"),
    pytest.param("sys.exit", "exit status 70", "SystemExit: 0", id="raises SystemExit"),
    pytest.param("hang", "killed by SIGKILL", "the worker hung, and was ended", id="hangs"),
]


@pytest.mark.parametrize(("how", "exit_", "words"), ENDS)
def test_while_it_runs(served: Served, steady: Witness, how: str, exit_: str, words: str) -> None:
    """In each function that is called while it runs: its worker ends and is started again; the reason is told."""
    names = {where: f"{where}-{how.replace('.', '')}" for where in WHILE_IT_RUNS}
    for where, name in names.items():
        served.start(name, bad(where, how))
    for where, name in names.items():
        event = first_end(steady, name)
        assert event.event == "restarting", event
        assert event.details["exit"] == exit_
        assert words.format(where=where) in event.reason
        if how == "raise":
            assert f"RuntimeError: {where} is out of cheese" in event.details["stderr"]
        row = served.row(name)
        assert row["state"] in DIED
        assert row["restarts"] >= 1
        assert stop(served, name)["state"] == "stopped"


@pytest.mark.parametrize(("how", "exit_", "words"), ENDS[:3])
def test_in_init(served: Served, steady: Witness, how: str, exit_: str, words: str) -> None:
    """Before it was ready: the start is refused with the reason, and it is not tried again."""
    name = f"init-{how.replace('.', '')}"
    assert words.format(where="init") in served.start(name, bad("init", how))
    row = served.wait_for(name, "failed")
    assert (row["exit"], row["restarts"], row["pid"]) == (exit_, 0, None)
    assert words.format(where="init") in row["error"]["message"]
    steady.wait(lambda _: [each.event for each in steady.events(name)] == ["starting", "failed"])


@pytest.mark.parametrize(("how", "exit_", "words"), ENDS)
def test_in_cleanup(served: Served, steady: Witness, how: str, exit_: str, words: str) -> None:
    """While it ends: it has stopped nevertheless, and how it ended is told."""
    name = f"cleanup-{how.replace('.', '')}"
    assert served.start(name, bad("cleanup", how)) == ""
    steady.wait_for_snapshots(1, name)
    row = stop(served, name)
    assert (row["state"], row["reason"], row["exit"]) == ("stopped", f"requested ({exit_})", exit_)
    assert steady.wait(lambda seen: [e for e in seen if e.context == name and e.event == "stopped"])


def test_hang_in_init(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is not ready in time is ended, and has failed."""
    monkeypatch.setattr(managed, "START_TIMEOUT_S", 1.0)
    monkeypatch.setattr(sys, "path", [*sys.path, str(PLUGIN.parent)])
    spec = ContextSpec(name="never", primitive="bad_plugin:Bad", options={"where": "init", "how": "hang"})
    with EmbeddedSupervisor(on_stderr=lambda _: None) as supervisor:
        with pytest.raises(WorkerFailedError, match="not ready after 1 s"):
            supervisor.start([spec])
        (row,) = supervisor.status()["contexts"]
        assert (row["state"], row["exit"], row["stderr"]) == ("failed", "killed by SIGKILL", ["hangs now"])
        assert "not ready" in row["reason"]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        pytest.param("init", "'str' object has no attribute", id="init"),
        pytest.param("update", "'NoneType' object has no attribute", id="update"),
        pytest.param("prepare_access_checks", "Error", id="prepare_access_checks"),
        pytest.param("check_accesses", "TypeError", id="check_accesses"),
        pytest.param("reset_aggregated", "'NoneType' object has no attribute", id="reset_aggregated"),
        pytest.param("target_valid", "The truth value of an array", id="target_valid"),
    ],
)
def test_nonsense(served: Served, steady: Witness, where: str, words: str) -> None:
    """What a function returns or leaves behind ends its own context where it makes no sense."""
    name = f"nonsense-{where}"
    refusal = served.start(name, bad(where, "nonsense"))
    event = first_end(steady, name)
    assert words in event.reason
    assert (words in refusal) == (where == "init")
    if event.event == "restarting":
        stop(served, name)


def test_nonsense_of_cleanup(served: Served, steady: Witness) -> None:
    """What cleanup returns is nobody's business."""
    assert served.start("harmless", bad("cleanup", "nonsense")) == ""
    row = stop(served, "harmless")
    assert (row["state"], row["reason"], row["exit"]) == ("stopped", "requested", "exit status 0")


def test_leak(served: Served, steady: Witness) -> None:
    """A worker that takes 1 GiB is shown in status, and gives all of it back when it is stopped."""
    # 1 s, so that a busy machine has the time for its 262144 page faults before the worker is taken for hung.
    assert served.start("leak", bad("check_accesses", "leak", aggr_interval="1s")) == ""
    wait(lambda: served.row("leak")["process"]["rss_bytes"] > 1 << 30, lambda: served.row("leak"))
    pid = served.row("leak")["pid"]
    assert stop(served, "leak")["state"] == "stopped"
    assert not psutil.pid_exists(pid)


def test_chatter(served: Served, steady: Witness) -> None:
    """8 MiB on one line of standard error pass through; neither the supervisor nor status keeps them."""
    mine = psutil.Process(served.process.pid)
    before = mine.memory_info().rss
    assert served.start("chatter", bad("check_accesses", "chatter")) == ""
    steady.wait_for_snapshots(3, "chatter")
    assert mine.memory_info().rss - before < 4 << 20
    row = stop(served, "chatter")
    assert max(map(len, row["stderr"]), default=0) <= 2000


def test_long_words(served: Served, steady: Witness) -> None:
    """Words that are too long to be told, and that UTF-8 can't carry, are told in part."""
    served.start("words", bad("check_accesses", "long words"))
    event = first_end(steady, "words")
    assert event.reason.startswith("RuntimeError: \\udcfflong long")
    assert len(event.reason) < 5000
    stop(served, "words")


def test_forked_child(served: Served, steady: Witness) -> None:
    """A process that a plugin leaves behind, with all of its descriptors, costs the supervisor none."""
    mine = psutil.Process(served.process.pid)
    before = mine.num_fds()
    served.start("forks", bad("check_accesses", "fork"))
    event = first_end(steady, "forks")
    stop(served, "forks")
    child = psutil.Process(int(event.details["stderr"][-1]))
    assert child.name() == "sleep"
    # The connection of who asked for the stop is closed a moment later.
    wait(lambda: mine.num_fds() <= before, lambda: (mine.num_fds(), before))
    child.kill()
    assert event.details["exit"] == "exit status 3"
