"""The reading end of the stream: decodes messages, and tells what was lost."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Self

import zmq
import zmq.asyncio

from damond.core.context import check_name
from damond.stream import welcome, wire
from damond.stream.losses import LossReporter
from damond.stream.welcome import Welcome

RCVHWM: Final = 1000
"""Messages that may wait in the reader; what comes then is lost, and reported as missed."""


def topics(contexts: Iterable[str], kinds: Iterable[str]) -> list[bytes]:
    """List the subscriptions for some contexts (none named: all) and kinds."""
    names = [check_name(each) for each in contexts]
    if not names:
        return [wire.PREFIX.encode("ascii")]
    return [wire.topic(name, kind) for name in names for kind in kinds]


Connect = Callable[["zmq.Socket[bytes] | zmq.asyncio.Socket", str], None]
"""Connects a socket to an address, where more than an address is needed."""


class Tracker:
    """Follows epoch and seq per topic, so that gaps and restarts are told."""

    def __init__(self) -> None:
        self._last: dict[bytes, tuple[int, int]] = {}

    def decode(self, frames: wire.Frames, skipped: int = 0) -> wire.Message:
        """Decode a message; ``skipped`` of its topic were passed over on purpose.

        Raises:
            ProtocolError: It is no message of wire version 1.
        """
        wire.parse_topic(frames[0])
        epoch, seq = wire.parse_header(frames[1]) if len(frames) > 1 else (0, 0)
        last_epoch, last_seq = self._last.get(frames[0], (epoch, seq - 1))
        restarted = epoch != last_epoch
        missed = seq if restarted else seq - last_seq - 1
        message = wire.decode(frames, missed=max(0, missed - skipped), skipped=skipped, restarted=restarted)
        self._last[frames[0]] = (epoch, seq)
        return message

    def is_old(self, frames: wire.Frames) -> bool:
        """Say whether a message, or a later one of its topic and epoch, has been decoded before.

        Raises:
            ProtocolError: It is no message of wire version 1.
        """
        if len(frames) != wire.NR_FRAMES:
            return False
        epoch, seq = wire.parse_header(frames[1])
        last_epoch, last_seq = self._last.get(frames[0], (epoch, seq - 1))
        return epoch == last_epoch and seq <= last_seq


class _Base:
    """What both subscribers have.

    Attributes:
        welcome: Who publishes, once it is connected; another one after it was connected anew. None before.
    """

    _context: "zmq.Context[Any]"

    def __init__(self, kinds: Iterable[str], latest: bool, losses: LossReporter | None) -> None:  # noqa: FBT001 - passed on from keywords
        self.welcome: Welcome | None = None
        self._losses = losses
        self._kinds = frozenset(kinds)
        self._latest = latest
        self._tracker = Tracker()
        self._ready: list[wire.Message] = []

    def prime(self, frames: wire.Frames) -> wire.Message:
        """Begin with a message that came in another way; the stream goes on from there, and a gap is told."""
        return self._tracker.decode(frames)

    def _take(self, waiting: Iterable[list[bytes]]) -> None:
        """Take in what came: the welcome is kept, messages wait behind those that are there."""
        messages = []
        for frames in waiting:
            if welcome.is_welcome(frames):
                self.welcome = welcome.decode(frames[0])
            else:
                messages.append(frames)
        decoded = list(self._newest(messages))
        if self._losses is not None:
            for message in decoded:
                self._losses.note(message, self._context)
        self._ready = [*decoded[::-1], *self._ready]

    def _end(self) -> None:
        if self._losses is not None:
            self._losses.close()
        self._context.destroy(linger=0)

    def _wanted(self, frames: wire.Frames) -> bool:
        return wire.parse_topic(frames[0])[1] in self._kinds

    def _newest(self, waiting: Iterable[wire.Frames]) -> Iterator[wire.Message]:
        """Decode what waits; where only the latest is wanted, of each topic the last, but every event."""
        rows = [frames for frames in waiting if self._wanted(frames) and not self._tracker.is_old(frames)]
        last = {frames[0]: number for number, frames in enumerate(rows)}
        skipped: dict[bytes, int] = {}
        for number, frames in enumerate(rows):
            if self._latest and last[frames[0]] != number and not frames[0].endswith(b".event"):
                skipped[frames[0]] = skipped.get(frames[0], 0) + 1
            else:
                yield self._tracker.decode(frames, skipped.pop(frames[0], 0))


class Subscriber(_Base):
    """A blocking subscriber; iterating over it yields messages until it is closed.

    Args:
        endpoint: The stream of a supervisor.
        contexts: Names; empty means all.
        kinds: ``snapshot``, ``summary``, ``event``.
        latest: Pass over all but the newest message of each topic when falling behind (events are never passed over).
        connect: Connects the socket, where more than an address is needed.
        losses: Tells the supervisor what is lost; None tells nobody.
    """

    def __init__(
        self,
        endpoint: str,
        contexts: Iterable[str] = (),
        kinds: Iterable[str] = ("snapshot",),
        *,
        latest: bool = False,
        connect: Connect | None = None,
        losses: LossReporter | None = None,
    ) -> None:
        super().__init__(kinds, latest, losses)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.SUB)
        try:
            connect_socket(self._socket, endpoint, [*topics(contexts, self._kinds), welcome.TOPIC], connect)
        except BaseException:
            self.close()
            raise

    def receive(self, timeout_s: float | None = None) -> wire.Message | None:
        """Return the next message, or None if none came in time. None as time waits for ever.

        Raises:
            ProtocolError: Something that is no message of wire version 1 came.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._ready:
            if not self._take_some(deadline_s):
                return None
        return self._ready.pop()

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait for the welcome; return False if none came in time. Messages that come meanwhile are kept.

        Raises:
            ProtocolError: As :meth:`receive`.
        """
        deadline_s = time.monotonic() + timeout_s
        while self.welcome is None and self._take_some(deadline_s):
            pass
        return self.welcome is not None

    def _take_some(self, deadline_s: float | None) -> bool:
        """Wait until something is there, and take it in; return False if nothing came in time."""
        left_ms = None if deadline_s is None else max(0, int((deadline_s - time.monotonic()) * 1000))
        if not self._socket.poll(left_ms):
            return False
        self._take(self._waiting())
        return True

    def _waiting(self) -> list[list[bytes]]:
        rows = [self._socket.recv_multipart()]
        while self._latest and self._socket.poll(0):
            rows.append(self._socket.recv_multipart())
        return rows

    def __iter__(self) -> Iterator[wire.Message]:
        while (message := self.receive()) is not None:
            yield message

    def close(self) -> None:
        """Close the connection."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncSubscriber(_Base):
    """As :class:`Subscriber`, for asyncio: ``async for message in subscriber``."""

    def __init__(
        self,
        endpoint: str,
        contexts: Iterable[str] = (),
        kinds: Iterable[str] = ("snapshot",),
        *,
        latest: bool = False,
        connect: Connect | None = None,
        losses: LossReporter | None = None,
    ) -> None:
        super().__init__(kinds, latest, losses)
        self._context = zmq.asyncio.Context(io_threads=1)
        self._socket = self._context.socket(zmq.SUB)
        try:
            connect_socket(self._socket, endpoint, [*topics(contexts, self._kinds), welcome.TOPIC], connect)
        except BaseException:
            self.close()
            raise

    async def receive(self) -> wire.Message:
        """Return the next message.

        Raises:
            ProtocolError: Something that is no message of wire version 1 came.
        """
        while not self._ready:
            await self._take_some()
        return self._ready.pop()

    async def wait_connected(self) -> Welcome:
        """Wait for the welcome. Messages that come meanwhile are kept.

        Raises:
            ProtocolError: As :meth:`receive`.
        """
        while self.welcome is None:
            await self._take_some()
        return self.welcome

    async def _take_some(self) -> None:
        rows = [await self._socket.recv_multipart()]
        while self._latest and await self._socket.poll(0):
            rows.append(await self._socket.recv_multipart())
        self._take(rows)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> wire.Message:
        return await self.receive()

    def close(self) -> None:
        """Close the connection."""
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def connect_socket(
    socket: "zmq.Socket[bytes] | zmq.asyncio.Socket",
    endpoint: str,
    subscriptions: Iterable[bytes],
    connect: Connect | None,
) -> None:
    """Connect the reading end: with its limits, and again by itself whenever the supervisor comes back."""
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.RCVHWM, RCVHWM)
    socket.setsockopt(zmq.RECONNECT_IVL, 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    for each in subscriptions:
        socket.setsockopt(zmq.SUBSCRIBE, each)
    if connect is not None:
        connect(socket, endpoint)
    else:
        socket.connect(endpoint)
