"""The loop: the order of calls, and what ends it."""

from typing import Any

import numpy as np
import pytest

from damond.core import Attrs, Callback, Context, Target
from damond.units import Usec

ONE_SAMPLE = Attrs(sample_interval=Usec(1_000), aggr_interval=Usec(1_000), min_nr_regions=3)


def test_order_of_calls(monitor: Any, recorder: Any, context: Any, recording_callback: Any) -> None:
    """Two aggregations of four samples, then a request to stop: every call, in order."""
    primitive = recorder()
    ctx = context(callback=recording_callback(primitive.calls))
    sample = ["prepare", "check", "after_sampling"]
    aggregation = [*sample * 4, "after_aggregation", "snapshot", "reset"]
    run = monitor(primitive, ctx, samples=8)
    assert run.calls == [
        *["init", "started", "before_start"],
        *aggregation,
        *aggregation,
        *["prepare", "before_terminate", "cleanup"],
    ]
    assert run.reason == "requested"


def test_update_cadence(monitor: Any, recorder: Any) -> None:
    """The primitive is updated every ten samples, after the aggregation that is due at the same time."""
    run = monitor(recorder(), samples=41)
    checks_before = [run.calls[:at].count("check") for at, call in enumerate(run.calls) if call == "update"]
    assert checks_before == [10, 20, 30, 40]
    at_20 = [at for at, call in enumerate(run.calls) if call == "update"][1]
    assert run.calls[at_20 - 2 : at_20] == ["snapshot", "reset"]


def test_sz_limit_is_refreshed_by_update_only(monitor: Any, recorder: Any, context: Any) -> None:
    """What an update adds raises the size limit of the merges after it, as in the kernel."""

    class Growing(recorder):  # type: ignore[misc]
        def update(self, ctx: Context) -> None:
            ctx.targets[0].set_ranges([(0, 4096), (4096, 8192), (8192, 81_920)])

    run = monitor(Growing(), context([(0, 4096), (4096, 8192)]), samples=12)
    assert [int(each.targets[0].size[0]) for each in run.snapshots] == [4096, 4096, 8192]


@pytest.mark.parametrize("stop_in", ["after_sampling", "after_aggregation"])
def test_callback_that_stops(monitor: Any, recorder: Any, context: Any, recording_callback: Any, stop_in: str) -> None:
    """A true return stops the monitoring, but the rest of the sample still runs."""
    primitive = recorder()
    run = monitor(primitive, context(callback=recording_callback(primitive.calls, stop_in)), samples=100)
    assert run.reason == "callback"
    assert run.calls.count(stop_in) == 1
    assert run.calls[-2:] == ["before_terminate", "cleanup"]
    if stop_in == "after_aggregation":
        assert run.calls[-5:-2] == ["after_aggregation", "snapshot", "reset"]


def test_before_start_that_stops(monitor: Any, recorder: Any, context: Any, recording_callback: Any) -> None:
    """A true return of before_start means no sample at all, and the whole way out."""
    primitive = recorder()
    run = monitor(primitive, context(callback=recording_callback(primitive.calls, "before_start")))
    assert run.calls == ["init", "started", "before_start", "before_terminate", "cleanup"]
    assert run.reason == "callback"


def test_before_terminate_sees_the_regions(monitor: Any, recorder: Any, context: Any) -> None:
    """The regions are still there, with what the unfinished aggregation has counted."""
    seen: list[list[int]] = []

    def look(ctx: Context) -> None:
        seen.append(ctx.targets[0].regions.nr_accesses.tolist())

    ctx = context([(0, 4096), (8192, 12_288)], callback=Callback(before_terminate=look))
    monitor(recorder(lambda *_: [0, 1]), ctx, samples=6)
    assert seen == [[0, 2]]


def test_after_sampling_sees_what_was_sampled(monitor: Any, recorder: Any, context: Any) -> None:
    """after_sampling follows the check of its sample (5.15 calls it before)."""
    seen: list[int] = []
    ctx = context(
        [(0, 4096)],
        callback=Callback(after_sampling=lambda ctx: seen.append(int(ctx.targets[0].regions.nr_accesses[0]))),
    )
    monitor(recorder(lambda *_: 1), ctx, samples=5)
    assert seen == [1, 2, 3, 4, 1]


def test_unfinished_aggregation_is_delivered(monitor: Any, recorder: Any, context: Any) -> None:
    """What was counted until the stop comes as a partial snapshot; it says how many samples it has."""
    run = monitor(recorder(lambda *_: [0, 1]), context([(0, 4096), (8192, 12_288)]), samples=7)
    full, partial = run.snapshots
    assert (full.partial, full.max_nr_accesses, full.targets[0].nr_accesses.tolist()) == (False, 4, [0, 4])
    assert (partial.partial, partial.max_nr_accesses, partial.targets[0].nr_accesses.tolist()) == (True, 3, [0, 3])
    assert partial.end_ns - partial.start_ns == 4_000_000  # the wait that was asked to stop has passed too


def test_no_partial_snapshot_without_a_sample(monitor: Any, recorder: Any) -> None:
    """An aggregation that has just begun is nothing to deliver."""
    assert [each.partial for each in monitor(recorder(), samples=4).snapshots] == [False]


