"""The loop: what is asked of it between two samples."""

from typing import Any

import pytest

from damond.core import Kdamond, Target
from damond.errors import UsageError


def test_pause_delivers_and_starts_anew(monitor: Any, recorder: Any, context: Any) -> None:
    """What was counted before a pause is delivered once, and no region ever has more accesses than samples."""
    asks = {2: lambda k: k.pause(paused=True), 5: lambda k: k.pause(paused=False)}
    run = monitor(recorder(lambda *_: 1), context([(0, 4096)]), samples=14, asks=asks)
    assert run.snapshots[0].partial
    assert sum(each.max_nr_accesses for each in run.snapshots) == run.calls.count("check")
    for each in run.snapshots:
        assert each.targets[0].nr_accesses.tolist() == [each.max_nr_accesses]


def test_resume_of_what_runs_changes_nothing(monitor: Any, recorder: Any, context: Any) -> None:
    """A context that is not paused goes on as if nobody had asked."""
    asks = {2: lambda k: k.pause(paused=False)}
    run = monitor(recorder(lambda *_: 1), context([(0, 4096)]), samples=8, asks=asks)
    assert [(each.max_nr_accesses, each.partial) for each in run.snapshots] == [(4, False), (4, False)]


def test_refused_targets_change_nothing(monitor: Any, recorder: Any) -> None:
    """A primitive whose targets can't change keeps those that it has."""

    def retarget(kdamond: Kdamond) -> None:
        with pytest.raises(UsageError, match="can't change"):
            kdamond.retarget([Target(7)])

    run = monitor(recorder(), samples=8, asks={1: retarget})
    assert [[target.id for target in each.targets] for each in run.snapshots] == [[0], [0]]


@pytest.mark.parametrize(
    ("found", "gone", "calls", "watched"),
    [
        pytest.param([], (), ["init [1, 2]"], [1, 2], id="named only"),
        pytest.param([2], (), ["init [1]", "retarget [1, 2]"], [1, 2], id="one was found"),
        pytest.param([2], (2,), ["init [1]", "retarget [1, 2]"], [1], id="one was found and has ended since"),
        pytest.param([1, 2], (1, 2), ["init []", "retarget [1, 2]"], [], id="all were found and have ended since"),
    ],
)
def test_found_targets_may_be_gone(
    monitor: Any, sociable_recorder: Any, context: Any, found: list[int], gone: Any, calls: list[str], watched: Any
) -> None:
    """What was named must be there; what was found joins as it does later, and may have ended since."""
    targets = [Target(number, found=number in found) for number in (1, 2)]
    run = monitor(sociable_recorder(gone), context(targets=targets, waits_for_targets=True))
    assert run.calls[: len(calls) + 1] == [*calls, "started"]
    assert [target.id for target in run.ctx.targets] == watched


def test_found_targets_of_a_primitive_that_keeps_its_own(monitor: Any, recorder: Any, context: Any) -> None:
    """A primitive whose targets can't change begins with all of them."""
    run = monitor(recorder(), context(targets=[Target(1, found=True)]))
    assert run.calls[:2] == ["init", "started"]
    assert [target.id for target in run.ctx.targets] == [1]
