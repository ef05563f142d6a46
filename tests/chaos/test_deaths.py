"""Processes are killed: what was not killed loses nothing, and nothing stays behind."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from damond.errors import UnreachableError
from tests.chaos.conftest import STEADY, Serve
from tests.chaos.rig import LIMIT_S, Served, program, synthetic, wait


def test_one_worker(serve: Serve) -> None:
    """Kill -9 of one worker: it comes back under another epoch, the others lose nothing, status says how it ended."""
    served = serve("".join(map(synthetic, (*STEADY, "dies"))))
    with served.witness() as witness:
        witness.wait_for_snapshots(2, *STEADY, "dies")
        os.kill(served.row("dies")["pid"], signal.SIGKILL)
        witness.wait(lambda _: [each.event for each in witness.events("dies")] == ["restarting", "starting", "started"])
        row = served.wait_for("dies", "running")
        assert (row["worker_before"]["exit"], row["restarts"]) == ("killed by SIGKILL", 1)
        assert "killed by SIGKILL" in witness.events("dies")[0].reason
        witness.wait_for_snapshots(3, *STEADY, "dies")
        assert witness.lost(*STEADY) == []
        assert [each.event for each in witness.events("dies")] == ["restarting", "starting", "started"]
    served.end()


def test_all_workers(serve: Serve) -> None:
    """Kill -9 of all workers at once: each comes back by itself."""
    served = serve("".join(synthetic(f"c{number}") for number in range(8)))
    pids = {row["name"]: row["pid"] for row in served.status()["contexts"]}
    with served.witness() as witness:
        witness.wait_for_snapshots(1, *pids)
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
        witness.wait(lambda seen: {each.context for each in seen if each.restarted and not each.event} == set(pids))
    rows = served.status()["contexts"]
    assert {row["state"] for row in rows} == {"running"}
    assert not {row["pid"] for row in rows} & set(pids.values())
    served.end()


def is_free(served: Served) -> bool:
    return [path.name for path in served.run.iterdir()] == ["lock"]


@pytest.mark.parametrize("whom", ["supervisor", "supervisor and launcher"])
def test_supervisor(serve: Serve, whom: str) -> None:
    """Kill -9 of the supervisor: no process is left, not even the program of a context; the next start works."""
    served = serve(synthetic("one") + program("two", "sleep", "1000"))
    family = served.processes()
    assert len(family) == 5
    for pid in served.family[: 1 + (whom != "supervisor")]:
        os.kill(pid, signal.SIGKILL)
    assert served.process.wait(LIMIT_S) == -signal.SIGKILL
    assert not psutil.wait_procs(family, timeout=LIMIT_S)[1]
    if whom == "supervisor":
        assert wait(lambda: is_free(served), lambda: list(served.run.iterdir()))
    with pytest.raises(UnreachableError), served.client():
        pass
    serve().end()


def test_leftover_sockets_are_those_of_the_living(serve: Serve) -> None:
    """A launcher that survives its supervisor does not touch the sockets of the next one."""
    served = serve()
    launcher = psutil.Process(served.family[1])
    workers = [psutil.Process(row["pid"]) for row in served.status()["contexts"]]
    launcher.suspend()
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait(LIMIT_S)
    another = serve()
    launcher.resume()
    assert not psutil.wait_procs([launcher, *workers], timeout=LIMIT_S)[1]
    assert {path.name for path in another.run.iterdir()} == {"lock", "control", "query", "stream", "workers"}
    assert another.status()["nr_running"] == 2
    another.end()


def test_launcher(serve: Serve) -> None:
    """Kill -9 of the launcher: the workers end with it, and the service says why it ends."""
    served = serve()
    family = served.processes()
    os.kill(served.family[1], signal.SIGKILL)
    assert served.process.wait(LIMIT_S) == os.EX_SOFTWARE
    assert not psutil.wait_procs(family, timeout=LIMIT_S)[1]
    assert "launcher" in served.log.read_text()
    assert is_free(served)


def test_program_that_ignores_sigterm(serve: Serve, tmp_path: Path) -> None:
    """The end of the service is the end of the programs it has started, willing or not."""
    stubborn = "trap '' TERM; touch ready; while :; do sleep 1; done"
    served = serve(program("one", "sh", "-c", f"cd {tmp_path}; {stubborn}"))
    wait((tmp_path / "ready").exists)
    (pid,) = served.row("one")["targets"]
    assert Path(f"/proc/{pid}/comm").read_text() == "sh\n"
    served.end()
