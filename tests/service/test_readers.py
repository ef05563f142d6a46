"""Who is connected, who does not keep up and what was lost by it: told in status, for what it is."""

import os
import pwd
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq

from damond.client import Client, Remote, subscribe
from damond.core import Snapshot
from damond.errors import NotPermittedError, UnknownNameError, UnreachableError, UsageError
from damond.service import readers
from damond.service.connections import Connection, cut, describe, descriptors, queued
from damond.service.remote import make_keys
from damond.stream import wire
from damond.stream.subscriber import Subscriber
from tests.chaos.rig import LIMIT_S, Served, free_port, synthetic, wait

INTERVALS = 'sample_interval = "1ms"\naggr_interval = "1ms"\n'
FAST = f'[context.fast]\nprimitive = "synthetic"\nmin_nr_regions = 500\n{INTERVALS}'
"""Up to 1000 snapshots of some KiB per second fill every queue on the way within seconds."""
ENOUGH = 1000
"""Messages: more than fit into all queues on the way (256, and the 4 MiB that the kernel holds for TCP)."""
ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A service with one fast context, and one to hold on to, over the network too."""
    make_keys(tmp_path / "keys", "server")
    make_keys(tmp_path / "keys", "friend")
    (tmp_path / "authorized").mkdir()
    (tmp_path / "authorized" / "friend.key").write_text((tmp_path / "keys" / "friend.key").read_text())
    keys = f'key = "{tmp_path}/keys/server.key_secret"\nauthorized = "{tmp_path}/authorized"'
    addresses = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
    remote = f'[remote]\nquery = "{addresses[0]}"\nstream = "{addresses[1]}"\n{keys}\n'
    made = Served(tmp_path, remote + FAST + synthetic("steady"))
    yield made
    try:
        made.end()
    finally:
        made.abandon()


@pytest.fixture(autouse=True)
def _short_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let readers here hold few messages, so that fewer have to be made."""
    monkeypatch.setattr("damond.stream.subscriber.RCVHWM", 10)


@pytest.fixture
def remote(served: Served, tmp_path: Path) -> Remote:
    found = served.status()["remote"]
    keys = tmp_path / "keys"
    return Remote(found["query"], found["stream"], keys / "server.key", keys / "friend.key_secret")


def deaf(stack: ExitStack, endpoint: str, remote: Remote | None = None) -> None:
    """Connect a subscriber that never reads."""
    context: zmq.Context[zmq.Socket[bytes]] = stack.enter_context(zmq.Context())
    sub = stack.enter_context(context.socket(zmq.SUB))
    sub.setsockopt(zmq.LINGER, 0)
    sub.setsockopt(zmq.RCVHWM, 1)
    sub.setsockopt(zmq.SUBSCRIBE, wire.topic("fast", "snapshot"))
    if remote is not None:
        remote.set_keys(sub)
    sub.connect(endpoint)
    assert sub.poll(int(LIMIT_S * 1000))


@pytest.mark.parametrize("where", ["stream", "remote_stream"])
def test_who_does_not_keep_up(served: Served, remote: Remote, where: str) -> None:
    """A subscriber that does not read is named, with how much waits and for how long; one that reads is not."""

    def told() -> Any:
        return served.status()["readers"][where]

    with ExitStack() as stack:
        reader = stack.enter_context(subscribe("steady", runtime_dir=served.run).open())
        assert reader.receive(LIMIT_S) is not None
        if where == "stream":
            deaf(stack, f"ipc://{served.run}/stream")
        else:
            deaf(stack, remote.stream, remote)
        (row,) = wait(lambda: told()["behind"], told)
        wait(lambda: told()["behind_s"] >= 1, told)
        assert told()["connected"] == (2 if where == "stream" else 1)
        if where == "stream":
            assert (row["pid"], row["user"], row["address"]) == (os.getpid(), ME, None)
        else:
            assert (row["pid"], row["user"], row["address"]) == (None, None, "127.0.0.1")
        assert row["queued_bytes"] > 10_000
    wait(lambda: not told()["behind"] and not told()["connected"], told)
    assert served.status()["readers"]["cut"] == 0


