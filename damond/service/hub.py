"""Forwards the stream in a native thread, and keeps the newest message of every topic."""

import logging
import threading
import time
from typing import Final

import zmq

from damond.errors import ProtocolError
from damond.service.replay import LIMIT_SZ, Frames, Replay
from damond.stream import wire
from damond.stream.endpoints import Endpoints
from damond.stream.publisher import Publisher

_log = logging.getLogger(__name__)

SNDHWM: Final = 256
"""Messages that may wait for one subscriber: half a second of 50 contexts at 10 Hz. What is more is lost to that
subscriber alone; its client library tells it."""
_RCVHWM: Final = 256
_CONNECT_TIMEOUT_S: Final = 5.0

MAX_SUBSCRIPTION_SZ: Final = 1024
"""Bytes of the largest subscription: a topic has at most 82. Who sends more is disconnected."""
_FOR_WORKERS: Final = 0b01
_FOR_READERS: Final = 0b10
"""I/O threads: whoever floods the stream with connections must not make workers look late."""
_NR_FRAMES: Final = 3
_SNAPSHOT: Final = b".snapshot"


class Drops:
    """Losses that can be known at the hub.

    What ZeroMQ drops for a subscriber that falls behind is not among them: PUB drops silently, and only the
    subscriber can tell, from the gaps in seq.

    Attributes:
        malformed: Messages that were none of wire version 1, and were forwarded only.
        missed: Context -> messages that a worker has numbered and that never came by.
    """

    def __init__(self) -> None:
        self.malformed = 0
        self.missed: dict[str, int] = {}
        self._last: dict[bytes, tuple[int, int]] = {}

    def note(self, frames: Frames) -> bool:
        """Take note of a message; return whether it is one."""
        try:
            context, _ = wire.parse_topic(frames[0])
            epoch, seq = wire.parse_header(frames[1] if len(frames) == _NR_FRAMES else b"")
        except ProtocolError:
            self.malformed += 1
            return False
        last_epoch, last_seq = self._last.get(frames[0], (0, -1))
        if epoch != last_epoch:
            last_seq = -1
        if seq > last_seq:
            self._last[frames[0]] = (epoch, seq)
        # The supervisor's word on a dead worker may overtake the last one of the worker itself, which then makes up.
        self.missed[context] = max(0, self.missed.get(context, 0) + (seq - last_seq - 1 if seq > last_seq else -1))
        return True

    def forget(self, context: str) -> None:
        """Drop what is kept of a context."""
        self.missed.pop(context, None)
        for kind in wire.KINDS:
            self._last.pop(wire.topic(context, kind), None)


class Hub:
    """SUB for workers, PUB for subscribers, and a memory of what went through.

    The proxy runs in libzmq, without the interpreter's lock; what it forwards is seen here by a second thread, so
    that no Python code is between a worker and a subscriber. With XPUB and XSUB every subscription of any subscriber
    would go on to every worker: a member of the group could keep privileged workers busy with them. Here all that
    subscribers send ends at PUB.

    Args:
        endpoints: Where the sockets are.
        host: Name of this machine.
        welcome: What every subscriber is told when it is connected.
        replay_sz: Memory for the snapshots that are kept for replay. Bytes.

    Attributes:
        newest: Topic -> frames of its newest message.
        last_snapshot_s: Context -> when its last snapshot went through, by the monotonic clock.
        replay: The snapshots that went through lately.
        drops: What can be known of losses, see :class:`Drops`.
    """

    def __init__(self, endpoints: Endpoints, host: str, welcome: bytes, replay_sz: int = LIMIT_SZ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=2)
        self._host = host
        self._workers_endpoint = endpoints.workers
        self.newest: dict[bytes, Frames] = {}
        self.last_snapshot_s: dict[str, float] = {}
        self.replay = Replay(replay_sz)
        self.drops = Drops()
        sub = self._context.socket(zmq.SUB)
        sub.setsockopt(zmq.LINGER, 0)
        sub.setsockopt(zmq.RCVHWM, _RCVHWM)
        sub.setsockopt(zmq.AFFINITY, _FOR_WORKERS)
        sub.setsockopt(zmq.SUBSCRIBE, b"")  # all topics: the newest is kept whether anybody listens or not
        sub.bind(endpoints.workers)
        pub = self._context.socket(zmq.PUB)
        pub.setsockopt(zmq.LINGER, 0)
        pub.setsockopt(zmq.SNDHWM, SNDHWM)
        pub.setsockopt(zmq.AFFINITY, _FOR_READERS)
        pub.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_SZ)
        pub.setsockopt(zmq.XPUB_WELCOME_MSG, welcome)  # PUB takes it too: pub_t is an xpub_t (libzmq 4.3.5, pub.hpp)
        pub.bind(endpoints.stream)
        capture = self._context.socket(zmq.PUB)  # drops, and never stalls the proxy
        capture.setsockopt(zmq.LINGER, 0)
        capture.bind("inproc://seen")
        seen = self._context.socket(zmq.SUB)
        seen.setsockopt(zmq.LINGER, 0)
        seen.setsockopt(zmq.SUBSCRIBE, b"")
        seen.connect("inproc://seen")
        self._threads = [
            threading.Thread(target=self._forward, args=(sub, pub, capture), name="damond-forward", daemon=True),
            threading.Thread(target=self._remember, args=(seen,), name="damond-remember", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _forward(*sockets: "zmq.Socket[bytes]") -> None:
        try:
            zmq.proxy(*sockets)
        except zmq.ContextTerminated:
            _log.debug("the stream ends")
        finally:
            for each in sockets:
                each.close()

    def _remember(self, seen: "zmq.Socket[bytes]") -> None:
        try:
            while True:
                frames = seen.recv_multipart()
                if not self.drops.note(frames):
                    continue
                self.newest[frames[0]] = frames
                if frames[0].endswith(_SNAPSHOT):
                    self.replay.add(frames)
                    name = frames[0][len(wire.PREFIX) : -len(_SNAPSHOT)].decode("ascii", errors="replace")
                    self.last_snapshot_s[name] = time.monotonic()
        except zmq.ContextTerminated:
            seen.close()

    def forget(self, context: str) -> None:
        """Drop what is kept of a context that is gone for good."""
        for kind in wire.KINDS:
            self.newest.pop(wire.topic(context, kind), None)
        self.last_snapshot_s.pop(context, None)
        self.drops.forget(context)

    def publisher(self) -> Publisher:
        """Make a publisher of the supervisor's own, for what a dead worker can't say any more."""
        publisher = Publisher(self._context, self._workers_endpoint, self._host, time.time_ns())
        publisher.wait_connected(_CONNECT_TIMEOUT_S)
        return publisher

    def close(self) -> None:
        """End the stream."""
        self._context.term()
        for thread in self._threads:
            thread.join()
