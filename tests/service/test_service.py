"""The service as an operator has it: reload, restart, hang, permissions, keys."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from damond.client import Client, Remote, subscribe
from damond.core import Snapshot
from damond.errors import ConfigError, DamondError, NotPermittedError, UnreachableError
from damond.service.remote import make_keys
from damond.stream.wire import Event
from tests.chaos.rig import free_port

LIMIT_S = 60.0

UNBOUND = '[service]\nmax_cpu = "off"\n[defaults]\nintervals_goal = "off"\n'


class Served:
    """`damond serve` in a process of its own, with a configuration that a test can change."""

    def __init__(self, folder: Path, text: str, unbound: str = UNBOUND, **env: str) -> None:
        self.folder = folder
        self.config = folder / "damond.toml"
        self.run = folder / "run"
        self.config.write_text(text)
        # As fast as contexts are asked to be, whatever that costs: tests wait for snapshots.
        (folder / "conf.d").mkdir(exist_ok=True)
        (folder / "conf.d" / "unbound.toml").write_text(unbound)
        line = [sys.executable, "-m", "damond", "serve", "--config", str(self.config), "--runtime-dir", str(self.run)]
        self.log = folder / "log"
        self._file = self.log.open("w")
        self.process = subprocess.Popen(line, stderr=self._file, env={**os.environ, **env})
        self.wait(lambda: "serving" in self.log.read_text() or self.process.poll() is not None)

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait for something, with a limit."""
        deadline = time.monotonic() + LIMIT_S
        while not (found := condition()):
            assert time.monotonic() < deadline, self.log.read_text()
        return found

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self._file.close()
        assert self.process.wait(LIMIT_S) == 0, self.log.read_text()

    def states(self) -> dict[str, str]:
        with Client(self.run) as client:
            return {each["name"]: each["state"] for each in client.contexts()}

    def row(self, name: str) -> dict[str, Any]:
        with Client(self.run) as client:
            (row,) = [each for each in client.status()["contexts"] if each["name"] == name]
        return row


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    made: list[Served] = []

    def start(text: str, folder: Path = tmp_path, **env: str) -> Served:
        made.append(Served(folder, text, **env))
        return made[-1]

    yield start
    for each in made:
        each.end()


def synthetic(name: str, more: str = "") -> str:
    return f'[context.{name}]\nprimitive = "synthetic"\n{more}\n'


def test_reload(serve: Serve) -> None:
    """SIGHUP: what vanished stops, what is new starts, attributes are tuned in place, the rest restarts."""
    served = serve(
        synthetic("gone") + synthetic("tuned", "aggr_interval = '100ms'") + synthetic("other") + synthetic("same")
    )
    before = {name: served.row(name)["pid"] for name in ("tuned", "other", "same")}
    served.config.write_text(
        synthetic("new")
        + synthetic("tuned", "aggr_interval = '200ms'\nmax_nr_regions = 500")
        + synthetic("other", "seed = 5")
        + synthetic("same")
    )
    served.process.send_signal(signal.SIGHUP)
    served.wait(lambda: served.states().get("new") == "running")
    assert served.states() == {
        "gone": "stopped",
        "new": "running",
        "other": "running",
        "same": "running",
        "tuned": "running",
    }
    attrs = served.row("tuned")["attrs"]
    assert (attrs["aggr_interval"], attrs["max_nr_regions"]) == (200_000, 500)
    after = {name: served.row(name)["pid"] for name in ("tuned", "other", "same")}
    assert {name for name in before if before[name] == after[name]} == {"tuned", "same"}


def test_a_reload_keeps_what_was_tuned(serve: Serve) -> None:
    """What the configuration does not name stays as somebody has tuned it, also when the worker dies afterwards."""
    served = serve(synthetic("one"))
    with Client(served.run) as client:
        client.tune("one", {"max_nr_regions": 300})
        served.config.write_text(served.config.read_text() + "max_cpu = '50%'\n")
        assert client.reload()["tuned"] == ["one"]
        before = served.row("one")
        os.kill(before["pid"], signal.SIGKILL)
        served.wait(lambda: (row := served.row("one"))["state"] == "running" and row["pid"] != before["pid"])
    assert before["attrs"]["max_nr_regions"] == served.row("one")["attrs"]["max_nr_regions"] == 300


def test_faulty_reload_changes_nothing(serve: Serve) -> None:
    """A faulty file is refused as a whole, with every problem, and everything runs on."""
    served = serve(synthetic("one"))
    pid = served.row("one")["pid"]
    served.config.write_text('[context.one]\nprimitive = "syntetic"\n[context.two]\nsample = "1ms"\n')
    with Client(served.run) as client, pytest.raises(ConfigError, match="3 problems"):
        client.reload()
    assert served.row("one")["pid"] == pid
    assert served.states() == {"one": "running"}