def slow(subscriber: Subscriber, served: Served) -> int:
    """Read only when so much has been published that some of it is lost; return how much was missed."""
    first = subscriber.receive(LIMIT_S)
    assert isinstance(first, Snapshot)
    assert first.origin is not None

    def published() -> int:
        with served.client() as client:
            newest = client.snapshot("fast")
        assert newest is not None
        assert newest.origin is not None
        assert first.origin is not None
        return newest.origin.seq - first.origin.seq

    wait(lambda: published() > ENOUGH, published)
    while True:
        message = subscriber.receive(LIMIT_S)
        assert message is not None
        assert message.origin is not None
        if message.origin.missed:
            return message.origin.missed


@pytest.mark.parametrize("how", ["local", "remote"])
def test_what_was_lost(served: Served, remote: Remote, how: str) -> None:
    """A reader that fell behind tells what it has lost: the supervisor's count is the reader's own."""
    where = {"runtime_dir": served.run} if how == "local" else {"remote": remote}

    def told() -> Any:
        return served.status()["drops"]["readers"]

    with subscribe("fast", **where).open() as subscriber:  # type: ignore[arg-type]
        missed = slow(subscriber, served)
        wait(lambda: told()[how]["messages"].get("fast", 0) == missed, told)
        assert told()[how]["reports"] == 1
    assert {name: each["reports"] for name, each in told().items()} == {"local": 0, "remote": 0, how: 1}


def test_the_rest_is_told_at_the_end(served: Served) -> None:
    """One report every few seconds; what is left is told when the reader closes."""
    with subscribe("fast", runtime_dir=served.run).open() as subscriber:
        missed = slow(subscriber, served)
        missed += slow(subscriber, served)
    wait(
        lambda: served.status()["drops"]["readers"]["local"]["messages"].get("fast", 0) == missed,
        lambda: (served.status()["drops"], missed),
    )


def test_nothing_is_opened_without_a_loss(served: Served) -> None:
    """A reader that keeps up makes no second connection."""
    with subscribe("steady", runtime_dir=served.run).open() as subscriber:
        for _ in range(20):
            assert subscriber.receive(LIMIT_S) is not None
        assert subscriber._losses is not None
        assert subscriber._losses._socket is None
    assert served.status()["drops"]["readers"]["local"] == {"messages": {}, "reports": 0}


REFUSED: dict[str, dict[str, Any]] = {
    "nothing": {"stream": "local", "lost": {"fast": 0}},
    "less than nothing": {"stream": "local", "lost": {"fast": -5}},
    "impossible": {"stream": "local", "lost": {"fast": 2**40}},
    "unknown stream": {"stream": "moon", "lost": {"fast": 1}},
    "too many": {"stream": "local", "lost": {f"c{number}": 1 for number in range(300)}},
}


def test_refused_reports(served: Served) -> None:
    """What can't be true is refused, and not counted."""
    with served.client() as client:
        for what, args in REFUSED.items():
            with pytest.raises(UsageError):
                client.request("lost", args)
            assert client.status()["drops"]["readers"]["local"]["messages"] == {}, what
        with pytest.raises(UnknownNameError):
            client.request("lost", {"stream": "local", "lost": {"nobody": 1}})


def test_revoked_key(served: Served, remote: Remote, tmp_path: Path) -> None:
    """A client whose key is taken off file is cut by the reload, and does not come in again."""
    with subscribe("steady", remote=remote).open() as subscriber, Client(remote=remote) as asking:
        assert subscriber.receive(LIMIT_S) is not None
        (tmp_path / "authorized" / "friend.key").unlink()
        with served.client() as client:
            client.reload()
        wait(lambda: served.status()["readers"]["remote_stream"]["connected"] == 0)
        while subscriber.receive(1.0) is not None:
            pass
        with pytest.raises(UnreachableError):
            asking.request("hello", timeout_s=1.0)
    with pytest.raises(NotPermittedError):
        Client(remote=remote)


