"""Each change in the life of a context is told, whoever has to say it; requests end in bounded time."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
import zmq.asyncio

from damond.core import Snapshot
from damond.errors import BusyError, UsageError
from damond.service import control
from damond.service.control import ControlServer
from tests.chaos.rig import LIMIT_S, Served, bad, synthetic


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path, synthetic("one"))
    yield made
    try:
        made.end()
    finally:
        made.abandon()


def test_hung_worker_is_stopped(served: Served) -> None:
    """A worker that hangs says nothing any more: the supervisor tells what becomes of it, and how it ended."""
    served.start("hangs", bad("prepare_access_checks", "hang", aggr_interval="60s"))
    with served.witness("hangs") as witness, served.client() as client:
        client.stop("hangs")
        witness.wait(lambda _: [each.event for each in witness.events("hangs")][-2:] == ["stopping", "stopped"])
        assert witness.events("hangs")[-1].missed == 0
        last = witness.events("hangs")[-1]
    assert last.details["exit"] == "killed by SIGKILL"
    row = served.row("hangs")
    assert (row["state"], row["exit"]) == ("stopped", "killed by SIGKILL")
    assert [each["event"] for each in row["events"]] == ["starting", "started", "stopping", "stopped"]


def test_what_can_not_begin(served: Served) -> None:
    """A context that fails before there is a worker fails as an event, too."""
    table = {"primitive": "vaddr", "command": ["/nothing/there"], "options": {"source": "referenced"}}
    with served.witness("none") as witness:
        with served.client() as client, pytest.raises(UsageError, match="can't be started"):
            client.start(contexts={"none": table})
        witness.wait(lambda _: [each.event for each in witness.events("none")] == ["failed"])
        assert "can't be started" in witness.events("none")[0].reason
    assert served.row("none")["state"] == "failed"


def test_stale(served: Served) -> None:
    """What is asked for of a context that does not run is the last there was, and says so."""
    with served.witness("one") as witness, served.client() as client:
        witness.wait_for_snapshots(1, "one")
        fresh = client.snapshot("one")
        client.stop("one")
        old = client.snapshot("one")
    for message, stale in ((fresh, False), (old, True)):
        assert isinstance(message, Snapshot)
        assert message.origin is not None
        assert message.origin.stale is stale


class Stuck:
    """A supervisor with a worker that not even SIGKILL ends, as in uninterruptible sleep."""

    async def stop(self, _: Any) -> None:
        await asyncio.Event().wait()


def test_requests_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not done in time is answered as such, and does not stand in the way of others."""
    monkeypatch.setattr(control, "TIME_LIMIT_S", 0.2)
    endpoint = f"ipc://{tmp_path}/control"

    async def ask(dealer: zmq.asyncio.Socket, verb: str) -> Any:
        await dealer.send(msgpack.packb({"v": 1, "id": 1, "verb": verb, "args": {"names": ["one"]}}))
        return msgpack.unpackb(await asyncio.wait_for(dealer.recv(), LIMIT_S))

    async def both() -> list[Any]:
        server = ControlServer(Stuck())  # type: ignore[arg-type]
        serving = asyncio.create_task(server.serve(server.bind(endpoint, may_steer=True), may_steer=True))
        with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as dealer:
            dealer.setsockopt(zmq.LINGER, 0)
            dealer.connect(endpoint)
            answers = [await ask(dealer, verb) for verb in ("stop", "nothing")]
        serving.cancel()
        server.close()
        await asyncio.gather(serving, return_exceptions=True)
        return answers

    late, unknown = asyncio.run(both())
    assert (late["ok"], late["error"]["code"]) == (False, BusyError.code)
    assert "goes on" in late["error"]["message"]
    assert unknown["error"]["code"] == "unknown_verb"
