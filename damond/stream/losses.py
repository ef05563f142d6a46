"""Telling the supervisor what a reader has lost: libzmq drops without a word, so nobody else could."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Literal

import msgpack
import zmq

from damond.stream import wire

CONTROL_VERSION: Final = 1
"""Of the requests that are described in :mod:`damond.service.control`."""
TELL_EVERY_S: Final = 5.0
"""Least time between two reports of one reader."""
_MAX_CONTEXTS: Final = 256
"""In one report, as the supervisor takes it."""
_LINGER_MS: Final = 100

Open = Callable[["zmq.Socket[bytes]"], None]
"""Connects a socket to the supervisor's socket for questions, without waiting for it."""


class LossReporter:
    """Counts what one reader has missed, and tells the supervisor: nothing is opened before there is a loss.

    It never waits, and what can't be told is not: a reader must not become slower by it.

    Args:
        stream: Which stream it reads.
        connect: See :data:`Open`.
    """

    def __init__(self, stream: Literal["local", "remote"], connect: Open) -> None:
        self._stream = stream
        self._connect = connect
        self._lost: Counter[str] = Counter()
        self._due_s = 0.0
        self._socket: zmq.Socket[bytes] | None = None

    def note(self, message: wire.Message, context: "zmq.Context[Any]") -> None:
        """Take note of a message, and of what was lost before it; tell what there is to tell, if it is time.

        Args:
            message: As it was decoded. What a worker's restart or a reader's late begin left out is no loss.
            context: Of the reader's own socket.
        """
        origin = message.origin
        if origin is not None and origin.missed and not origin.restarted:
            self._lost[message.context] += origin.missed
        if self._lost and time.monotonic() >= self._due_s:
            self._tell(context)

    def _tell(self, context: "zmq.Context[Any]") -> None:
        self._due_s = time.monotonic() + TELL_EVERY_S
        if self._socket is None:
            self._socket = zmq.Context(context).socket(zmq.DEALER)
            self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
            self._socket.setsockopt(zmq.SNDHWM, 1)
            self._socket.setsockopt(zmq.RCVHWM, 1)
            self._connect(self._socket)
        self._send()

    def _send(self) -> None:
        if self._socket is None or not self._lost:
            return
        while self._socket.poll(0):  # answers: they only say that it was taken in
            self._socket.recv()
        lost = dict(self._lost.most_common(_MAX_CONTEXTS))
        request = {"v": CONTROL_VERSION, "id": 1, "verb": "lost", "args": {"stream": self._stream, "lost": lost}}
        try:
            self._socket.send(msgpack.packb(request), zmq.DONTWAIT)
        except zmq.Again:
            return
        self._lost.clear()

    def close(self) -> None:
        """Tell what is left, and close."""
        self._send()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
