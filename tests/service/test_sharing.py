"""The budget of the service, shared among real workers."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from damond.client import Client, subscribe
from damond.errors import InvalidAttrsError, NotRunningError, UsageError
from damond.service.shares import Sharing
from tests.service.test_service import LIMIT_S, Served

BUSY = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
CONTEXT = '[context.{}]\nprimitive = "synthetic"\n{}\n'


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Three contexts as they are by default, one of them with a bound of its own, in 5 % of a CPU."""
    text = '[service]\nmax_cpu = "5%"\n' + CONTEXT.format("a", "") + CONTEXT.format("b", "")
    made = Served(tmp_path, text + CONTEXT.format("c", 'max_cpu = "0.2%"'), unbound="")
    yield made
    made.end()


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + LIMIT_S
    while not (found := condition()):
        assert time.monotonic() < deadline
        threading.Event().wait(0.25)  # polls what has no event of its own; asking costs the service its budget
    return found


def rows(client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    status = client.status()
    return status["budget"], {each["name"]: each for each in status["contexts"]}


def test_budget_is_shared(served: Served) -> None:
    """All shares together are what the service leaves; what one can't use or gives back is the others'."""
    with Client(served.run) as client:
        budget, found = rows(client)
        assert budget["max_cpu"] == 0.05
        shares = {name: each["share"]["max_cpu"] for name, each in found.items()}
        assert shares["c"] <= 0.002
        assert shares["a"] > shares["c"]
        assert sum(shares.values()) <= 0.05
        client.stop("b")

        def has_more() -> bool:
            return bool(rows(client)[1]["a"]["share"]["max_cpu"] > 1.3 * shares["a"])

        wait_for(has_more)
        share = rows(client)[1]["a"]["share"]["max_cpu"]
    for snapshot in subscribe("a", runtime_dir=served.run):
        if snapshot.budget is not None and snapshot.budget.max_cpu == pytest.approx(share, rel=0.3):
            break
    assert snapshot.budget is not None
    assert snapshot.budget.max_nr_regions <= snapshot.max_nr_regions == 1000


def failing(_: int) -> psutil.Process:
    raise OSError(errno.EMFILE, "too many open files")


def test_what_helpers_use_is_not_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a recorder uses is taken from the budget; one that is started again is another, and takes nothing back."""
    now_s = 1000.0
    monkeypatch.setattr(
        "damond.service.shares.time", SimpleNamespace(monotonic=lambda: now_s, process_time=time.process_time)
    )
    sharing = Sharing(0.01)
    sharing.measure()
    assert sharing.for_workers == pytest.approx(0.01 - 0.0015)
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", BUSY], stdout=subprocess.PIPE, stdin=subprocess.PIPE) as helper:
            assert helper.stdout is not None
            helper.stdout.readline()
            before, now_s = sharing.own_cpu, now_s + 20.0
            sharing.measure(helper.pid)
            assert sharing.own_cpu > before + 0.04 * (0.3 / 20 - before)
            helper.communicate()
    used, now_s = sharing.own_cpu, now_s + 20.0
    sharing.measure(os.getppid())  # charged with all that it ever used, as it was not known before
    before, now_s = sharing.own_cpu, now_s + 20.0
    with monkeypatch.context() as patch:  # no descriptor is left, say
        patch.setattr("damond.service.shares.psutil.Process", failing)
        sharing.measure(os.getppid())
    now_s += 20.0
    sharing.measure(os.getppid())
    assert sharing.own_cpu < before
    used, now_s = max(used, before), now_s + 20.0
    sharing.measure()
    assert 0 < sharing.own_cpu < used


def test_what_rests_needs_no_share(served: Served) -> None:
    """While a context is paused the others have its part; once it goes on, it has it again."""
    with Client(served.run) as client:

        def share() -> float:
            return float(rows(client)[1]["a"]["share"]["max_cpu"])

        before = share()
        client.pause("b")
        wait_for(lambda: share() > 1.3 * before)
        client.resume("b")
        wait_for(lambda: share() < 1.2 * before)


def test_tuned_by_hand(served: Served) -> None:
    """Intervals that somebody asks for hold, until tuning is asked for; a bound is told to the worker."""
    with Client(served.run) as client:
        client.tune("a", {"sample_interval": "400ms", "aggr_interval": "800ms"}, max_cpu="off")
        for snapshot in subscribe("a", runtime_dir=served.run):
            if (snapshot.sample_us, snapshot.aggr_us) == (400_000, 800_000):
                break
        client.tune("a", goal={"aggrs": 1})
        for snapshot in subscribe("a", runtime_dir=served.run):
            if snapshot.sample_us != 400_000:
                break
        assert snapshot.max_nr_accesses == 2
        client.tune("a", max_cpu="0.01%")
        for snapshot in subscribe("a", runtime_dir=served.run):
            if snapshot.budget is not None and snapshot.budget.max_cpu == pytest.approx(0.0001):
                break
        with pytest.raises(UsageError, match="max_cpu"):
            client.tune("a", max_cpu="much")


def test_a_refused_change_is_none_at_all(served: Served) -> None:
    """Attributes that can't be leave the bound as it was; of what does not run nothing can change."""
    with Client(served.run) as client:
        before = served.row("a")["share"]
        with pytest.raises(InvalidAttrsError, match="max_nr_regions"):
            client.tune("a", {"min_nr_regions": 10, "max_nr_regions": 5}, max_cpu="0.01%")
        assert served.row("a")["share"]["max_cpu"] > before["max_cpu"] / 2 > 0.0001
        client.stop("b")
        with pytest.raises(NotRunningError, match="b is stopped"):
            client.tune("b", max_cpu="2%")
