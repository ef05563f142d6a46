"""The control socket: every verb, and everything that is not one."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damond.client import Client, subscribe
from damond.core import Snapshot, Summary
from damond.errors import (
    ConfigError,
    ContextExistsError,
    DamondError,
    ProtocolError,
    UnknownNameError,
    UnreachableError,
    UsageError,
)

CONFIG = """
[service]
max_cpu = "off"
[defaults]
intervals_goal = "off"
[context.first]
primitive = "synthetic"
seed = 1
[context.second]
primitive = "synthetic"
autostart = false
"""

LIMIT_S = 60.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`damond serve` as a user starts it; yields its runtime directory."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "damond.toml").write_text(CONFIG)
    command = [
        sys.executable,
        "-m",
        "damond",
        "serve",
        "--config",
        str(folder / "damond.toml"),
        "--runtime-dir",
        str(folder / "run"),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "serving 2 contexts" not in (line := process.stderr.readline()):
            assert line, "the service ended before it served"
        yield folder / "run"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
        assert "Traceback" not in process.stderr.read()
    assert sorted(path.name for path in (folder / "run").iterdir()) == ["lock"]


@pytest.fixture
def client(served: Path) -> Iterator[Client]:
    with Client(served) as made:
        yield made


def states(client: Client, *names: str) -> list[str]:
    found = {each["name"]: each["state"] for each in client.contexts()}
    return [found[name] for name in names]


def test_hello(client: Client) -> None:
    """Versions and endpoints."""
    hello = client.hello()
    assert (hello["control"], hello["wire"]) == (1, 1)
    assert hello["stream"] == client.endpoints.stream


def test_start_and_stop_by_name(client: Client) -> None:
    """A context of the configuration starts and stops by name; the first one is not touched."""
    assert client.start("second") == ["second"]
    with pytest.raises(ContextExistsError):
        client.start("second")
    assert states(client, "first", "second") == ["running", "running"]
    assert client.stop("second") == ["second"]
    assert states(client, "first", "second") == ["running", "stopped"]


def test_start_by_table(client: Client) -> None:
    """A context may be given as a table of the configuration; a wrong one changes nothing."""
    with pytest.raises(ConfigError, match="sample_interval"):
        client.start(contexts={"third": {"primitive": "synthetic", "sample_intervall": "5ms"}})
    assert client.start(contexts={"third": {"primitive": "synthetic", "aggr_interval": "50ms"}}) == ["third"]
    client.stop("third")


def wait_for_snapshots(client: Client, count: int) -> None:
    """Wait until the context has published that many snapshots; a summary comes with the first."""
    for snapshot in subscribe("first", runtime_dir=client.endpoints.directory):
        if snapshot.origin.seq >= count - 1:
            return


def test_snapshot_and_replay(client: Client) -> None:
    """The newest message of every kind, and what is kept of a worker's snapshots, without a gap."""
    wait_for_snapshots(client, 3)
    newest = client.snapshot("first")
    assert isinstance(newest, Snapshot)
    assert newest.origin is not None
    assert isinstance(client.snapshot("first", "summary"), Summary)
    seqs = [each.origin.seq for each in client.replay("first", newest.origin.epoch, 1) if each.origin]
    assert seqs[0] == 1
    assert seqs == list(range(1, 1 + len(seqs)))
    assert list(client.replay("first", newest.origin.epoch + 1)) == []


@pytest.mark.parametrize("how", ["for", "async for"])
def test_late_joiner(client: Client, how: str) -> None:
    """Who joins late may begin with the newest of every topic; what follows has no gap and nothing twice."""
    wait_for_snapshots(client, 2)
    subscription = subscribe(
        "first", kinds=("snapshot", "summary", "event"), newest_first=True, runtime_dir=client.endpoints.directory
    )

    async def take(count: int) -> list[Any]:
        seen: list[Any] = []
        async for message in subscription:
            seen.append(message)
            if len(seen) == count:
                break
        return seen

    if how == "for":
        seen = [message for message, _ in zip(subscription, range(8), strict=False)]
    else:
        seen = asyncio.run(take(8))
    assert [type(each).__name__ for each in seen[:3]] == ["Snapshot", "Summary", "Event"]
    assert seen[2].event == "started"
    seqs = [each.origin.seq for each in seen if isinstance(each, Snapshot)]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))


