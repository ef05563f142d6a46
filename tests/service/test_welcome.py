"""The welcome as the hub gives it: the first thing that a reader hears, and only one that asks for it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from damond import __version__
from damond.client import Remote, Subscription, subscribe
from damond.service.hub import Hub
from damond.service.remote import make_keys
from damond.stream import welcome, wire
from damond.stream.endpoints import Endpoints
from damond.stream.subscriber import AsyncSubscriber, Subscriber
from damond.stream.welcome import Welcome
from tests.chaos.rig import Served, free_port, synthetic

LIMIT_S = 10.0
FIRST = Welcome(version="0.1", host="host1", pid=4242, started_ns=1_700_000_000_000_000_000, queue=256)
SECOND = Welcome(version="0.1", host="host1", pid=4243, started_ns=1_700_000_001_000_000_000, queue=256)
EVENT = wire.Event(context="x", time_ns=1, event="started")


class Publishing:
    """A hub that can be replaced by another one, and something that it publishes."""

    def __init__(self, folder: Path) -> None:
        self._endpoints = Endpoints(folder)
        self.endpoint = self._endpoints.stream
        self.begin(FIRST)

    def begin(self, message: Welcome) -> None:
        self._hub = Hub(self._endpoints, "host1", welcome.encode(message))
        self._publisher = self._hub.publisher()

    def publish(self) -> None:
        self._publisher.publish(EVENT)

    def close(self) -> None:
        self._publisher.close()
        self._hub.close()


@pytest.fixture
def publishing(tmp_path: Path) -> Iterator[Publishing]:
    made = Publishing(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("prefix", "heard"),
    [
        pytest.param(b"damon.v1.", False, id="one wire version"),
        pytest.param(b"damon.", False, id="all of damon"),
        pytest.param(b"welcome.", True, id="who asks"),
    ],
)
def test_only_who_asks(publishing: Publishing, prefix: bytes, heard: bool) -> None:
    """A reader of three frames that subscribes to what damond publishes never gets another thing."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.SUB) as plain, context.socket(zmq.SUB) as after:
        for sub, topic in ((plain, prefix), (after, welcome.TOPIC)):
            sub.setsockopt(zmq.LINGER, 0)
            sub.setsockopt(zmq.SUBSCRIBE, topic)
            sub.connect(publishing.endpoint)
            # In the order of their connections: what the first one gets is there once the second one has it.
            assert sub is plain or sub.poll(int(LIMIT_S * 1000))
        if not heard:
            while not plain.poll(50):
                publishing.publish()
            assert len(plain.recv_multipart()) == 3
        else:
            assert plain.poll(int(LIMIT_S * 1000))
            assert plain.recv_multipart() == [welcome.encode(FIRST)]


def test_connected(publishing: Publishing) -> None:
    """A reader knows when it is connected, and when to somebody else; messages are not mixed up with it."""
    with Subscriber(publishing.endpoint, kinds=("event",)) as subscriber:
        assert subscriber.welcome is None
        assert subscriber.wait_connected(LIMIT_S)
        assert subscriber.welcome == FIRST
        assert subscriber.receive(0.0) is None
        publishing.close()
        publishing.begin(SECOND)
        while subscriber.welcome == FIRST:
            assert subscriber.receive(0.1) is None
        assert subscriber.welcome == SECOND


def test_not_connected(tmp_path: Path) -> None:
    """Who is not connected in time is told so."""
    with Subscriber(f"ipc://{tmp_path}/nobody") as subscriber:
        assert not subscriber.wait_connected(0.05)


def test_async_connected(publishing: Publishing) -> None:
    """The same for asyncio; the first message is the one after the welcome."""

    async def read() -> tuple[Welcome, wire.Message]:
        async with AsyncSubscriber(publishing.endpoint, kinds=("event",)) as subscriber:
            found = await asyncio.wait_for(subscriber.wait_connected(), LIMIT_S)
            reading = asyncio.create_task(subscriber.receive())
            while not reading.done():
                publishing.publish()
                await asyncio.wait([reading], timeout=0.05)
            return found, reading.result()

    found, message = asyncio.run(read())
    assert found == FIRST
    assert message.context == "x"


def test_subscription(publishing: Publishing, tmp_path: Path) -> None:
    """Who iterates sees it too: the subscription has it as soon as there is a message."""
    subscription = Subscription(Endpoints(tmp_path), [], ["event"], latest=False)
    assert subscription.welcome is None
    with subscription.open() as subscriber:
        assert subscriber.wait_connected(LIMIT_S)
    reading = iter(subscription)

    async def first() -> Any:
        task = asyncio.create_task(asyncio.to_thread(next, reading))
        while not task.done():
            publishing.publish()
            await asyncio.wait([task], timeout=0.05)
        return task.result()

    assert asyncio.run(first()).context == "x"
    assert subscription.welcome == FIRST
    reading.close()


def test_of_the_service(tmp_path: Path) -> None:
    """The service welcomes over its local socket and over the network, with the same words."""
    for name in ("server", "friend"):
        make_keys(tmp_path / "keys", name)
    (tmp_path / "authorized").mkdir()
    (tmp_path / "keys" / "friend.key").rename(tmp_path / "authorized" / "friend.key")
    address = f"tcp://127.0.0.1:{free_port()}"
    keys = f'key = "{tmp_path}/keys/server.key_secret"\nauthorized = "{tmp_path}/authorized"'
    served = Served(tmp_path, f'[remote]\nstream = "{address}"\n{keys}\n{synthetic("one")}')
    remote = Remote("", address, tmp_path / "keys" / "server.key", tmp_path / "keys" / "friend.key_secret")
    try:
        status = served.status()
        for subscription in (subscribe("one", runtime_dir=served.run), subscribe("one", remote=remote)):
            assert next(iter(subscription)).context == "one"
            found = subscription.welcome
            assert found is not None
            assert (found.version, found.host) == (__version__, status["host"])
            assert (found.pid, found.started_ns) == (served.process.pid, status["started_ns"])
        served.end()
    finally:
        served.abandon()
