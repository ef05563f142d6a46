"""A service to be hurt, and a witness who sees what the contexts that were not meant lose by it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import psutil

from damond.client import Client, subscribe
from damond.core import Snapshot
from damond.errors import DamondError
from damond.stream import wire

LIMIT_S: Final = 40.0
"""For every wait: what takes longer has failed. The machine may be busy."""
FULL: Final = os.environ.get("DAMOND_CHAOS") == "full"
"""Whether to run with the counts that take tens of minutes."""

SERVE: Final = (sys.executable, "-m", "damond", "serve")
PLUGIN: Final = Path(__file__).with_name("bad_plugin.py")


@dataclass(frozen=True)
class Seen:
    """What matters of one message."""

    context: str
    kind: str
    seq: int
    missed: int
    restarted: bool
    overruns: int = 0
    partial: bool = False
    event: str = ""
    reason: str = ""
    details: Any = None
    time_ns: int = 0


class Witness:
    """Reads the stream from its first message to the end, in a thread."""

    def __init__(self, run: Path, *contexts: str) -> None:
        self.seen: list[Seen] = []
        self._began_ns = time.time_ns()
        self._subscriber = subscribe(*contexts, kinds=("snapshot", "event"), runtime_dir=run).open()
        assert self._subscriber.wait_connected(LIMIT_S)
        self._ending = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ending:
            message = self._subscriber.receive(0.1)
            if message is not None:
                self.seen.append(_seen(message))

    def wait(self, condition: Callable[[list[Seen]], Any]) -> Any:
        """Wait until what was seen fulfils a condition."""
        return wait(lambda: condition(list(self.seen)), lambda: self.seen[-8:])

    def wait_for_snapshots(self, count: int, *contexts: str) -> None:
        """Wait for some more snapshots of each context."""
        before = {name: self.count(name) for name in contexts}
        wait(lambda: all(self.count(name) - before[name] >= count for name in contexts), lambda: before)

    def count(self, context: str) -> int:
        """Count the snapshots of a context."""
        return sum(each.context == context and each.kind == "snapshot" for each in list(self.seen))

    def events(self, context: str) -> list[Seen]:
        """List the events of a context. What happened before may be told a moment later, and is none of them."""
        seen = [each for each in list(self.seen) if each.context == context and each.kind == "event"]
        return [each for each in seen if each.time_ns >= self._began_ns]

    def lost(self, *contexts: str) -> list[Seen]:
        """List what tells of a loss or of a restart of contexts that nothing was done to."""
        return [each for each in list(self.seen) if each.context in contexts and (each.missed or each.restarted)]

    def close(self) -> None:
        self._ending = True
        self._thread.join()
        self._subscriber.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _seen(message: wire.Message) -> Seen:
    assert message.origin is not None
    origin = message.origin
    where = (message.context, wire.kind_of(message), origin.seq, origin.missed, origin.restarted)
    if isinstance(message, Snapshot):
        return Seen(*where, overruns=message.overruns, partial=message.partial)
    if isinstance(message, wire.Event):
        return Seen(
            *where, event=message.event, reason=message.reason, details=message.details, time_ns=message.time_ns
        )
    return Seen(*where)


def wait(condition: Callable[[], Any], show: Callable[[], Any] = lambda: "") -> Any:
    """Wait for something, with a limit; return it."""
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, show()
        threading.Event().wait(0.02)  # polls what has no event of its own
    return found


_FIRST_PORT: Final = 20_000 + os.getpid() % 120 * 100
_PORTS: Final = iter(range(_FIRST_PORT, _FIRST_PORT + 100))


def free_port() -> int:
    """Find a port that nobody listens on, below those that the kernel gives away, and of this process's own ones."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise AssertionError("all ports are in use")


