"""Who is connected to this process: as the kernel knows it, since libzmq tells nothing of its connections.

The sockets that libzmq has accepted are descriptors of this process. They are looked at by way of duplicates, so that
one that is closed meanwhile is never mistaken for another.
"""

import contextlib
import fcntl
import os
import socket
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_FDS: Final = "/proc/self/fd"
_PEERCRED: Final = struct.Struct("3i")
_OUTQ: Final = struct.Struct("i")


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection that was accepted.

    Attributes:
        fd: Its descriptor.
        inode: Number of its socket, which no other one has at the same time.
        door: Name of the socket that it came in by.
        owner: User id of the process that connected, or its address, if it is elsewhere.
        pid: That process, if it is on this machine.
    """

    fd: int
    inode: int
    door: str
    owner: int | str
    pid: int | None


def count_descriptors() -> int:
    """Count the descriptors of this process."""
    return len(os.listdir(_FDS))  # noqa: PTH208 - names, not paths


def descriptors() -> dict[int, int]:
    """List the descriptors of this process, each with the inode of what it is."""
    found = {}
    for name in os.listdir(_FDS):  # noqa: PTH208 - names, not paths
        with contextlib.suppress(OSError):  # closed meanwhile
            found[int(name)] = os.fstat(int(name)).st_ino
    return found


def listening(doors: Mapping[str | int, str]) -> list[int]:
    """List the descriptors that listen behind doors. Arguments as those of :func:`describe`."""
    found = []
    for fd in descriptors():
        with contextlib.suppress(OSError), _duplicate(fd) as sock:  # closed meanwhile, or no socket
            name = sock.getsockname()
            behind = doors.get(name[1] if isinstance(name, tuple) else name)
            if behind is not None and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                found.append(fd)
    return found


def describe(fd: int, inode: int, doors: Mapping[str | int, str]) -> Connection | None:
    """Describe a connection that came in by a door; None for anything else, and for those of this process to itself.

    Args:
        fd: A descriptor.
        inode: What it is.
        doors: Path of a local socket, or TCP port -> name.
    """
    try:
        with _duplicate(fd) as sock:
            name = sock.getsockname()
            door = doors.get(name[1] if isinstance(name, tuple) else name)
            if door is None:
                return None
            pid, owner = _peer(sock, name)
            return None if pid == os.getpid() else Connection(fd, inode, door, owner, pid)
    except OSError:  # no socket, or not connected any more
        return None


def queued(connection: Connection) -> tuple[int, int]:
    """Say how many bytes were sent to it and not read, with the kernel's overhead, and how many that may be."""
    with contextlib.suppress(OSError), _duplicate(connection.fd) as sock:
        if os.fstat(sock.fileno()).st_ino == connection.inode:
            size = _OUTQ.unpack(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(_OUTQ.size)))[0]
            return size, sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    return 0, 0


def cut(connection: Connection) -> bool:
    """End a connection, if it is still there: libzmq sees its end, and closes it."""
    with contextlib.suppress(OSError), _duplicate(connection.fd) as sock:
        if os.fstat(sock.fileno()).st_ino == connection.inode:
            sock.shutdown(socket.SHUT_RDWR)
            return True
    return False


def _duplicate(fd: int) -> socket.socket:
    """Duplicate a descriptor. The family does not matter: what is asked for names its own; it is not looked up.

    Raises:
        OSError: It has been closed, or is no socket.
    """
    copy = os.dup(fd)
    try:
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _peer(sock: socket.socket, name: Any) -> tuple[int | None, int | str]:
    """Say who connected: as it was when it did (unix(7), SO_PEERCRED). A socket that listens is its own peer."""
    if isinstance(name, tuple):
        return None, str(sock.getpeername()[0])
    pid, uid, _ = _PEERCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size))
    return pid, uid
