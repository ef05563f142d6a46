"""A worker of the service on a real kernel: whatever its targets do, it goes on."""

import os
import signal
from collections.abc import Callable

import pytest

from damond.core import Snapshot
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec, TargetSpec
from damond.stream.subscriber import Subscriber
from damond.stream.wire import Event
from tests.kernel.rig import LIMIT_S, Toucher, toucher

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(3 * LIMIT_S)]

MIB = 1 << 20
ATTRS = {"sample_interval": 20_000, "aggr_interval": 200_000, "primitive_update_interval": 400_000}


def kill(child: Toucher) -> None:
    child.process.kill()
    child.process.wait(LIMIT_S)


ODD: list[tuple[str, Callable[[Toucher], object]]] = [
    ("locks 64 MiB", lambda child: child.map(64 * MIB, "locked")),
    ("has hundreds of mappings", lambda child: child.ask("holes", 300)),
    ("forks", lambda child: os.kill(int(child.ask("fork")), signal.SIGKILL)),
    ("is stopped", lambda child: child.process.send_signal(signal.SIGSTOP)),
    ("goes on", lambda child: child.process.send_signal(signal.SIGCONT)),
    ("runs another program", lambda child: child.ask("exec", 4 * MIB)),
    ("is a zombie", lambda child: child.process.kill()),
    ("is gone", kill),
]


def read(reader: Subscriber, number: int) -> list[Snapshot]:
    """Receive so many snapshots, with results of the second target; a minute without any message is a failure."""
    found: list[Snapshot] = []
    while len(found) < number:
        message = reader.receive(LIMIT_S)
        assert message is not None, "nothing came any more"
        assert not isinstance(message, Event) or message.event in ("starting", "started", "target_gone"), message
        if isinstance(message, Snapshot):
            found.append(message)
    return found


def test_worker_outlives_what_its_targets_do() -> None:
    """One process does all that is odd and ends; the worker stays the same, is never restarted, and sees the other."""
    with toucher() as odd, toucher() as other, EmbeddedSupervisor() as supervisor:
        address = other.map(8 * MIB)
        targets = (TargetSpec(odd.pid), TargetSpec(other.pid))
        spec = ContextSpec(
            name="two", primitive="vaddr", targets=targets, attrs=ATTRS, options={"source": "page_idle"}, seed=1
        )
        with Subscriber(supervisor.endpoints.stream, ["two"]) as reader:
            supervisor.start([spec])
            (before,) = supervisor.status()["contexts"]
            read(reader, 2)
            for _what, act in ODD:
                act(odd)
                other.ask("touch", address, 4096, 2048)
                snapshots = read(reader, 4)
                assert len(snapshots[-1].targets[-1].start) >= 3
                assert snapshots[-1].checks > 0
            (after,) = supervisor.status()["contexts"]
    assert (after["pid"], after["state"], after["restarts"]) == (before["pid"], "running", 0)
    gone, kept = snapshots[-1].targets
    assert (gone.id, len(gone.start)) == (odd.pid, 0)
    assert kept.id == other.pid
