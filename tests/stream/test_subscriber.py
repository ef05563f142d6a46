"""Readers are told what was lost, skipped and restarted."""

from pathlib import Path

import pytest
import zmq

from damond.errors import InvalidNameError
from damond.stream import wire
from damond.stream.publisher import Publisher
from damond.stream.subscriber import AsyncSubscriber, Subscriber, Tracker, topics

LIMIT_S = 60.0


def event(number: int) -> wire.Event:
    return wire.Event(context="web", time_ns=number, event="started")


def frames(epoch: int, seq: int) -> list[bytes]:
    return wire.encode(event(seq), "h", epoch, seq)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        pytest.param([(1, 0), (1, 1)], [(0, False), (0, False)], id="in order"),
        pytest.param([(1, 5), (1, 6)], [(0, False), (0, False)], id="a late joiner missed nothing"),
        pytest.param([(1, 0), (1, 4)], [(0, False), (3, False)], id="a gap"),
        pytest.param([(1, 7), (2, 0)], [(0, False), (0, True)], id="a restart"),
        pytest.param([(1, 7), (2, 2)], [(0, False), (2, True)], id="a restart and a gap"),
    ],
)
def test_tracker(numbers: list[tuple[int, int]], told: list[tuple[int, bool]]) -> None:
    """A gap in seq is a loss; another epoch is a restart, counted from 0."""
    tracker = Tracker()
    origins = [tracker.decode(frames(*each)).origin for each in numbers]
    assert [(o.missed, o.restarted) for o in origins if o is not None] == told


def test_topics() -> None:
    """Names select topics; none selects all; a bad name is refused."""
    assert topics(["a"], ["event"]) == [b"damon.v1.a.event"]
    assert topics([], ["event"]) == [b"damon.v1."]
    with pytest.raises(InvalidNameError):
        topics(["a b"], ["event"])


class Stream:
    """A real XPUB in the place of a supervisor's."""

    def __init__(self, path: Path) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.endpoint = f"ipc://{path}"
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.bind(self.endpoint)

    def wait_subscribed(self) -> None:
        assert self.socket.poll(int(LIMIT_S * 1000))
        while self.socket.poll(0):
            self.socket.recv()

    def send(self, *seqs: int) -> None:
        for seq in seqs:
            self.socket.send_multipart(wire.encode(snapshot_like(seq), "h", 1, seq))


def snapshot_like(seq: int) -> wire.Message:
    from damond.core import Snapshot  # noqa: PLC0415 - only here

    own = ("context", "primitive", "targets", "budget", "origin", "end_ns")
    zeros = dict.fromkeys((name for name in Snapshot.__dataclass_fields__ if name not in own), 0)
    return Snapshot(**zeros, context="web", primitive="p", targets=(), end_ns=seq)


@pytest.fixture
def stream(tmp_path: Path) -> "Stream":
    made = Stream(tmp_path / "s")
    yield made  # type: ignore[misc]
    made.context.destroy(linger=0)


def test_latest_skips_and_says_so(stream: "Stream") -> None:
    """With ``latest`` a reader that fell behind gets the newest, and the number that was passed over."""
    with Subscriber(stream.endpoint, ["web"], latest=True) as subscriber:
        stream.wait_subscribed()
        stream.send(0)
        first = subscriber.receive(LIMIT_S)
        stream.send(*range(1, 8))
        assert first is not None
        seen, last = 0, 0
        while last < 7:
            message = subscriber.receive(LIMIT_S)
            assert message is not None
            assert message.origin is not None
            assert message.origin.missed == 0
            seen += 1 + message.origin.skipped
            last = message.origin.seq
        assert seen == 7


def test_timeout(stream: "Stream") -> None:
    """Nothing in time is None."""
    with Subscriber(stream.endpoint, ["web"]) as subscriber:
        assert subscriber.receive(0.01) is None


async def _read(subscriber: AsyncSubscriber, count: int) -> list[int]:
    seqs: list[int] = []
    async for message in subscriber:
        assert message.origin is not None
        seqs.append(message.origin.seq)
        if len(seqs) == count:
            break
    return seqs


def test_async(stream: "Stream") -> None:
    """The same with ``async for``."""
    import asyncio  # noqa: PLC0415 - only here

    async def run() -> list[int]:
        async with AsyncSubscriber(stream.endpoint, ["web"]) as subscriber:
            reading = asyncio.create_task(_read(subscriber, 3))
            await asyncio.to_thread(stream.wait_subscribed)
            stream.send(0, 1, 2)
            return await asyncio.wait_for(reading, LIMIT_S)

    assert asyncio.run(run()) == [0, 1, 2]


def test_publisher_numbers_per_kind(tmp_path: Path) -> None:
    """Seq counts from 0 per topic; the publisher waits for its reader, so nothing is lost before."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    xsub = context.socket(zmq.XSUB)
    xsub.bind(f"ipc://{tmp_path}/w")
    publisher = Publisher(context, f"ipc://{tmp_path}/w", "h", epoch=5)
    xsub.send(b"\x01")
    # One thread plays both ends: the reader only takes the connection in while it is polled.
    assert any(publisher.wait_connected(0.05) or xsub.poll(50) for _ in range(600))
    assert [publisher.publish(event(0)), publisher.publish(snapshot_like(0)), publisher.publish(event(1))] == [0, 0, 1]
    publisher.publish_as(event(2), epoch=4, seq=9)
    got = [wire.decode(xsub.recv_multipart()).origin for _ in range(4)]
    assert [(o.epoch, o.seq) for o in got if o is not None] == [(5, 0), (5, 0), (5, 1), (4, 9)]
    publisher.close()
    context.destroy(linger=0)
