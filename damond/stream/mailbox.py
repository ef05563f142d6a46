"""The reading end for who looks now and then: what has come waits undecoded, of most contexts only the newest."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Self

import zmq

from damond.core import Snapshot
from damond.errors import ProtocolError
from damond.stream import wire
from damond.stream.losses import LossReporter
from damond.stream.subscriber import RCVHWM, Connect, Tracker, connect_socket, topics

MAX_KEPT: Final = 64
"""Snapshots of a followed context that wait at most; older ones are skipped. Decoding as many takes 2 to 20 ms."""

_MAX_EVENTS: Final = 1024
_MAX_COLLECTED: Final = 4 * RCVHWM
"""Messages that one call takes from the socket at most, so that it ends however many come."""


class Mailbox:
    """A subscriber to all contexts that never waits.

    Messages are cheap to collect and decoded only when they are taken, so that a reader that shows one context of
    fifty pays for one of fifty. What it passes over is told as ``skipped`` in the origin of the next one taken.

    Args:
        endpoint: The stream of a supervisor.
        connect: Connects the socket, where more than an address is needed.
        losses: Tells the supervisor what is lost; None tells nobody.
        now: The clock of :meth:`arrived_s`.

    Attributes:
        unreadable: Messages that were none of wire version 1.
    """

    def __init__(
        self,
        endpoint: str,
        connect: Connect | None = None,
        *,
        losses: LossReporter | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unreadable = 0
        self._losses = losses
        self._now = now
        self._followed: str | None = None
        self._tracker = Tracker()
        self._waiting: dict[str, deque[wire.Frames]] = {}
        self._skipped: dict[str, int] = {}
        self._arrived_s: dict[str, float] = {}
        self._events: deque[wire.Frames] = deque(maxlen=_MAX_EVENTS)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.SUB)
        try:
            connect_socket(self._socket, endpoint, topics([], []), connect)
        except BaseException:
            self.close()
            raise

    def follow(self, context: str | None) -> None:
        """Keep every snapshot of this context from now on (``MAX_KEPT`` at most), and of others the newest."""
        self._followed = context

    def collect(self) -> int:
        """Take what has come from the socket; return how many messages that were."""
        for number in range(_MAX_COLLECTED):
            if not self._socket.poll(0):
                return number
            self._sort(self._socket.recv_multipart())
        return _MAX_COLLECTED

    def _sort(self, frames: wire.Frames) -> None:
        try:
            context, kind = wire.parse_topic(frames[0])
        except ProtocolError:
            self.unreadable += 1
            return
        if kind == "event":
            self._events.append(frames)
        elif kind == "snapshot":
            self._arrived_s[context] = self._now()
            self._keep(context, frames)

    def _keep(self, context: str, frames: wire.Frames) -> None:
        waiting = self._waiting.setdefault(context, deque())
        waiting.append(frames)
        while len(waiting) > (MAX_KEPT if context == self._followed else 1):
            waiting.popleft()
            self._skipped[context] = self._skipped.get(context, 0) + 1

    def arrived_s(self, context: str) -> float | None:
        """Tell when the last snapshot of a context came, taken or not, by ``now``; None is never."""
        return self._arrived_s.get(context)

    def snapshots(self, context: str) -> list[Snapshot]:
        """Take what waits of a context: its newest snapshot, or all, if it is followed."""
        waiting = self._waiting.pop(context, ())
        skipped = self._skipped.pop(context, 0) if waiting else 0
        found = []
        for frames in waiting:
            message = self._decode(frames, skipped)
            skipped = 0
            if isinstance(message, Snapshot):
                found.append(message)
        return found

    def events(self) -> list[wire.Event]:
        """Take the events of all contexts; none is ever passed over but by the thousand."""
        found = [self._decode(frames, 0) for frames in self._events]
        self._events.clear()
        return [each for each in found if isinstance(each, wire.Event)]

    def _decode(self, frames: wire.Frames, skipped: int) -> wire.Message | None:
        try:
            message = self._tracker.decode(frames, skipped)
        except ProtocolError:
            self.unreadable += 1
            return None
        if self._losses is not None:
            self._losses.note(message, self._context)
        return message

    def forget(self, context: str) -> None:
        """Drop what is known of a context that is no more."""
        for each in (self._waiting, self._skipped, self._arrived_s):
            each.pop(context, None)

    def close(self) -> None:
        """Close the connection."""
        if self._losses is not None:
            self._losses.close()
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