def frozen(for_s: float, *pids: int) -> None:
    """Stop processes for a time, which is the fault and not a wait for its outcome."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(for_s, thaw, pids)
    timer.start()
    timer.join()


def thaw(*pids: int) -> None:
    """Let processes go on."""
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def synthetic(name: str, more: str = "") -> str:
    """Write a context that only computes, 10 snapshots per second, 100 regions at most."""
    return f'[context.{name}]\nprimitive = "synthetic"\nsample_interval = "20ms"\nmax_nr_regions = 100\n{more}\n'


def program(name: str, *command: str) -> str:
    """Write a context that starts a program and watches it."""
    intervals = 'sample_interval = "100ms"\naggr_interval = "200ms"\noptions = {source = "referenced"}'
    return f'[context.{name}]\nprimitive = "vaddr"\ncommand = {json.dumps(command)}\n{intervals}\n'


def bad(where: str, how: str, **more: Any) -> dict[str, Any]:
    """Make the table of a context that misbehaves in one function of its primitive."""
    intervals = {"sample_interval": "20ms", "aggr_interval": "100ms", "primitive_update_interval": "100ms"}
    return {"primitive": "bad", "options": {"where": where, "how": how}, **intervals, **more}


class Served:
    """`damond serve` in a process of its own, with the misbehaving plugin installed for it alone.

    Args:
        folder: Of its configuration and its runtime directory.
        text: The configuration.
        stderr: Where its standard error goes; None is the file ``log``.
        names: Contexts that are to run before the test begins; None is all.

    Attributes:
        run: The runtime directory.
        log: What it writes to its standard error, if that goes to a file.
    """

    def __init__(self, folder: Path, text: str, stderr: int | None = None, names: Sequence[str] | None = None) -> None:
        self.run, self.log = folder / "run", folder / "log"
        # As fast as they are asked to be, whatever that costs: tests wait for snapshots.
        unbound = "" if "[service]" in text else '[service]\nmax_cpu = "off"\n[defaults]\nintervals_goal = "off"\n'
        (folder / "damond.toml").write_text(unbound + text)
        install(folder)
        paths = ["--config", str(folder / "damond.toml"), "--runtime-dir", str(self.run)]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
        with self.log.open("a") as log:
            self.process = subprocess.Popen([*SERVE, *paths], stderr=log if stderr is None else stderr, env=env)
        self.names = [part.split("]")[0] for part in text.split("[context.")[1:]] if names is None else names
        wait(self._is_up, self.log.read_text)
        self.family = [self.process.pid, self.status()["launcher_pid"]]

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            with Client(self.run) as client:
                found = {each["name"]: each["state"] for each in client.contexts()}
        except DamondError:
            return False
        return all(found[name] == "running" for name in self.names)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Talk to it."""
        with Client(self.run) as made:
            yield made

    def status(self) -> dict[str, Any]:
        """Ask how it is."""
        with self.client() as client:
            return client.status()

    def row(self, name: str) -> dict[str, Any]:
        """Ask how a context is."""
        (row,) = [each for each in self.status()["contexts"] if each["name"] == name]
        return dict(row)

    def start(self, name: str, table: dict[str, Any]) -> str:
        """Start a context; return the words in which it was refused, if it was."""
        with self.client() as client:
            try:
                client.start(contexts={name: table})
            except DamondError as error:
                return error.message
        return ""

    def wait_for(self, name: str, *states: str) -> dict[str, Any]:
        """Wait for a state of a context; return its row."""

        def reached() -> dict[str, Any] | None:
            row = self.row(name)
            return row if row["state"] in states else None

        found: dict[str, Any] = wait(reached, lambda: self.row(name))
        return found

    def witness(self, *contexts: str) -> Witness:
        """Subscribe."""
        return Witness(self.run, *contexts)

    def processes(self) -> list[psutil.Process]:
        """List all of its processes."""
        mine = psutil.Process(self.process.pid)
        return [mine, *mine.children(recursive=True)]

    def end(self) -> None:
        """End it as an operator does: it must take no longer than its waits allow, and leave nothing."""
        family = self.processes() if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.terminate()
        assert self.process.wait(LIMIT_S) == 0, self.log.read_text()
        assert not psutil.wait_procs(family, timeout=LIMIT_S)[1]
        assert [path.name for path in self.run.iterdir()] == ["lock"]

    def abandon(self) -> None:
        """Make sure that nothing is left of it, whatever the test came to."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def install(folder: Path) -> None:
    """Install the misbehaving plugin in a folder, as pip would."""
    (folder / "bad_plugin.py").write_text(PLUGIN.read_text())
    info = folder / "bad_plugin-1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-plugin\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[damond]\nbad = bad_plugin\n")
