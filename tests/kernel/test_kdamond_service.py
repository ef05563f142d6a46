"""kdamond in a worker of the service, on a real kernel."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from damond.core import Snapshot
from damond.errors import KdamondRunningError
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec, TargetSpec
from damond.stream.subscriber import Subscriber
from tests.kernel.kdamond_rig import UNUSED, clear, tree
from tests.kernel.kernel_damon import in_guest
from tests.kernel.rig import LIMIT_S

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not in_guest(), reason="writes to the kernel's DAMON: in a guest kernel only (test_guest.py)"),
]


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Each test finds DAMON unused, and leaves it so."""
    assert tree() == UNUSED
    yield
    clear()


def spec(name: str) -> ContextSpec:
    return ContextSpec(name=name, primitive="kdamond", targets=(TargetSpec(os.getpid()),))


def wait_for_snapshot(reader: Subscriber, context: str) -> Snapshot:
    """Receive until a snapshot of the context comes; a minute without any message is a failure."""
    while True:
        message = reader.receive(LIMIT_S)
        assert message is not None, f"no snapshot of {context} came"
        if isinstance(message, Snapshot) and message.context == context:
            return message


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what no message tells; a minute is the limit."""
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit
        threading.Event().wait(0.02)


def test_worker_that_is_killed() -> None:
    """After kill -9 of a worker the next context takes over, and at the end nothing is left."""
    with EmbeddedSupervisor() as supervisor, Subscriber(supervisor.endpoints.stream) as reader:
        supervisor.start([spec("first")])
        wait_for_snapshot(reader, "first")
        before = tree()
        assert before.states == ("on",)
        (worker,) = [each["pid"] for each in supervisor.status()["contexts"]]
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not supervisor.nr_running)
        assert tree() == before
        supervisor.start([spec("second")])
        assert wait_for_snapshot(reader, "second").primitive == "kdamond"
        assert tree().states == ("on",)
        assert set(tree().instances).isdisjoint(before.instances)
        supervisor.stop(["second"])
        assert tree() == UNUSED


def test_second_context_is_refused() -> None:
    """A second context fails with the first one's worker named, and the first goes on."""
    with EmbeddedSupervisor() as supervisor, Subscriber(supervisor.endpoints.stream, ["first"]) as reader:
        supervisor.start([spec("first")])
        wait_for_snapshot(reader, "first")
        (worker,) = [each["pid"] for each in supervisor.status()["contexts"]]
        with pytest.raises(KdamondRunningError, match=f"a context of damond in process {worker}"):
            supervisor.start([spec("second")])
        wait_for_snapshot(reader, "first")
        supervisor.stop(["first"])
        assert tree() == UNUSED