def test_conf_d(serve: Serve, tmp_path: Path) -> None:
    """Files in conf.d add contexts; the same one twice is refused."""
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "more.toml").write_text(synthetic("more"))
    served = serve(synthetic("main"))
    assert served.states() == {"main": "running", "more": "running"}
    (tmp_path / "conf.d" / "again.toml").write_text(synthetic("main"))
    with Client(served.run) as client, pytest.raises(ConfigError, match=r"context\.main is given twice"):
        client.reload()


def test_worker_is_restarted(serve: Serve) -> None:
    """A killed worker comes back under another epoch; the stream tells it, and the old snapshot is stale meanwhile."""
    served = serve(synthetic("one"))
    with subscribe("one", kinds=("snapshot", "event"), runtime_dir=served.run).open() as subscriber:
        # The first summary has come before the second snapshot: there is something to be stale.
        for _ in range(2):
            assert subscriber.receive(LIMIT_S) is not None
        served.wait(lambda: served.row("one")["newest"])
        os.kill(served.row("one")["pid"], signal.SIGKILL)
        row = served.wait(lambda: (row := served.row("one"))["state"] != "running" and row)
        assert row["state"] in ("backoff", "starting")
        assert row["stale"]
        assert row["newest"]
        seen: list[Any] = []
        while not (seen and isinstance(seen[-1], Snapshot) and seen[-1].origin.restarted):
            message = subscriber.receive(LIMIT_S)
            assert message is not None
            seen.append(message)
    events = [each for each in seen if isinstance(each, Event)]
    assert [each.event for each in events] == ["restarting", "starting", "started"]
    assert events[0].details["exit"] == "killed by SIGKILL"
    assert 0.5 <= events[0].details["delay_s"] <= 0.7
    assert served.row("one")["restarts"] == 1


def test_pause_tune_resume(serve: Serve) -> None:
    """A paused context publishes nothing; tuned attributes hold; the worker is the same."""
    served = serve(synthetic("one"))
    pid = served.row("one")["pid"]
    with Client(served.run) as client:
        client.pause("one")
        assert served.row("one")["paused"]
        served.wait(lambda: served.row("one")["healthy"])
        client.tune("one", {"sample_interval": "10ms", "max_nr_regions": 50})
        client.resume("one")
        with pytest.raises(DamondError, match="aggr_interval"):
            client.tune("one", {"sample_interval": "10s"})
        for snapshot in subscribe("one", runtime_dir=served.run):
            if (snapshot.sample_us, snapshot.max_nr_regions, snapshot.partial) == (10_000, 50, False):
                break
    assert snapshot.max_nr_accesses == 10
    assert served.row("one")["pid"] == pid
    assert not served.row("one")["paused"]


