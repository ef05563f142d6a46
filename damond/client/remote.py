"""Where a supervisor is, and whether it lets us in: libzmq itself would try for ever."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq
import zmq.asyncio
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

from damond.errors import ConfigError, NotPermittedError, UnreachableError

_HANDSHAKE_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class Remote:
    """A supervisor elsewhere.

    Attributes:
        query: Address for questions, ``tcp://HOST:PORT``.
        stream: Address to subscribe to.
        server_key: File of the supervisor's public key.
        client_key: File of our secret key; its public half is on file there.
    """

    query: str
    stream: str
    server_key: Path
    client_key: Path

    def connect(self, socket: "zmq.Socket[bytes] | zmq.asyncio.Socket", address: str) -> None:
        """Connect with keys, and wait until the supervisor has let us in: libzmq itself would try for ever.

        Raises:
            NotPermittedError: It does not know our key, or we do not know its.
            UnreachableError: Nobody answers within 2 s.
            ConfigError: A key file can't be read.
        """
        self.set_keys(socket)
        events = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        endpoint = f"inproc://handshake-{id(socket)}"
        socket.monitor(endpoint, events | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
        with zmq.Socket(zmq.Context(socket.context), zmq.PAIR) as monitor:
            monitor.setsockopt(zmq.LINGER, 0)
            monitor.connect(endpoint)
            socket.connect(address)
            happened = recv_monitor_message(monitor)["event"] if monitor.poll(_HANDSHAKE_MS) else 0
        socket.disable_monitor()
        if happened == 0:
            raise UnreachableError(f"nobody answers at {address}", hint="is the address right, and the service up?")
        if happened != zmq.EVENT_HANDSHAKE_SUCCEEDED:
            raise NotPermittedError(
                f"{address} refused our key",
                hint=f"put {self.client_key.stem}.key into its directory of authorised keys, then reload it; if it is "
                f"there, {self.server_key.name} is not that server's key",
            )

    def set_keys(self, socket: "zmq.Socket[bytes] | zmq.asyncio.Socket") -> None:
        """Give a socket the keys, before it is connected.

        Raises:
            ConfigError: A key file can't be read.
        """
        try:
            server, _ = zmq.auth.load_certificate(self.server_key)
            public, secret = zmq.auth.load_certificate(self.client_key)
        except (OSError, ValueError) as error:
            raise ConfigError(f"a key can't be read: {error}", hint="make keys: damond keys DIRECTORY NAME") from error
        if secret is None:
            raise ConfigError(f"{self.client_key} holds no secret key", hint="name the file NAME.key_secret")
        socket.setsockopt(zmq.CURVE_SERVERKEY, server)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, secret)


def check_reachable(path: Path) -> None:
    """See at once whether somebody listens on a socket; libzmq would try for ever.

    Raises:
        UnreachableError: Nobody does.
        NotPermittedError: It is not for us.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            raise UnreachableError(
                f"no supervisor serves on {path.parent}", hint="start one: damond serve --config FILE"
            ) from None
        except PermissionError:
            raise NotPermittedError(
                f"{path}: permission denied",
                hint="ask as root, as the user who runs the supervisor or, to read only, as a member of its group",
            ) from None
