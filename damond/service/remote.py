"""The same stream and the same questions over the network: CURVE only, for clients whose keys are on file."""

import socket as sockets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import zmq
import zmq.asyncio
import zmq.auth
from zmq.auth.asyncio import AsyncioAuthenticator
from zmq.auth.thread import ThreadAuthenticator

from damond.core.context import check_name
from damond.errors import ConfigError
from damond.service.authorized import Authorized
from damond.service.control import limit
from damond.service.hub import MAX_SUBSCRIPTION_SZ, SNDHWM
from damond.stream.subscriber import RCVHWM

SERVER: Final = "server"
"""Name of the supervisor's own key pair in the directory of keys."""


def make_keys(directory: Path, name: str) -> tuple[Path, Path]:
    """Make a key pair; return the files of the public and the secret one. An existing pair is kept.

    Raises:
        ConfigError: The directory can't be written.
    """
    check_name(name)
    public, secret = directory / f"{name}.key", directory / f"{name}.key_secret"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not secret.exists():
            zmq.auth.create_certificates(directory, name)
            secret.chmod(0o600)
    except OSError as error:
        raise ConfigError(f"{directory}: {error.strerror}", hint="choose another directory for the keys") from error
    return public, secret


def load_pair(secret: Path) -> tuple[bytes, bytes]:
    """Read a key pair from the file of its secret key.

    Raises:
        ConfigError: The file is missing, unreadable or holds no secret key.
    """
    try:
        public_key, secret_key = zmq.auth.load_certificate(secret)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{secret}: {error}", hint="make keys: damond keys DIRECTORY [NAME]") from error
    if secret_key is None:
        raise ConfigError(f"{secret} holds no secret key", hint="make keys: damond keys DIRECTORY [NAME]")
    return public_key, secret_key


def _serve_curve(socket: "zmq.Socket[bytes] | zmq.asyncio.Socket", pair: tuple[bytes, bytes]) -> None:
    socket.setsockopt(zmq.CURVE_PUBLICKEY, pair[0])
    socket.setsockopt(zmq.CURVE_SECRETKEY, pair[1])
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.ZAP_DOMAIN, b"damond")
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)


class RemoteStream:
    """Forwards the local stream to authorised clients on a TCP address.

    Args:
        local: The local stream.
        address: To forward it to.
        pair: Keys of this service.
        authorized: The clients' keys.
        welcome: What every subscriber is told when it is connected.

    Raises:
        ConfigError: The address can't be used.
    """

    def __init__(
        self, local: str, address: str, pair: tuple[bytes, bytes], authorized: Authorized, welcome: bytes
    ) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._auth = ThreadAuthenticator(self._context)
        self._auth.start()
        self._auth.configure_curve_callback(domain="damond", credentials_provider=authorized)
        xsub, xpub = self._context.socket(zmq.XSUB), self._context.socket(zmq.XPUB)
        for each in (xsub, xpub):
            each.setsockopt(zmq.LINGER, 0)
        xsub.setsockopt(zmq.RCVHWM, RCVHWM)
        xpub.setsockopt(zmq.SNDHWM, SNDHWM)
        xpub.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_SZ)  # else the hub would disconnect all of us for one of them
        xpub.setsockopt(zmq.XPUB_WELCOME_MSG, welcome)
        _serve_curve(xpub, pair)
        xsub.connect(local)
        _bind(xpub, address)
        self._thread = threading.Thread(target=self._forward, args=(xsub, xpub), name="damond-remote", daemon=True)
        self._thread.start()

    @staticmethod
    def _forward(xsub: "zmq.Socket[bytes]", xpub: "zmq.Socket[bytes]") -> None:
        try:
            zmq.proxy(xsub, xpub)
        except zmq.ContextTerminated:
            pass
        finally:
            xsub.close()
            xpub.close()

    def close(self) -> None:
        """End."""
        self._auth.stop()
        self._context.term()
        self._thread.join()


class RemoteQuery:
    """A ROUTER for questions of authorised clients, within an asyncio context.

    Raises:
        ConfigError: The address can't be used.
    """

    def __init__(self, address: str, pair: tuple[bytes, bytes], authorized: Authorized) -> None:
        self.context = zmq.asyncio.Context(io_threads=1)
        self._auth = AsyncioAuthenticator(self.context)
        self._auth.start()
        self._auth.configure_curve_callback(domain="damond", credentials_provider=authorized)
        self.socket = self.context.socket(zmq.ROUTER)
        limit(self.socket)
        _serve_curve(self.socket, pair)
        _bind(self.socket, address)

    def close(self) -> None:
        """End."""
        self._auth.stop()
        self.context.destroy(linger=200)


def _bind(socket: "zmq.Socket[bytes] | zmq.asyncio.Socket", address: str) -> None:
    bind: Callable[[str], object] = socket.bind
    _check_network(address)
    try:
        bind(address)
    except zmq.ZMQError as error:
        raise ConfigError(f"[remote] {address}: {error}", hint="an address of this machine that is free") from error


def _check_network(address: str) -> None:
    """Refuse in words where libzmq would abort: it lists the interfaces by netlink (ip_resolver.cpp:542)."""
    try:
        for family in (sockets.AF_INET, sockets.AF_NETLINK):
            sockets.socket(family, sockets.SOCK_DGRAM).close()
    except OSError as error:
        raise ConfigError(
            f"[remote] {address}: this process may not use the network: {error.strerror}",
            hint="the unit forbids it (RestrictAddressFamilies=): share/doc/damond/remote.conf opens it",
        ) from error
