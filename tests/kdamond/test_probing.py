"""What a probe says, and that it writes nothing."""

from pathlib import Path

import pytest

from damond_kdamond import KdamondVaddr
from damond_kdamond.admin import Admin
from damond_kdamond.owner import KDAMONDS, Owner
from damond_kdamond.trace import TRACING
from tests.kdamond.fakes import FakeKernel
from tests.kdamond.test_owner import DEAD


def test_works(kernel: FakeKernel) -> None:
    """Where DAMON is free and the tracepoint readable, both sources work, page by page."""
    probe = KdamondVaddr.probe(kernel.root)
    assert probe.works
    assert probe.granularity == 4096
    assert [(each.name, each.works) for each in probe.sources] == [("tracepoint", True), ("tried_regions", True)]
    assert "source tracepoint" in probe.reason


def test_without_tracefs(tmp_path: Path) -> None:
    """Without tracefs it works with tried_regions, and the hint says how to get the better source."""
    probe = KdamondVaddr.probe(FakeKernel(tmp_path, tracefs=False).root)
    assert probe.works
    assert "source tried_regions" in probe.reason
    assert probe.hint == f"as root: mount -t tracefs tracefs /{TRACING}"


def test_without_the_event(kernel: FakeKernel) -> None:
    """A kernel without DAMON's trace events is told from one without tracefs."""
    (kernel.base / TRACING / "events/damon/damon_aggregated/format").unlink()
    (kernel.base / TRACING / "events/damon/damon_aggregated").rmdir()
    assert "damon_aggregated does not exist" in KdamondVaddr.probe(kernel.root).sources[0].reason


def test_without_damon(tmp_path: Path) -> None:
    """A kernel without DAMON says what it would need."""
    kernel = FakeKernel(tmp_path)
    (kernel.base / KDAMONDS / "nr_kdamonds").unlink()
    probe = KdamondVaddr.probe(kernel.root)
    assert not probe.works
    assert "no DAMON" in probe.reason
    assert "CONFIG_DAMON_SYSFS" in probe.hint


@pytest.mark.parametrize("state", ["on", "off"])
def test_somebody_elses(kernel: FakeKernel, state: str) -> None:
    """Somebody else's kdamond is the reason, its remedy the hint, and nothing is written."""
    kernel.somebody_elses(state=state)
    kernel.commands.clear()
    before = {each: each.lstat().st_mtime_ns for each in kernel.base.rglob("*")}
    probe = KdamondVaddr.probe(kernel.root)
    assert not probe.works
    assert KDAMONDS in probe.reason
    assert "echo" in probe.hint
    assert kernel.commands == []
    assert {each: each.lstat().st_mtime_ns for each in kernel.base.rglob("*")} == before


def test_leftover(kernel: FakeKernel) -> None:
    """What a dead damond left is no obstacle: the next start removes it, the probe does not."""
    Admin(kernel, Owner(DEAD, 5, kernel.myself().pid_ns)).create("vaddr")
    probe = KdamondVaddr.probe(kernel.root)
    assert probe.works
    assert f"what process {DEAD} of damond left behind is removed at the next start" in probe.reason
    assert kernel.nr_kdamonds == 1


def test_another_context(kernel: FakeKernel) -> None:
    """While a context of damond has the kdamond, another can't: auto goes on to the next primitive."""
    Admin(kernel, kernel.myself()).create("vaddr")
    assert not KdamondVaddr.probe(kernel.root).works
