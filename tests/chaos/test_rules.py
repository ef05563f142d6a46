"""When a worker that died is started again, and when no more; and what is no reason to end one."""

import os
import signal
import threading
import time

import psutil
import pytest

from damond.errors import DamondError
from damond.service.restart import BASE_S, CAP_S, MAX_TRIES, STABLE_S, Backoff
from tests.chaos.conftest import STEADY, Serve
from tests.chaos.rig import Witness, bad, frozen, synthetic, wait


def test_delays() -> None:
    """Each wait is twice the one before, with up to a quarter of jitter, and none is above the cap."""
    backoff = Backoff()
    delays = [backoff.next_delay_s(0.0) for _ in range(MAX_TRIES + 1)]
    assert delays.pop() is None
    for number, delay in enumerate(delays):
        assert delay is not None
        assert BASE_S * 2**number <= delay <= min(CAP_S, BASE_S * 2**number * 1.25)
    assert backoff.next_delay_s(STABLE_S) is not None
    assert backoff.tries == 1


def tries(witness: Witness, name: str) -> list[int]:
    """List which try in a row each restart of a context was."""
    return [each.details["tries"] for each in witness.events(name) if each.event == "restarting"]


@pytest.mark.timeout(180)
def test_five_tries(serve: Serve) -> None:
    """Five tries in a row, then it has failed; 10 s of healthy running are forgiven, and those of a hang are none."""
    served = serve(synthetic("steady0") + synthetic("stable"))
    with served.witness() as witness:
        served.start("loops", bad("check_accesses", "raise"))
        # Not healthy for 3 aggregations and 2 s, then 2 s until SIGKILL: 10 s from the start, all of them hung.
        served.start("sleeps", bad("check_accesses", "hang", aggr_interval="2s"))
        started = time.monotonic()
        witness.wait_for_snapshots(1, "stable")
        os.kill(served.row("stable")["pid"], signal.SIGKILL)
        witness.wait(lambda _: tries(witness, "stable") == [1])
        failed = served.wait_for("loops", "failed")
        witness.wait(lambda _: witness.events("loops")[-1].event == "failed")
        took_s = time.monotonic() - started
        assert (failed["restarts"], failed["exit"], failed["pid"]) == (5, "exit status 70", None)
        assert not failed["healthy"]
        assert "RuntimeError: check_accesses is out of cheese" in failed["reason"]
        delays = [each.details["delay_s"] for each in witness.events("loops") if each.event == "restarting"]
        assert [0.5 * 2**n <= delay <= 0.5 * 2**n * 1.25 for n, delay in enumerate(delays)] == [True] * 5
        assert sum(delays) <= took_s
        os.kill(served.row("stable")["pid"], signal.SIGKILL)  # it has run for more than 10 s by now
        witness.wait(lambda _: tries(witness, "stable") == [1, 1])
        wait(lambda: served.row("stable")["restarts"] == 2)
        wait(lambda: served.row("sleeps")["restarts"] >= 2, lambda: served.row("sleeps"))
        assert witness.lost("steady0") == []
    served.end()


def test_states(serve: Serve) -> None:
    """Every change of state is an event, and status has the same."""
    served = serve(synthetic("one"))
    with served.witness() as witness, served.client() as client:
        witness.wait_for_snapshots(1, "one")
        assert served.row("one")["state"] == "running"
        served.start("loops", bad("check_accesses", "raise"))
        wait(lambda: (row := served.row("loops"))["state"] == "backoff" and row["restarts"] == 4)  # of 4 s
        assert served.row("loops")["stale"]
        client.stop("loops")
        row = served.row("loops")
        assert (row["state"], row["reason"], row["pid"]) == ("stopped", "requested", None)
        for verb in (client.stop, client.start, client.stop):
            verb("one")
        expected = {
            "loops": ["starting", "started", "restarting"] * 4 + ["stopped"],
            "one": ["stopping", "stopped", "starting", "started", "stopping", "stopped"],
        }
        for name, words in expected.items():
            witness.wait(lambda _, name=name, words=words: len(witness.events(name)) >= len(words))
            assert [each.event for each in witness.events(name)] == words
    served.end()


def test_terminated_by_somebody(serve: Serve) -> None:
    """A worker that somebody else ends with SIGTERM stops cleanly, and status does not claim that it was asked to."""
    served = serve(synthetic("one"))
    os.kill(served.row("one")["pid"], signal.SIGTERM)
    assert served.wait_for("one", "stopped")["reason"] == "terminated"
    wait(lambda: served.row("one")["exit"] == "exit status 0", lambda: served.row("one"))
    served.end()


