"""The writing end of the stream: one per worker."""

from typing import Final

import zmq

from damond.stream import wire

_SNDHWM: Final = 64
"""Messages that may wait for the supervisor: 6 s of snapshots at 10 Hz."""
_LINGER_MS: Final = 200
"""For the last messages of a worker that ends; a supervisor that is gone takes nothing and costs no time."""


class Publisher:
    """Publishes the messages of one context, numbered per topic.

    Attributes:
        epoch: Start of this worker, Unix time. Nanoseconds.
    """

    def __init__(self, zmq_context: "zmq.Context[zmq.Socket[bytes]]", endpoint: str, host: str, epoch: int) -> None:
        self.epoch = epoch
        self._host = host
        self._seq: dict[str, int] = {}
        # XPUB, not PUB: it shows when the supervisor's subscription has arrived, and nothing is lost before.
        self._socket = zmq_context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, _SNDHWM)
        self._socket.setsockopt(zmq.LINGER, _LINGER_MS)
        self._socket.connect(endpoint)

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until the supervisor has subscribed. Return False if it has not in that time."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return False
        self._drain()
        return True

    def publish(self, message: wire.Message) -> int:
        """Send a message; return its seq. Never blocks: what can't be taken in is lost, and its seq shows it."""
        kind = wire.kind_of(message)
        seq = self._seq.get(kind, 0)
        self._seq[kind] = seq + 1
        self.publish_as(message, self.epoch, seq)
        return seq

    def publish_as(self, message: wire.Message, epoch: int, seq: int) -> None:
        """Send a message in the place of a worker that can't any more, with the number that it would have used."""
        self._drain()
        self._socket.send_multipart(wire.encode(message, self._host, epoch, seq), zmq.DONTWAIT)

    def _drain(self) -> None:
        """Take in subscriptions that came and went: nobody else reads them here."""
        while self._socket.poll(0):
            self._socket.recv()

    def close(self) -> None:
        """Close, after the last messages have gone."""
        self._socket.close()