def test_reading_and_steering_are_apart(serve: Serve) -> None:
    """The socket for questions answers no request that changes something."""
    served = serve(synthetic("one"))
    control = served.run / "control"
    control.rename(served.run / "hidden")
    try:
        (served.run / "control").symlink_to(served.run / "query")
        with Client(served.run) as client:
            assert client.status()["nr_running"] == 1
            with pytest.raises(NotPermittedError):
                client.stop("one")
    finally:
        (served.run / "control").unlink()
        (served.run / "hidden").rename(control)
    assert served.states() == {"one": "running"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else: run as root")
def test_privileges_apart(public_path: Path, serve: Serve) -> None:
    """The supervisor is not root and can't open what only root may; launcher and workers can."""
    served = serve(f'[service]\nuser = "nobody"\ngroup = "nogroup"\n{synthetic("one")}', public_path)
    with Client(served.run) as client:
        processes = client.status()["processes"]
    assert processes["supervisor"]["user"] == "nobody"
    assert processes["supervisor"]["capabilities"] == []
    assert processes["launcher"]["uid"] == 0
    assert served.row("one")["process"]["uid"] == 0
    secret = public_path / "secret.toml"
    secret.write_text(served.config.read_text())
    secret.chmod(0o600)
    served.config.unlink()
    served.config.symlink_to(secret)
    with Client(served.run) as client, pytest.raises(ConfigError, match="Permission denied"):
        client.reload()
    modes = {path.name: path.stat().st_mode & 0o777 for path in served.run.iterdir()}
    assert modes == {"control": 0o600, "query": 0o660, "stream": 0o660, "workers": 0o600, "lock": 0o600}
    assert served.run.stat().st_mode & 0o777 == 0o750


def test_callbacks_of_strangers(serve: Serve) -> None:
    """Nobody can have the service import code by naming it."""
    served = serve(synthetic("one"))
    with Client(served.run) as client, pytest.raises(DamondError, match="unknown primitive"):
        client.start(contexts={"two": {"primitive": "os:system"}})


def test_remote(serve: Serve, tmp_path: Path) -> None:
    """Over TCP an authorised client asks and subscribes; one that is not is told so, within 2 s."""
    make_keys(tmp_path / "keys", "server")
    make_keys(tmp_path / "friend", "friend")
    make_keys(tmp_path / "stranger", "stranger")
    (tmp_path / "authorized").mkdir()
    (tmp_path / "friend" / "friend.key").rename(tmp_path / "authorized" / "friend.key")
    query, stream = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    remote = f'[remote]\nquery = "{query}"\nstream = "{stream}"\nkey = "{tmp_path}/keys/server.key_secret"\n'
    serve(f'{remote}authorized = "{tmp_path}/authorized"\n{synthetic("one")}')
    server = tmp_path / "keys" / "server.key"
    friend = Remote(query, stream, server, tmp_path / "friend" / "friend.key_secret")
    with Client(remote=friend) as client:
        assert client.status()["nr_running"] == 1
        with pytest.raises(NotPermittedError):
            client.stop("one")
    assert next(iter(subscribe("one", remote=friend))).context == "one"
    stranger = Remote(query, stream, server, tmp_path / "stranger" / "stranger.key_secret")
    started = time.monotonic()
    with pytest.raises(NotPermittedError, match="refused our key"):
        Client(remote=stranger)
    with pytest.raises(NotPermittedError):
        next(iter(subscribe("one", remote=stranger)))
    assert time.monotonic() - started < LIMIT_S / 2  # 2 s each by itself; libzmq alone would say nothing for ever
    with pytest.raises(UnreachableError):
        Client(remote=Remote(f"tcp://127.0.0.1:{free_port()}", stream, server, friend.client_key))


def test_remote_never_in_the_clear(serve: Serve) -> None:
    """A configuration that asks for tcp without keys is refused."""
    served = serve('[remote]\nstream = "tcp://127.0.0.1:9"\n')
    assert served.process.wait(LIMIT_S) == os.EX_CONFIG
    assert "nothing goes over the network without keys" in served.log.read_text()
    served.process.returncode = 0


SLEEPER = "import sys; print(flush=True); sys.stdin.read()"


def sleeper(mark: str) -> "subprocess.Popen[str]":
    """A process with a mark in its command line, that is there once it has printed a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, mark], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def finish(process: "subprocess.Popen[str]") -> None:
    process.communicate()


def test_selected_processes_come_and_go(serve: Serve, tmp_path: Path) -> None:
    """A context that selects waits for a match; targets that stay keep regions and ages; the worker is the same."""
    mark = f"mark-{tmp_path.name}"
    options = '[context.sel.options]\nsource = "referenced"\n'
    served = serve(
        f'[context.sel]\nprimitive = "vaddr"\naggr_interval = "200ms"\nselect = {{ cmdline = "{mark}" }}\n{options}'
    )
    assert served.row("sel")["targets"] == []
    assert served.row("sel")["state"] == "running"
    worker = served.row("sel")["pid"]
    first = sleeper(mark)
    served.wait(lambda: served.row("sel")["targets"] == [first.pid])
    with subscribe("sel", runtime_dir=served.run).open() as subscriber:

        def targets() -> dict[int, Any]:
            message = subscriber.receive(LIMIT_S)
            assert isinstance(message, Snapshot)
            return {each.pid or 0: each for each in message.targets}

        served.wait(lambda: (found := targets()).get(first.pid) is not None and found[first.pid].age.max() >= 2)
        second = sleeper(mark)

        def both() -> dict[int, Any] | None:
            found = targets()
            return found if second.pid in found else None

        seen = served.wait(both)
        assert seen[first.pid].age.max() >= 2
        finish(first)
        served.wait(lambda: list(targets()) == [second.pid])
    finish(second)
    served.wait(lambda: served.row("sel")["targets"] == [])
    assert served.row("sel")["state"] == "running"
    served.wait(lambda: served.row("sel")["healthy"])  # looked at four times a second
    assert served.row("sel")["pid"] == worker


def test_command_is_started_watched_and_ended(serve: Serve) -> None:
    """A command of the configuration lives as long as its context."""
    line = f'["{sys.executable}", "-m", "damond.demo", "--for", "60"]'
    options = '[context.cmd.options]\nsource = "referenced"\n'
    served = serve(f'[context.cmd]\nprimitive = "vaddr"\ncommand = {line}\n{options}')
    (pid,) = served.row("cmd")["targets"]
    assert Path(f"/proc/{pid}").exists()
    with Client(served.run) as client:
        client.stop("cmd")
    served.wait(lambda: not Path(f"/proc/{pid}").exists())


def test_target_gone(serve: Serve) -> None:
    """A context of a pid that ends is stopped, not restarted, and says why."""
    process = sleeper("x")
    options = '[context.one.options]\nsource = "referenced"\n'
    served = serve(f'[context.one]\nprimitive = "vaddr"\npid = {process.pid}\n{options}')
    assert served.row("one")["state"] == "running"
    finish(process)
    served.wait(lambda: served.row("one")["state"] == "stopped")
    assert served.row("one")["reason"] == "target_gone"
