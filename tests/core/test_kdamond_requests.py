"""The loop: what is asked of it between two samples."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from damond.core import Attrs, Context, Kdamond, Snapshot, Target
from damond.core.regions import MISSED_ALL
from damond.errors import UsageError
from damond.units import Usec

LONG = Attrs(sample_interval=Usec(1_000), aggr_interval=Usec(200_000), min_nr_regions=3, max_nr_regions=3)


def always(_ctx: Context, target: Target) -> Any:
    """Find every region accessed in every sample."""
    return np.ones(len(target.regions))


def made(number: int) -> Target:
    """Make a target of ten pages."""
    target = Target(number)
    target.set_ranges([(0, 40_960)])
    return target


def keep(*numbers: int) -> Callable[[Kdamond], None]:
    """Ask to watch these of the targets alone, or new ones."""
    return lambda kdamond: kdamond.retarget(
        [next((each for each in kdamond.ctx.targets if each.id == number), made(number)) for number in numbers]
    )


def found(snapshot: Snapshot) -> dict[int, list[int]]:
    """List the counts of each target."""
    return {target.id: target.nr_accesses.tolist() for target in snapshot.targets}


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


def test_pause_leaves_ages_alone(monitor: Any, recorder: Any, context: Any) -> None:
    """What has been accessed as often before a pause as it is after it grows older, as cold memory does."""
    asks = {18: lambda k: k.pause(paused=True), 22: lambda k: k.pause(paused=False)}
    run = monitor(recorder(always), context(), samples=36, asks=asks)
    whole = [each for each in run.snapshots if not each.partial]
    assert [int(each.targets[0].age[0]) for each in whole] == list(range(len(whole)))


def test_a_request_that_ends_a_wait_ends_no_sample(monitor: Any, recorder: Any, context: Any) -> None:
    """A sample that was cut short is begun anew and not counted, and no later one gets longer for it."""
    asks: Any = {sample: lambda _: None for sample in range(2, 6)}
    run = monitor(recorder(), context(), samples=12, asks=asks, cuts_s=dict.fromkeys(asks, 0.0004))
    assert run.time.waits_s == pytest.approx([0.001] * 2 + [0.0004] * 4 + [0.001] * 7)
    assert [run.calls.count(each) for each in ("prepare", "check")] == [13, 8]
    assert [(each.max_nr_accesses, each.end_ns - each.start_ns) for each in run.snapshots] == [
        (4, 4_000_000 + 4 * 400_000),
        (4, 4_000_000),
    ]


def test_shorter_intervals_hold_at_once(monitor: Any, recorder: Any, context: Any) -> None:
    """Who asks for short samples does not wait for the end of a long one."""
    slow = context(attrs=Attrs(sample_interval=Usec(600_000_000), aggr_interval=Usec(6_000_000_000), min_nr_regions=3))
    fast = Attrs(min_nr_regions=3)
    run = monitor(recorder(), slow, samples=4, asks={0: lambda k: k.tune(fast)}, cuts_s={0: 1.0})
    assert run.time.waits_s == pytest.approx([1.0, *[0.005] * 4])


def test_targets_that_come_and_go_postpone_no_update(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """The look at the mappings comes when it is due, however often targets change."""
    asks = dict.fromkeys(range(5, 100, 9), keep(0))
    changed = monitor(sociable_recorder(), context(), samples=100, asks=asks)
    assert changed.calls.count("update") == monitor(sociable_recorder(), context(), samples=100).calls.count("update")


def test_last_counts_of_a_target_that_has_ended(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """What a process has accessed is delivered with the aggregation that it ended in; then it is let go."""
    primitive = sociable_recorder(hits=lambda _, target: [target.id not in primitive.ended] * len(target.regions))

    def end(kdamond: Kdamond) -> None:
        primitive.ended.add(1)
        keep(2)(kdamond)

    ctx = context(attrs=LONG, targets=[made(1), made(2)], waits_for_targets=True)
    run = monitor(primitive, ctx, samples=400, asks={149: end})
    assert [found(each) for each in run.snapshots] == [{1: [150], 2: [200]}, {2: [200]}]
    assert "retarget [2]" in run.calls


def test_last_counts_of_the_last_target(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """Where nothing is left to be counted, they are delivered at once."""
    primitive = sociable_recorder(hits=always)

    def end(kdamond: Kdamond) -> None:
        primitive.ended.add(1)
        keep()(kdamond)

    ctx = context(attrs=LONG, targets=[made(1)], waits_for_targets=True)
    run = monitor(primitive, ctx, samples=160, asks={149: end})
    assert [(found(each), each.max_nr_accesses, each.partial) for each in run.snapshots] == [({1: [150]}, 150, True)]
    assert run.ctx.targets == []


def test_targets_that_are_not_wanted_leave_at_once(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """One that lives, and is not to be watched any more, is in no snapshot from then on."""
    ctx = context(attrs=LONG, targets=[made(1), made(2)])
    run = monitor(sociable_recorder(hits=always), ctx, samples=200, asks={149: keep(2)})
    assert [found(each) for each in run.snapshots] == [{2: [200]}]


def test_samples_behind_a_target_that_joins(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """Nothing of the aggregation that it joins in stands behind its regions, all of the next one does."""
    ctx = context(attrs=LONG, targets=[made(1)])
    run = monitor(sociable_recorder(), ctx, samples=400, asks={197: keep(1, 5)})
    behind = [{target.id: int(target.nr_samples[0]) for target in each.targets} for each in run.snapshots]
    assert behind == [{1: 200, 5: 0}, {1: 400, 5: 200}]
    assert not run.snapshots[0].cold(run.snapshots[0].targets[1]).any()


@pytest.mark.parametrize(("samples", "at", "made"), [(1000, 90, 190), (10, 30, 37)])
def test_samples_behind_other_attrs(
    monitor: Any, recorder: Any, context: Any, samples: int, at: int, made: int
) -> None:
    """An aggregation of 100 samples that has more or fewer in its course claims those that were really made."""
    before = Attrs(sample_interval=Usec(1_000), aggr_interval=Usec(100_000), min_nr_regions=3)
    after = replace(before, aggr_interval=Usec(samples * 1_000))
    run = monitor(recorder(), context(attrs=before), samples=300, asks={at - 1: lambda k: k.tune(after)})
    first = run.snapshots[0]
    assert first.max_nr_accesses == samples
    assert set(first.targets[0].nr_samples.tolist()) == {made}


def test_samples_that_could_say_nothing(monitor: Any, recorder: Any, context: Any) -> None:
    """Memory that was looked at in vain stays unseen, however long that lasts."""

    class Blind(recorder):  # type: ignore[misc]
        def check_accesses(self, ctx: Context) -> int:
            for target in ctx.targets:
                target.regions.miss(target.regions.start >= 40_960)
            return 0

    run = monitor(Blind(), context(attrs=replace(LONG, max_nr_regions=4)), samples=2000)
    last = run.snapshots[-1]
    cold = last.cold(last.targets[0])
    assert cold.tolist() == (last.targets[0].start < 40_960).tolist()
    assert last.unseen_bytes == 40_960


def test_memory_that_is_new_in_an_aggregation() -> None:
    """Regions that an update has stretched, or put in, are those of the next aggregation."""
    target = made(1)
    assert target.regions.nr_missed.tolist() == [0]
    target.regions.miss_all()
    assert target.regions.nr_missed.tolist() == [MISSED_ALL]
    target.regions.miss_none()
    assert target.regions.nr_missed.tolist() == [0]


def test_a_pause_lets_what_has_ended_go(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """After it there is nothing of a target that ended before, whose last counts the pause has delivered."""
    primitive = sociable_recorder(hits=always)

    def end(kdamond: Kdamond) -> None:
        primitive.ended.add(2)
        keep(1)(kdamond)

    asks = {99: end, 119: lambda k: k.pause(paused=True), 121: lambda k: k.pause(paused=False)}
    ctx = context(attrs=LONG, targets=[made(1), made(2)], waits_for_targets=True)
    run = monitor(primitive, ctx, samples=400, asks=asks)
    assert [sorted(found(each)) for each in run.snapshots] == [[1, 2], [1], [1]]
    assert run.snapshots[0].partial


def test_a_target_that_is_not_wanted_any_more_leaves_no_empty_snapshot(
    monitor: Any, sociable_recorder: Any, context: Any
) -> None:
    """Where the only target lives, and is deselected, there is nothing to deliver."""
    ctx = context(attrs=LONG, targets=[made(1)], waits_for_targets=True)
    assert monitor(sociable_recorder(hits=always), ctx, samples=160, asks={99: keep()}).snapshots == []


def test_an_id_that_is_somebody_elses_now(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """A pid that comes back within the aggregation that its last owner ended in is a new target."""
    primitive = sociable_recorder(hits=lambda _, target: [target.id not in primitive.ended] * len(target.regions))

    def end(kdamond: Kdamond) -> None:
        primitive.ended.add(2)
        keep(1)(kdamond)

    def come_back(kdamond: Kdamond) -> None:
        primitive.ended.clear()
        old = {id(target) for target in kdamond.ctx.targets if target.id == 2}
        kdamond.retarget([*kdamond.wanted_targets, made(2)])
        assert [id(target) in old for target in kdamond.ctx.targets if target.id == 2] == [False]

    ctx = context(attrs=LONG, targets=[made(1), made(2)], waits_for_targets=True)
    run = monitor(primitive, ctx, samples=400, asks={99: end, 149: come_back})
    assert [sorted(found(each)) for each in run.snapshots] == [[1, 2], [1, 2]]
    assert run.calls[: run.calls.index("snapshot")].count("retarget [1]") == 1


def test_what_has_ended_stays_where_a_primitive_wants_it(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """A primitive that refuses to let it go ends nothing: everybody else is monitored as before."""

    class Keeping(sociable_recorder):  # type: ignore[misc]
        def retarget(self, ctx: Context) -> None:
            if len(ctx.targets) < 2:
                raise UsageError("two at least", hint="")

    primitive = Keeping(hits=always)

    def end(kdamond: Kdamond) -> None:
        primitive.ended.add(2)
        keep(1)(kdamond)

    ctx = context(attrs=LONG, targets=[made(1), made(2)], waits_for_targets=True)
    run = monitor(primitive, ctx, samples=400, asks={99: end})
    assert [sorted(found(each)) for each in run.snapshots] == [[1, 2], [1, 2]]


def test_a_change_that_is_taken_back(monitor: Any, sociable_recorder: Any, context: Any) -> None:
    """What has ended within it, and was to leave, is still there for its last counts."""
    primitive = sociable_recorder(hits=lambda _, target: [target.id not in primitive.ended] * len(target.regions))

    def end(kdamond: Kdamond) -> None:
        before = kdamond.wanted_targets
        primitive.ended.add(1)
        keep(2)(kdamond)
        kdamond.retarget(before)

    ctx = context(attrs=LONG, targets=[made(1), made(2)], waits_for_targets=True)
    run = monitor(primitive, ctx, samples=200, asks={149: end})
    assert [found(each) for each in run.snapshots] == [{1: [150], 2: [200]}]
