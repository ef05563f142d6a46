"""Whose a kdamond is."""

import os

import pytest

from damond.errors import KdamondRunningError
from damond_kdamond.admin import Admin
from damond_kdamond.owner import KDAMONDS, Lock, Owner, read_mark, survey
from tests.kdamond.fakes import PID_NS, THREAD, FakeKernel

DEAD = 4_000_000
"""No such process in the tree."""


def test_owner_is_this_process(kernel: FakeKernel) -> None:
    """An owner is a pid, the time at which its process started, and the namespace of the pid."""
    assert kernel.myself() == Owner(os.getpid(), 777, (kernel.base / f"proc/self/ns/{PID_NS}").stat().st_ino)


def test_instance_name_round_trip(kernel: FakeKernel) -> None:
    """The name of a trace instance says whose it is."""
    assert Owner.of_instance(kernel.myself().instance) == kernel.myself()


@pytest.mark.parametrize("name", ["damond-web", "damond-1-2", "foo-1-2-3", "xdamond-1-2-3", "damond-1-2-3x"])
def test_other_instances_are_nobodys(name: str) -> None:
    """Trace instances of other names are not taken for damond's."""
    assert Owner.of_instance(name) is None


@pytest.mark.parametrize(
    ("state", "starttime", "alive"),
    [
        pytest.param("S", 5, True, id="sleeping"),
        pytest.param("R", 5, True, id="running"),
        pytest.param("Z", 5, False, id="zombie"),
        pytest.param("S", 6, False, id="another process with its pid"),
    ],
)
def test_alive(kernel: FakeKernel, state: str, starttime: int, alive: bool) -> None:
    """An owner is alive while that very process runs."""
    kernel.process(50, state=state, starttime=starttime)
    assert Owner(50, 5, kernel.myself().pid_ns).alive(kernel.root) is alive


def test_owner_that_is_gone(kernel: FakeKernel) -> None:
    """Without a process there is no life; but nobody can tell of one in another pid namespace."""
    assert not Owner(DEAD, 5, kernel.myself().pid_ns).alive(kernel.root)
    assert Owner(DEAD, 5, 1).alive(kernel.root)


def made(kernel: FakeKernel, owner: Owner) -> Admin:
    admin = Admin(kernel, owner)
    admin.create("vaddr")
    return admin


def test_mark(kernel: FakeKernel) -> None:
    """A kdamond that damond made says who did; others say nothing."""
    assert read_mark(kernel.root) is None
    made(kernel, kernel.myself())
    assert read_mark(kernel.root) == kernel.myself()
    kernel.somebody_elses()
    assert read_mark(kernel.root) is None


def test_mark_with_a_metric_is_none(kernel: FakeKernel) -> None:
    """Watermarks that are in use are somebody's watermarks, whatever their numbers."""
    made(kernel, kernel.myself())
    kernel.text(f"{KDAMONDS}/0/contexts/0/schemes/0/watermarks/metric", "free_mem_rate\n")
    assert read_mark(kernel.root) is None


def test_survey_of_nothing(kernel: FakeKernel) -> None:
    """Where nobody uses DAMON nothing is found, and nothing refused."""
    found = survey(kernel.root)
    assert found.findings == ()
    assert found.leftover is None
    found.refuse()


@pytest.mark.parametrize("state", ["on", "off"])
def test_survey_of_somebody_elses(kernel: FakeKernel, state: str) -> None:
    """A kdamond that damond did not make is refused whatever its state, with its owner and the remedy."""
    kernel.somebody_elses(state=state)
    with pytest.raises(KdamondRunningError, match=f"/{KDAMONDS}") as caught:
        survey(kernel.root).refuse()
    assert "echo" in caught.value.hint


@pytest.mark.parametrize("module", ["damon_stat", "damon_reclaim", "damon_lru_sort"])
def test_survey_of_a_module(kernel: FakeKernel, module: str) -> None:
    """A module that runs DAMON is named, with how to switch it off."""
    kernel.text(f"sys/module/{module}/parameters/enabled", "Y\n")
    with pytest.raises(KdamondRunningError, match=f"the module {module}") as caught:
        survey(kernel.root).refuse()
    assert caught.value.hint.endswith(
        f"ask who needs it; if nobody does: echo N > /sys/module/{module}/parameters/enabled"
    )


def test_survey_of_a_damond_that_lives(kernel: FakeKernel) -> None:
    """The kdamond of another damond is named as such."""
    kernel.process(50, starttime=5)
    made(kernel, Owner(50, 5, kernel.myself().pid_ns)).switch_on()
    (finding,) = survey(kernel.root).findings
    assert finding.owner == "a context of damond in process 50"
    assert survey(kernel.root).leftover is None


@pytest.mark.parametrize("on", [False, True], ids=["off", "on"])
def test_survey_of_a_leftover(kernel: FakeKernel, on: bool) -> None:
    """What a dead damond left is a leftover, and nobody else's, with its thread and all."""
    owner = Owner(DEAD, 5, kernel.myself().pid_ns)
    admin = made(kernel, owner)
    if on:
        admin.switch_on()
        kernel.text("proc/2/task/2/children", f"{THREAD} ")
        kernel.text(f"proc/{THREAD}/comm", "kdamond.0\n")
    found = survey(kernel.root)
    assert found.leftover == owner
    assert found.findings == ()


def test_survey_of_two_kdamonds(kernel: FakeKernel) -> None:
    """One is what damond makes: if there are two, whatever the mark says, somebody else had a hand in it."""
    made(kernel, Owner(DEAD, 5, kernel.myself().pid_ns))
    kernel.text(f"{KDAMONDS}/nr_kdamonds", "2")
    found = survey(kernel.root)
    assert found.leftover is None
    assert len(found.findings) == 1


def test_own_leftover_needs_the_lock(kernel: FakeKernel) -> None:
    """This process's own kdamond is a leftover only for who holds the lock: else a context may still run it."""
    made(kernel, kernel.myself())
    assert survey(kernel.root).leftover is None
    assert survey(kernel.root, locked=True).leftover == kernel.myself()


def test_one_lock(kernel: FakeKernel) -> None:
    """There is one holder of the lock at a time, and the next one gets it afterwards."""
    lock = Lock(kernel.root)
    with pytest.raises(KdamondRunningError, match="another context of damond"):
        Lock(kernel.root)
    made(kernel, kernel.myself())
    with pytest.raises(KdamondRunningError, match=f"in process {os.getpid()}"):
        Lock(kernel.root)
    lock.release()
    Lock(kernel.root).release()