def hang_up(sock: socket.socket) -> None:
    """End a connection, if it is there."""
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[tuple[str, Callable[[int], list[socket.socket]]]]:
    """A local socket of this process, and a way to accept connections of others to it."""
    with ExitStack() as stack:
        path = str(tmp_path / "door")
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen()

        def accept(count: int) -> list[socket.socket]:
            pid = os.fork()
            if pid == 0:
                for _ in range(count):
                    socket.socket(socket.AF_UNIX).detach()
                held = [socket.socket(socket.AF_UNIX) for _ in range(count)]
                for each in held:
                    each.connect(path)
                while any(each.recv(4096) for each in held[:1]):
                    pass
                os._exit(0)
            stack.callback(os.waitpid, pid, 0)
            made = [stack.enter_context(listener.accept()[0]) for _ in range(count)]
            stack.callback(hang_up, made[0])
            return made

        yield path, accept


def connections(doors: dict[str | int, str]) -> list[Connection]:
    return [found for fd, inode in descriptors().items() if (found := describe(fd, inode, doors)) is not None]


def test_connections(listening: Any) -> None:
    """Those that came in by a door, with who they are and what waits; one that is cut is at its end."""
    path, accept = listening
    assert connections({path: "door"}) == []
    first, second = accept(2)
    found = {each.fd: each for each in connections({path: "door"})}
    assert set(found) == {first.fileno(), second.fileno()}
    one = found[second.fileno()]
    assert (one.door, one.owner) == ("door", os.geteuid())
    assert one.pid not in (None, os.getpid())
    assert queued(one)[0] == 0
    second.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            second.send(bytes(4096))
    size, room = queued(one)
    assert room // 2 < size
    assert connections({path + "x": "door"}) == []
    assert cut(one)
    assert second.recv(1) == b""
    for nothing in (replace(one, inode=one.inode + 1), replace(one, fd=10**6)):
        assert not cut(nothing)
        assert queued(nothing) == (0, 0)


def connection(owner: int | str, pid: int | None, number: int) -> Connection:
    return Connection(number, number, "query", owner, pid)


def test_greediest() -> None:
    """Of who holds the most, and of the process of theirs that holds the most, the newest; others keep theirs."""
    held = [connection(0, 10, number) for number in range(3)]
    held += [connection(1000, 20, number) for number in range(10, 15)]
    held += [connection(1000, 21, number) for number in range(20, 22)]
    held += [connection("10.0.0.1", None, number) for number in range(30, 34)]
    assert [each.inode for each in readers._greediest(held, 3)] == [14, 13, 12]
    assert [each.inode for each in readers._greediest(held, 6)] == [14, 13, 12, 11, 10, 33]
    assert len(readers._greediest(held, 99)) == len(held)


def test_nobody_costs_nothing(listening: Any) -> None:
    """While nobody comes or goes there is one count per second; who comes after a rest is seen soon."""
    path, accept = listening
    seen = readers.Readers({path: "stream"})
    try:
        thread = Path(f"/proc/self/task/{seen._thread.native_id}/status")

        def runs() -> int:
            line = next(line for line in thread.read_text().splitlines() if line.startswith("voluntary_ctxt_switches"))
            return int(line.split()[1])

        def connected() -> Any:
            return seen.describe()["stream"]["connected"]

        for _ in range(2):
            wait(lambda: connected() == 0, connected)
            threading.Event().wait(2.5)  # it comes to rest
            before, begun_s = runs(), time.monotonic()
            threading.Event().wait(3)
            assert runs() - before <= 2 * (time.monotonic() - begun_s) + 4  # ten counts a second would be 30
            held = accept(2)
            begun_s = time.monotonic()
            wait(lambda: connected() == 2, connected)
            assert time.monotonic() - begun_s < 10
            hang_up(held[0])
            for each in held:
                each.close()
    finally:
        seen.close()