def test_slow_is_hung(serve: Serve) -> None:
    """A worker that was stopped for longer than it may be silent is restarted, even if it then ends politely."""
    served = serve(synthetic("one"))
    pid = served.row("one")["pid"]
    worker = psutil.Process(pid)
    with served.witness() as witness:
        witness.wait_for_snapshots(1, "one")
        worker.suspend()
        wait(lambda: "ending the worker" in served.log.read_text(), served.log.read_text)
        worker.resume()  # SIGTERM is there already, and it obeys
        witness.wait(lambda seen: any(each.event == "restarting" for each in seen))
        (event,) = [each for each in witness.events("one") if each.event == "restarting"]
        assert event.reason.endswith("the worker hung, and was ended: exit status 0")
    assert served.wait_for("one", "running")["pid"] != pid
    served.end()


@pytest.mark.parametrize(
    ("whom", "for_s"),
    [
        pytest.param("workers", 1.0, id="workers for 1 s"),
        pytest.param("supervisor", 1.0, id="supervisor for 1 s"),
        # Longer than a worker may be silent (3 aggregations of 0.1 s and 2 s): the time is the supervisor's own.
        pytest.param("supervisor", 4.0, id="supervisor for 4 s"),
        pytest.param("all", 4.0, id="all for 4 s"),
    ],
)
def test_starved(serve: Serve, whom: str, for_s: float) -> None:
    """Processes that get no CPU for a time are not restarted; what that cost is counted as overruns."""
    served = serve()
    workers = [served.row(name)["pid"] for name in STEADY]
    pids = {"workers": workers, "supervisor": [served.process.pid], "all": [*served.family, *workers]}[whom]
    with served.witness() as witness:
        witness.wait_for_snapshots(1, *STEADY)
        frozen(for_s, *pids)
        witness.wait_for_snapshots(10, *STEADY)
        assert witness.lost(*STEADY) == []
        overruns = {each.context for each in witness.seen if each.overruns}
    assert set(STEADY) <= overruns or whom == "supervisor"
    assert [served.row(name)["pid"] for name in STEADY] == workers
    assert all(served.row(name)["restarts"] == 0 for name in STEADY)
    wait(lambda: all(served.row(name)["healthy"] for name in STEADY))
    served.end()


def test_long_pause(serve: Serve) -> None:
    """A context that was paused for longer than a worker may be silent goes on with the same worker."""
    served = serve(synthetic("paused") + synthetic("steady0"))
    pid = served.row("paused")["pid"]
    with served.witness() as witness, served.client() as client:
        client.pause("paused")
        witness.wait_for_snapshots(5, "steady0")  # what was under way has been delivered by then
        before = witness.count("paused")
        witness.wait_for_snapshots(30, "steady0")
        assert witness.count("paused") == before
        client.resume("paused")
        witness.wait_for_snapshots(5, "paused")
        assert witness.lost("paused") == []
    assert served.row("paused")["pid"] == pid
    served.end()


def test_shorter_aggregation(serve: Serve) -> None:
    """A context whose aggregation gets shorter is judged by the new interval from then on, and not for the past."""
    served = serve(synthetic("tuned", 'aggr_interval = "30s"') + synthetic("steady0"))
    pid = served.row("tuned")["pid"]
    with served.witness() as witness, served.client() as client:
        witness.wait_for_snapshots(35, "steady0")
        client.tune("tuned", {"aggr_interval": "500ms"})
        witness.wait_for_snapshots(2, "tuned")
    assert served.row("tuned")["pid"] == pid
    served.end()


def test_stopped_while_starting(serve: Serve) -> None:
    """SIGTERM does not wait for a worker that hangs before it is ready."""
    hangs = '[context.hangs]\nprimitive = "bad"\noptions = {where = "init", how = "hang"}\n'
    served = serve(synthetic("one") + hangs, names=["one"])
    assert served.wait_for("hangs", "starting")["pid"]
    served.end()
    log = served.log.read_text()
    assert [log.count(f"hangs: does not end; sending {each}") for each in ("SIGTERM", "SIGKILL")] == [1, 1]
    assert "serving" not in log


def test_ends_while_it_reloads(serve: Serve) -> None:
    """SIGTERM does not wait until all is started that a reload has asked for."""
    served = serve(synthetic("one"))
    config = served.run.parent / "damond.toml"
    hangs = '[context.{}]\nprimitive = "bad"\noptions = {{where = "init", how = "hang"}}\n'
    config.write_text(config.read_text() + "".join(map(hangs.format, ("first", "second"))))
    refused: list[DamondError] = []

    def reload() -> None:
        with served.client() as client:
            try:
                client.reload()
            except DamondError as error:
                refused.append(error)

    asking = threading.Thread(target=reload)
    asking.start()
    wait(lambda: any(row["name"] == "first" and row.get("pid") for row in served.status()["contexts"]))
    served.end()
    asking.join()
    log = served.log.read_text()
    assert "first: does not end; sending SIGKILL" in log
    assert "was not ready after" not in log
    assert "second: starting" not in log
    assert len(refused) == 1
