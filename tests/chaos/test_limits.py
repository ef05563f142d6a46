"""A full disk, a stuck log, no descriptors and no memory: the service goes on, or ends and leaves nothing."""

import contextlib
import os
import resource
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from damond.client import Client
from damond.errors import DamondError, RuntimeDirError
from damond.service.journal import QUEUE_SZ, Journal
from damond.service.runtime_dir import RuntimeDir
from tests.chaos.conftest import STEADY, Serve
from tests.chaos.rig import LIMIT_S, Served, Witness, bad, program, synthetic, wait


@contextlib.contextmanager
def unhurt(served: Served) -> Iterator[Witness]:
    """See that the contexts lose nothing meanwhile, and that their workers are the same."""
    pids = {name: served.row(name)["pid"] for name in STEADY}
    with served.witness() as witness:
        witness.wait_for_snapshots(1, *STEADY)
        yield witness
        witness.wait_for_snapshots(3, *STEADY)
        assert witness.lost(*STEADY) == []
    assert {name: served.row(name)["pid"] for name in STEADY} == pids


@pytest.fixture
def full_pipe() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """A pipe that is full, and that nobody reads: both ends."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", 0) as reader, os.fdopen(writing, "wb", 0) as writer:
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, bytes(4096))
        os.set_blocking(writing, True)
        yield reader, writer


def test_full_journal(serve: Serve, full_pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """Standard error that blocks for ever: requests are answered, workers start, die and end; losses are counted."""
    served = serve(stderr=full_pipe[1].fileno())
    with unhurt(served) as witness:
        assert served.start("chatter", bad("check_accesses", "chatter")) == ""
        witness.wait_for_snapshots(3, "chatter")
        served.start("raises", bad("check_accesses", "raise"))
        assert any("out of cheese" in line for line in served.wait_for("raises", "backoff")["stderr"])
        assert served.status()["drops"]["log"] > 0
    served.end()


def test_full_disk(serve: Serve) -> None:
    """A log on a full disk: the same."""
    with Path("/dev/full").open("w") as full:
        served = serve(stderr=full.fileno())
    with unhurt(served):
        served.start("raises", bad("check_accesses", "raise"))
        assert any("out of cheese" in line for line in served.wait_for("raises", "backoff")["stderr"])
        assert served.status()["drops"]["log"] > 0
    served.end()


def test_closed_log(serve: Serve) -> None:
    """A log whose reader has gone: the same."""
    reading, writing = os.pipe()
    served = serve(stderr=writing)
    os.close(writing)
    os.close(reading)
    with unhurt(served):
        served.start("raises", bad("check_accesses", "raise"))
        served.wait_for("raises", "backoff")
    served.end()


def test_journal_in_order(tmp_path: Path) -> None:
    """What is not lost is written whole and in order, text and bytes alike."""
    with (tmp_path / "log").open("wb") as log:
        journal = Journal(log.fileno())
        journal.write("one \udcff\n")
        journal.put(b"two\n" * 1000)
        journal.end()
    assert (tmp_path / "log").read_bytes() == b"one \\udcff\n" + b"two\n" * 1000
    assert journal.lost == 0


def test_journal_bounded(full_pipe: tuple[IO[bytes], IO[bytes]]) -> None:
    """What can't be written is kept up to a limit, and counted beyond."""
    reader, writer = full_pipe
    journal = Journal(writer.fileno())
    for _ in range(20):
        journal.put(bytes(QUEUE_SZ // 10))
    # One may be on its way already, ten wait.
    assert journal.lost in (9, 10)
    reader.close()
    wait(lambda: journal.lost == 20)
    journal.end()


def test_no_lock_on_a_full_disk(tmp_path: Path) -> None:
    """A runtime directory without room is refused as what it is."""
    (tmp_path / "run").mkdir(mode=0o700)
    (tmp_path / "run" / "lock").symlink_to("/dev/full")
    with pytest.raises(RuntimeDirError):
        RuntimeDir(tmp_path / "run")


def limit(pid: int, what: int, to: int) -> None:
    resource.prlimit(pid, what, (to, resource.prlimit(pid, what)[1]))


def numbers(pid: int) -> list[int]:
    return [int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()]


def descriptors(pid: int) -> int:
    """Return the limit below which no number is free: descriptors are numbered from the lowest."""
    return max(numbers(pid)) + 1


@contextlib.contextmanager
def gap_filler(served: Served) -> Iterator[bool]:
    """Have the supervisor take its lowest free number for one more connection; tell whether there was a gap."""
    pid = served.process.pid
    before = len(numbers(pid))
    if before == descriptors(pid):
        yield False
        return
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(served.run / "query"))
        wait(lambda: len(numbers(pid)) != before)
        yield True


def test_no_descriptors_for_workers(serve: Serve) -> None:
    """A supervisor without descriptors refuses to start contexts, keeps the others, and recovers."""
    served = serve("".join(map(synthetic, (*STEADY, "dies"))))
    pid = served.process.pid
    with unhurt(served) as witness, Client(served.run) as client, contextlib.ExitStack() as held:
        client.stop("dies")
        client.start("dies")
        allowed = resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
        wait(lambda: not held.enter_context(gap_filler(served)))
        limit(pid, resource.RLIMIT_NOFILE, descriptors(pid))
        with pytest.raises(DamondError, match="no worker can be started: Too many open files"):
            client.start(contexts={"more": bad("", "")})
        rows = {row["name"]: row for row in client.status()["contexts"]}
        assert (rows["more"]["state"], rows["more"]["error"]["code"]) == ("failed", "worker_failed")
        os.kill(rows["dies"]["pid"], signal.SIGKILL)
        witness.wait(lambda _: any("Too many open files" in each.reason for each in witness.events("dies")))
        assert "restarting" in {each.event for each in witness.events("dies")}
        limit(pid, resource.RLIMIT_NOFILE, allowed)
        witness.wait(lambda _: witness.events("dies")[-1].event == "started")
        assert client.start(contexts={"more": bad("", "")}) == ["more"]
    served.end()


def test_no_descriptors_for_subscribers(serve: Serve) -> None:
    """A service takes all descriptors that it may have; beyond, it answers or ends, and leaves nothing behind."""
    served = serve(program("one", "sleep", "1000"))
    pid = served.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    assert soft == hard
    family = served.processes()
    assert {resource.prlimit(each.pid, resource.RLIMIT_NOFILE)[0] for each in family[1:]} == {
        resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    }
    limit(pid, resource.RLIMIT_NOFILE, descriptors(pid) + 10)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            raw = stack.enter_context(socket.socket(socket.AF_UNIX))
            with contextlib.suppress(OSError):
                raw.connect(str(served.run / "query"))
        if not psutil.wait_procs(family[:1], timeout=2)[0]:
            limit(pid, resource.RLIMIT_NOFILE, soft)
    if served.process.poll() is None:
        assert served.status()["nr_running"] == 1
        served.end()
    assert not psutil.wait_procs(family, timeout=LIMIT_S)[1]
    assert wait(lambda: [path.name for path in served.run.iterdir()] == ["lock"])
    serve().end()


def test_no_processes(serve: Serve) -> None:
    """A launcher that can't fork says so; the workers that it has live on, and it can again later."""
    served = serve()
    launcher = served.family[1]
    with unhurt(served):
        allowed = resource.prlimit(launcher, resource.RLIMIT_NOFILE)[0]
        limit(launcher, resource.RLIMIT_NOFILE, 1)  # the link and the pipe of a worker can't be handed over
        assert "could not be forked: Too many open files" in served.start("more", bad("", ""))
        row = served.row("more")
        assert (row["state"], row["pid"]) == ("failed", None)
        limit(launcher, resource.RLIMIT_NOFILE, allowed)
        assert served.start("more", bad("", "")) == ""
    served.end()


def test_no_memory_in_a_worker(serve: Serve) -> None:
    """A worker that gets no memory fails alone, with the reason."""
    served = serve()
    with unhurt(served) as witness:
        assert served.start("leak", bad("reset_aggregated", "leak", aggr_interval="3s")) == ""
        pid = served.row("leak")["pid"]
        limit(pid, resource.RLIMIT_AS, psutil.Process(pid).memory_info().vms + (64 << 20))
        witness.wait(lambda _: any(each.event == "restarting" for each in witness.events("leak")))
        (event,) = [each for each in witness.events("leak") if each.event == "restarting"]
        assert "MemoryError" in event.reason
        # glibc ends a process with 127 if its threads get no memory, libzmq's when they end.
        assert event.details["exit"] in ("exit status 70", "exit status 127")
    served.end()


def _refusal(client: Client, names: list[str]) -> str:
    """Ask to stop contexts that are not there; return in which words that was refused."""
    with pytest.raises(DamondError) as caught:
        client.request("stop", {"names": names}, timeout_s=2.0)
    return str(caught.value)


def test_no_memory_in_the_supervisor(serve: Serve) -> None:
    """A supervisor without memory says so and ends, or answers on; nothing is left, and the next start works."""
    served = serve()
    family = served.processes()
    limit(served.process.pid, resource.RLIMIT_AS, psutil.Process(served.process.pid).memory_info().vms + (1 << 20))
    names = [f"n{number}" for number in range(35_000)]  # a quarter of a MiB on the wire, and ten times that in Python
    with Client(served.run) as client:
        refusals = [_refusal(client, names) for _ in range(3)]
    if all("MemoryError" in each for each in refusals):
        limit(served.process.pid, resource.RLIMIT_AS, resource.RLIM_INFINITY)
        assert served.status()["control"]["internal"] == len(refusals)
        served.end()
    else:
        assert served.process.wait(LIMIT_S) == os.EX_SOFTWARE
        assert "the service can't go on: " in served.log.read_text()
        assert "MemoryError" in served.log.read_text()
    assert not psutil.wait_procs(family, timeout=LIMIT_S)[1]
    serve().end()