@pytest.mark.parametrize(
    ("ends", "checks"), [({0: 3, 1: 6}, 6), ({0: 0, 1: 0}, 0)], ids=["the last target counts", "gone before the start"]
)
def test_target_gone(monitor: Any, mortal_recorder: Any, context: Any, ends: dict[int, int], checks: int) -> None:
    """The monitoring ends when no target is valid any more, and not before."""
    primitive = mortal_recorder(ends)
    run = monitor(primitive, context(targets=[Target(0), Target(1)]), samples=100)
    assert run.reason == "target_gone"
    assert run.calls.count("check") == checks
    assert run.calls[-1] == "cleanup"


@pytest.mark.parametrize(
    ("tells", "reason"), [(True, "target_gone"), (False, "requested")], ids=["can tell", "cannot tell"]
)
def test_no_targets(monitor: Any, recorder: Any, mortal_recorder: Any, context: Any, tells: bool, reason: str) -> None:
    """Without targets a primitive that can tell ends at once; one that can't goes on until it is asked to stop."""
    primitive = mortal_recorder({}) if tells else recorder()
    assert monitor(primitive, context(targets=[]), samples=3).reason == reason


@pytest.mark.parametrize("function", ["init", "prepare", "check", "reset", "update"])
def test_cleanup_after_a_failure(monitor: Any, recorder: Any, function: str) -> None:
    """Whatever the primitive raises goes to the caller, and cleanup has been called, last and once."""
    primitive = recorder(fail_in=function)
    with pytest.raises(OSError, match=f"broken in {function}"):
        monitor(primitive, samples=100)
    assert primitive.calls.count("cleanup") == 1
    assert primitive.calls[-2:] == [function, "cleanup"]


@pytest.mark.parametrize("function", ["before_start", "after_sampling", "after_aggregation", "before_terminate"])
def test_cleanup_after_a_failing_callback(
    monitor: Any, recorder: Any, context: Any, recording_callback: Any, function: str
) -> None:
    """Whatever a callback raises goes to the caller after the cleanup."""
    primitive = recorder()
    with pytest.raises(LookupError, match=f"broken in {function}"):
        monitor(primitive, context(callback=recording_callback(primitive.calls, fail_in=function)), samples=9)
    assert primitive.calls[-2:] == [function, "cleanup"]


def test_aggregation_resets_all_targets(monitor: Any, recorder: Any, context: Any) -> None:
    """After an aggregation 3 targets still have 3 regions each, all counters 0 (kernel core-test.h, aggregate)."""
    starts = [[10, 20, 30], [5, 42, 49], [13, 33, 55]]
    ends = [[15, 27, 40], [31, 45, 55], [23, 44, 66]]
    accesses = [[42, 95, 84], [10, 20, 30], [0, 1, 2]]
    targets = [Target(each) for each in (1, 2, 3)]
    for target, start, end in zip(targets, starts, ends, strict=True):
        target.set_ranges(zip(start, end, strict=True))
    seen: dict[int, list[list[int]]] = {}

    class Looking(recorder):  # type: ignore[misc]
        def reset_aggregated(self, ctx: Context) -> None:
            for each in ctx.targets:
                seen[each.id] = [each.regions.nr_accesses.tolist(), each.regions.last_nr_accesses.tolist()]

    run = monitor(
        Looking(lambda _ctx, target: accesses[target.id - 1]), context(targets=targets, attrs=ONE_SAMPLE), samples=1
    )
    assert seen == {each: [[0, 0, 0], accesses[each - 1]] for each in (1, 2, 3)}
    assert [each.nr_accesses.tolist() for each in run.snapshots[0].targets] == accesses


def test_snapshot_owns_its_columns(monitor: Any, recorder: Any) -> None:
    """What a sink was given, whole or partial, does not change with the regions."""
    run = monitor(recorder(lambda _ctx, target: np.ones(len(target.regions))), samples=5)
    found = [each.targets[0] for each in run.snapshots]
    names = ("start", "size", "nr_accesses", "age")
    before = [[getattr(each, name).tolist() for name in names] for each in found]
    regions = run.ctx.targets[0].regions
    for name in regions.COLUMNS:
        getattr(regions, name)[:] += 7
    assert [[getattr(each, name).tolist() for name in names] for each in found] == before


@pytest.mark.parametrize(
    ("counts", "merged"),
    [
        pytest.param((20, 18), 1, id="a tenth of the highest count apart"),
        pytest.param((20, 17), 2, id="more than a tenth apart"),
        pytest.param((9, 8), 2, id="below ten the tenth is nothing"),
    ],
)
def test_merge_threshold(monitor: Any, recorder: Any, context: Any, counts: tuple[int, int], merged: int) -> None:
    """Neighbours merge up to a tenth of the highest count apart (kdamond_merge_regions, Linux 5.15)."""
    attrs = Attrs(sample_interval=Usec(1_000), aggr_interval=Usec(20_000), min_nr_regions=3)
    target = Target(0)
    target.set_ranges([(0, 4096), (4096, 8192), (16_384, 65_536)])
    hits = [*counts, 0]
    ctx = context(attrs=attrs, targets=[target])
    run = monitor(recorder(lambda ctx, _t: [ctx.passed_samples < each for each in hits]), ctx, samples=20)
    assert run.snapshots[0].nr_regions == merged + 1
