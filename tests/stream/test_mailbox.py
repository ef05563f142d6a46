"""A reader that looks now and then: what it decodes, passes over and counts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from damond.core import Snapshot
from damond.stream import wire
from damond.stream.losses import LossReporter
from damond.stream.mailbox import MAX_KEPT, Mailbox

LIMIT_MS = 10_000


class Stream:
    """A real XPUB in the place of a supervisor's, and a mailbox that is connected to it."""

    def __init__(self, path: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, 10_000)
        self._socket.bind(f"ipc://{path}")
        self.now_s = 0.0
        self.mailbox = Mailbox(f"ipc://{path}", now=lambda: self.now_s)
        assert self._socket.poll(LIMIT_MS)
        self._socket.recv()

    def send(self, *messages: list[bytes]) -> None:
        """Send messages; return when the mailbox has them."""
        for each in messages:
            self._socket.send_multipart(each)
        collected = 0
        while collected < len(messages):
            assert self.mailbox._socket.poll(LIMIT_MS)
            collected += self.mailbox.collect()

    def close(self) -> None:
        self.mailbox.close()
        self._context.destroy(linger=0)


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    made = Stream(tmp_path / "s")
    yield made
    made.close()


def snapshot(context: str, seq: int, epoch: int = 1) -> list[bytes]:
    own = ("context", "primitive", "targets", "budget", "origin", "end_ns")
    zeros: dict[str, Any] = dict.fromkeys((name for name in Snapshot.__dataclass_fields__ if name not in own), 0)
    return wire.encode(Snapshot(**zeros, context=context, primitive="p", targets=(), end_ns=seq), "h", epoch, seq)


def told(found: list[Snapshot]) -> list[tuple[int, int, int]]:
    return [(each.end_ns, each.origin.missed, each.origin.skipped) for each in found if each.origin is not None]


def test_of_most_contexts_the_newest(stream: Stream) -> None:
    """What is passed over is counted, per context, and is no loss."""
    stream.send(*(snapshot("web", seq) for seq in range(5)), snapshot("db", 0))
    assert told(stream.mailbox.snapshots("web")) == [(4, 0, 4)]
    assert told(stream.mailbox.snapshots("db")) == [(0, 0, 0)]
    assert stream.mailbox.snapshots("web") == []


def test_of_the_followed_one_all(stream: Stream) -> None:
    """From the moment it is followed, in their order."""
    stream.send(snapshot("web", 0), snapshot("web", 1))
    stream.mailbox.follow("web")
    stream.send(*(snapshot("web", seq) for seq in range(2, 5)))
    assert told(stream.mailbox.snapshots("web")) == [(1, 0, 1), (2, 0, 0), (3, 0, 0), (4, 0, 0)]


def test_a_loss_is_told_apart(stream: Stream) -> None:
    """What never came is missed, what was passed over is skipped."""
    stream.send(snapshot("web", 0))
    assert told(stream.mailbox.snapshots("web")) == [(0, 0, 0)]
    stream.send(snapshot("web", 3), snapshot("web", 4))
    assert told(stream.mailbox.snapshots("web")) == [(4, 2, 1)]


def test_who_does_not_look_for_long_keeps_the_newest(stream: Stream) -> None:
    """A followed context, too, takes bounded memory: the oldest are skipped."""
    stream.mailbox.follow("web")
    stream.send(*(snapshot("web", seq) for seq in range(MAX_KEPT + 10)))
    found = told(stream.mailbox.snapshots("web"))
    assert found[0] == (10, 0, 10)
    assert [each[0] for each in found] == list(range(10, MAX_KEPT + 10))


def test_no_event_is_passed_over(stream: Stream) -> None:
    """They are few, and each matters."""
    events = [wire.Event(context="web", time_ns=seq, event="started") for seq in range(3)]
    stream.send(*(wire.encode(each, "h", 1, each.time_ns) for each in events))
    assert [each.time_ns for each in stream.mailbox.events()] == [0, 1, 2]
    assert stream.mailbox.events() == []


def test_when_the_last_one_came(stream: Stream) -> None:
    """It is known of every context without decoding, until that is forgotten."""
    stream.now_s = 7.0
    stream.send(snapshot("web", 0))
    assert stream.mailbox.arrived_s("web") == 7.0
    assert stream.mailbox.arrived_s("db") is None
    stream.mailbox.forget("web")
    assert stream.mailbox.arrived_s("web") is None
    assert stream.mailbox.snapshots("web") == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda frames: [b"damon.v1.web", *frames[1:]],
        lambda frames: [*frames[:2], b"\xc1"],
        lambda frames: frames[:2],
        lambda frames: [frames[0], b"", frames[2]],
    ],
    ids=["topic", "body", "two frames", "header"],
)
def test_what_is_no_message_is_counted(stream: Stream, damage: Callable[[list[bytes]], list[bytes]]) -> None:
    """It ends nothing, and what comes behind it is read."""
    stream.mailbox.follow("web")
    stream.send(damage(snapshot("web", 0)), snapshot("web", 1))
    assert [each[0] for each in told(stream.mailbox.snapshots("web"))] == [1]
    assert stream.mailbox.unreadable == 1


def test_losses_are_told_to_the_supervisor(tmp_path: Path, stream: Stream) -> None:
    """Nobody else could know of them; what was passed over is none."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.setsockopt(zmq.LINGER, 0)
        router.bind(f"ipc://{tmp_path}/query")
        stream.mailbox._losses = LossReporter("local", lambda dealer: dealer.connect(f"ipc://{tmp_path}/query"))
        stream.send(snapshot("web", 0))
        stream.mailbox.snapshots("web")
        stream.send(snapshot("web", 4), snapshot("web", 5))
        stream.mailbox.snapshots("web")
        assert router.poll(LIMIT_MS)
        request = msgpack.unpackb(router.recv_multipart()[-1])
    assert (request["verb"], request["args"]["lost"]) == ("lost", {"web": 3})
