"""The primitives where results come from tried_regions."""

import errno
import os

import pytest

from tests.kdamond.fakes import FakeKernel
from tests.kdamond.looping import GOAL, ending, make, run


def test_tuned_without_a_tracepoint(kernel: FakeKernel) -> None:
    """Where nothing tells about tuning, the kernel is asked as often as it tunes."""
    kernel.tried = [(0, 4096, 1, 2)]
    kernel.tuned_us = (8_000, 160_000)
    steps = [lambda: None] * 4
    snapshots, _ = run(make(kernel, source="tried_regions"), *steps, goal=GOAL)
    assert [each.sample_us for each in snapshots] == [5_000, 5_000, 8_000, 8_000]
    assert kernel.commands.count("update_tuned_intervals") == 2


def test_tried_regions(kernel: FakeKernel) -> None:
    """Without the tracepoint the same comes from tried_regions, sorted by address, one per aggregation."""
    kernel.tried = [(number * 4096, (number + 1) * 4096, number, 2 * number) for number in range(12)]
    snapshots, reason = run(make(kernel, source="tried_regions"), lambda: None, lambda: None)
    (target,) = snapshots[0].targets
    assert target.start.tolist() == [number * 4096 for number in range(12)]
    assert target.nr_accesses.tolist() == list(range(12))
    assert target.age.tolist() == [2 * number for number in range(12)]
    assert len(snapshots) == 2
    assert reason == "requested"


def test_tried_regions_of_a_target_that_ends(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the kdamond ends while it is asked, that is the end of the target and no error."""
    gone = ending(monkeypatch)

    def end() -> None:
        gone.add(os.getpid())
        kernel.ends_by_itself()

    assert run(make(kernel, source="tried_regions"), end, lambda: None) == ([], "target_gone")


def test_tried_regions_without_any(kernel: FakeKernel) -> None:
    """An answer without regions is no aggregation."""
    assert run(make(kernel, source="tried_regions"), lambda: None)[0] == []


def test_tried_regions_fail(kernel: FakeKernel) -> None:
    """An error of a kdamond that runs is not taken for its end."""
    kernel.refuse["update_schemes_tried_regions"] = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        run(make(kernel, source="tried_regions"), lambda: None)
    assert kernel.nr_kdamonds == 0


def test_tried_regions_that_vanish(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions that are cleared while they are read are no aggregation: the kdamond has just gone."""
    kernel.tried = [(0, 4096, 0, 0), (4096, 8192, 0, 0)]
    shown = kernel._show_tried

    def show(directory: str) -> None:
        shown(directory)
        (kernel.base / directory / "1/age").unlink()

    monkeypatch.setattr(kernel, "_show_tried", show)
    assert run(make(kernel, source="tried_regions"), lambda: None)[0] == []
