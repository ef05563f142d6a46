"""The links between supervisor, launcher and workers: pairs of sockets that keep message boundaries.

Whoever is gone closes his end, and the other reads the end of the link: nobody needs to ask.
"""

import array
import os
import select
import socket
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import msgpack

MAX_MESSAGE_SZ: Final = 128 * 1024
"""Bytes of the largest message: below what a socket buffer takes in one piece (net.core.wmem_default, 208 KiB)."""

_MAX_FDS: Final = 4


class LinkClosedError(Exception):
    """The other end is gone."""


class Link:
    """One end of a link. Messages are msgpack maps; descriptors may travel with them."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Make both ends."""
        left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        return cls(left), cls(right)

    @classmethod
    def from_fd(cls, fd: int) -> Self:
        """Take over a descriptor."""
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """Descriptor, for select."""
        return self._socket.fileno()

    def set_nonblocking(self) -> None:
        """Let both directions raise BlockingIOError instead of waiting."""
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's signature

    def send(self, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message.

        Raises:
            LinkClosedError: The other end is gone.
            ValueError: The message is larger than ``MAX_MESSAGE_SZ``.
        """
        raw = msgpack.packb(dict(message))
        if len(raw) > MAX_MESSAGE_SZ:
            raise ValueError(f"a message of {len(raw)} bytes; at most {MAX_MESSAGE_SZ} cross a link")
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._socket.sendmsg([raw], ancillary)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise LinkClosedError from error

    def receive(self) -> tuple[dict[str, Any], list[int]]:
        """Take the next message and its descriptors; blocks until there is one.

        Raises:
            LinkClosedError: The other end is gone, and all it sent has been read; or it sent what is no message.
        """
        try:
            try:
                raw, fds = self._receive()
            except ConnectionResetError:  # said once, where the other end has left something unread
                raw, fds = self._receive()
        except ConnectionResetError as error:
            raise LinkClosedError from error
        if not raw:
            raise LinkClosedError
        try:
            message = msgpack.unpackb(raw, strict_map_key=False)
        except (ValueError, msgpack.UnpackException) as error:
            close_all(fds)
            raise LinkClosedError from error
        if not isinstance(message, dict) or "kind" not in message:
            close_all(fds)
            raise LinkClosedError
        return message, fds

    def _receive(self) -> tuple[bytes, list[int]]:
        raw, fds, _, _ = socket.recv_fds(self._socket, MAX_MESSAGE_SZ, _MAX_FDS, socket.MSG_CMSG_CLOEXEC)
        return raw, fds

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def wait_readable(fds: Sequence[int], timeout_s: float) -> list[int]:
    """Wait until one of the descriptors can be read. select, because poll and epoll round to whole milliseconds."""
    return select.select(fds, (), (), timeout_s if timeout_s > 0 else 0.0)[0]


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