def test_status(client: Client) -> None:
    """Status tells what runs, where, with which attributes and at which cost."""
    status = client.status()
    (first,) = [each for each in status["contexts"] if each["name"] == "first"]
    assert first["state"] == "running"
    assert first["attrs"]["sample_interval"] == 5000
    assert first["process"]["rss_bytes"] > 0
    assert os.path.exists(f"/proc/{first['pid']}")  # noqa: PTH110 - plainly a look


def test_plugins(client: Client) -> None:
    """The plugins that the supervisor has found."""
    assert "synthetic" in {name for each in client.plugins() for name in each["primitives"]}


@pytest.mark.parametrize(
    ("verb", "args", "error"),
    [
        pytest.param("dance", {}, UnknownNameError, id="unknown verb"),
        pytest.param("start", {}, UsageError, id="nothing to start"),
        pytest.param("start", {"names": ["nobody"]}, UnknownNameError, id="unknown context"),
        pytest.param("start", {"names": "first"}, UsageError, id="args of the wrong type"),
        pytest.param("stop", {"name": ["first"]}, UsageError, id="misspelt argument"),
        pytest.param("snapshot", {"context": "first", "kind": "x"}, UsageError, id="unknown kind"),
        pytest.param("snapshot", {"context": "nobody"}, UnknownNameError, id="snapshot of nothing"),
        pytest.param("hello", {"x": 1}, UsageError, id="too many arguments"),
    ],
)
def test_refused(client: Client, verb: str, args: dict[str, Any], error: type[DamondError]) -> None:
    """A typed error, and nothing changes."""
    before = client.contexts()
    with pytest.raises(error):
        client.request(verb, args)
    assert client.contexts() == before


def raw_request(served: Path, frames: list[bytes]) -> Any:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(f"ipc://{served}/control")
        dealer.send_multipart(frames)
        assert dealer.poll(int(LIMIT_S * 1000)), "no reply"
        return msgpack.unpackb(dealer.recv())


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([b""], id="empty"),
        pytest.param([b"\xc1"], id="no msgpack"),
        pytest.param([msgpack.packb([1, 2])], id="no map"),
        pytest.param([msgpack.packb({"v": 2, "verb": "hello"})], id="other version"),
        pytest.param([msgpack.packb({"v": 1})], id="no verb"),
        pytest.param([msgpack.packb({"v": 1, "verb": "hello", "args": 3})], id="args no map"),
        pytest.param([b"a", b"b"], id="two frames"),
        pytest.param([msgpack.packb({"v": 1, "verb": "hello", "x": b"x" * 300_000})], id="oversized"),
    ],
)
def test_malformed(served: Path, frames: list[bytes]) -> None:
    """What is no request is answered with the code of a protocol error."""
    reply = raw_request(served, frames)
    assert reply["ok"] is False
    assert reply["error"]["code"] == ProtocolError.code


@pytest.mark.parametrize("nr_bytes", [300_000, 5_000_000], ids=["answered", "dropped by libzmq"])
def test_the_client_sends_nothing_oversized(served: Path, nr_bytes: int) -> None:
    """It is refused at once, whatever libzmq would do with it, and the connection can be used on."""
    with Client(served) as client:
        with pytest.raises(ProtocolError, match="at most 262144 bytes"):
            client.request("start", {"names": ["x" * nr_bytes]})
        assert client.hello()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200))
def test_garbage(served: Path, raw: bytes) -> None:
    """Any bytes get an answer, and the service lives on."""
    assert raw_request(served, [raw])["ok"] is False


def test_nobody_there(tmp_path: Path) -> None:
    """Without a supervisor both client and subscription say so at once, with the remedy."""
    with pytest.raises(UnreachableError, match="damond serve"):
        Client(tmp_path)
    with pytest.raises(UnreachableError):
        next(iter(subscribe(runtime_dir=tmp_path)))
