"""Somebody stops the launcher: what it is needed for is refused in bounded time, and told; the rest goes on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest

from damond.errors import WorkerFailedError
from tests.chaos.conftest import STEADY, Serve
from tests.chaos.rig import LIMIT_S, Served, synthetic, wait

CONTEXTS = "".join(map(synthetic, (*STEADY, "one")))


@contextmanager
def stopped(served: Served) -> Iterator[int]:
    """Stop the launcher; let it go on in the end."""
    launcher = served.family[1]
    os.kill(launcher, signal.SIGSTOP)
    wait(lambda: psutil.Process(launcher).status() == psutil.STATUS_STOPPED)
    try:
        yield launcher
    finally:
        os.kill(launcher, signal.SIGCONT)


def test_stop_and_start(serve: Serve) -> None:
    """A worker that obeys is stopped, though nobody says how it ended; nothing starts, and both are told."""
    served = serve(CONTEXTS)
    with served.witness() as witness, served.client() as client:
        witness.wait_for_snapshots(1, *STEADY)
        with stopped(served) as launcher:
            client.stop("one")
            assert "does not end" not in served.log.read_text()
            row = served.row("one")
            assert (row["state"], row["pid"]) == ("stopped", None)
            assert "can't say how" in row["exit"]
            assert served.status()["processes"]["launcher"]["state"] == "stopped"
            with pytest.raises(WorkerFailedError, match=rf"the launcher \(pid {launcher}\) does not answer"):
                client.start("one")
            assert served.row("one")["state"] == "failed"
        # What it did not fork then it forks now, and it is gone at once: no context has two workers.
        wait(lambda: client.start("one") == ["one"])
        witness.wait_for_snapshots(2, "one", *STEADY)
        assert witness.lost(*STEADY) == []
        wait(lambda: len(psutil.Process(launcher).children()) == 3)
        # What was asked for while the launcher was stopped may be told, too.
        told = [each.event for each in witness.events("one")]
        assert told[:2] == ["stopping", "stopped"]
        assert "failed" in told
        assert told[-1] == "started"
        assert served.status()["processes"]["launcher"]["state"] != "stopped"
    served.end()


def test_worker_that_hangs(serve: Serve) -> None:
    """A worker that does not obey can't be ended then: the request is refused with the remedy, and done later."""
    served = serve(CONTEXTS)
    worker = served.row("one")["pid"]
    with served.client() as client:
        os.kill(worker, signal.SIGSTOP)
        with stopped(served) as launcher:
            with pytest.raises(WorkerFailedError, match=f"worker {worker} does not end") as refused:
                client.stop("one")
            log = served.log.read_text()
            assert [log.count(f"one: does not end; sending {each}") for each in ("SIGTERM", "SIGKILL")] == [1, 1]
            assert f"kill -CONT {launcher}" in refused.value.hint
            assert served.row("one")["state"] == "stopping"
            assert psutil.pid_exists(worker)
        row = served.wait_for("one", "stopped")
        assert row["exit"] == "killed by SIGKILL"
        assert client.start("one") == ["one"]
    served.end()


@pytest.mark.timeout(180)
def test_end_of_the_service(serve: Serve) -> None:
    """The service ends nevertheless, and leaves nothing."""
    served = serve(CONTEXTS)
    family = served.processes()
    os.kill(served.family[1], signal.SIGSTOP)
    served.process.terminate()
    assert served.process.wait(LIMIT_S) == 0
    assert not psutil.wait_procs(family, timeout=LIMIT_S)[1]
    assert [path.name for path in served.run.iterdir()] == ["lock"]
