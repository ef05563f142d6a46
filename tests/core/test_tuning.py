"""Interval auto-tuning: the kernel's algorithm (mm/damon/core.c, Linux 6.15), and what is ours beyond."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Attrs, Budget, Context, IntervalsGoal, Region, Regions, Target
from damond.core.tuning import Tuner, adaptation_bp, next_input
from damond.errors import InvalidAttrsError
from damond.units import Usec

SECOND = 1_000_000


def attrs(sample_us: int, samples: int = 20) -> Attrs:
    return Attrs(sample_interval=Usec(sample_us), aggr_interval=Usec(sample_us * samples))


def targets(*rows: tuple[int, int]) -> list[Target]:
    """Make a target of regions of so many pages with so many accesses."""
    at, found = 0, []
    for pages, nr_accesses in rows:
        found.append(Region(at, at + pages * 4096, nr_accesses))
        at += pages * 4096
    return [Target(0, Regions(found))]


@pytest.mark.parametrize(
    ("last", "score", "expected"),
    [
        (200_000, 10_000, 200_000),
        (200_000, 0, 400_000),
        (200_000, 5_000, 300_000),
        (200_000, 12_500, 150_000),
        (200_000, 19_999, 10_000),
        (200_000, 20_000, 10_000),
        (10_000, 15_000, 10_000),
    ],
)
def test_feed_loop(last: int, score: int, expected: int) -> None:
    """More by what is missing, less by what is too much, and never below 10,000."""
    assert next_input(last, score) == expected


@given(scores=st.tuples(st.integers(0, 25_000), st.integers(0, 25_000)))
def test_feed_loop_is_monotonic(scores: tuple[int, int]) -> None:
    """A lower score asks for more (kernel core-test.h, damos_test_feed_loop_next_input)."""
    low, high = sorted(scores)
    assert next_input(900_000, low) >= next_input(900_000, high)


@pytest.mark.parametrize(
    ("score", "expected"),
    [(0, 20_000), (2_000, 18_000), (10_000, 10_000), (12_500, 8_750), (15_000, 7_500), (20_000, 5_000), (10**9, 5_000)],
)
def test_adaptation(score: int, expected: int) -> None:
    """At most double, at most half: what is below 1 is moved from 0..1 to 0.5..1."""
    assert adaptation_bp(score) == expected


def test_score() -> None:
    """Observed accesses by size, against 4 % of all that there could be."""
    tuner = Tuner(IntervalsGoal())
    assert tuner.score(targets((4, 20), (96, 0)), 20) == 10_000
    assert tuner.score(targets((100, 0)), 20) == 0
    assert tuner.score(targets((1, 10), (99, 0)), 20) == 1_250
    assert tuner.score(targets((100, 20)), 20) == 250_000
    assert tuner.score([], 20) == 0


def test_every_few_aggregations() -> None:
    """The third aggregation is followed by a change, and the sixth; nothing is done where the goal is met exactly."""
    tuner = Tuner(IntervalsGoal())
    idle = targets((100, 0))
    assert [tuner.aggregated(idle, attrs(5_000)) for _ in range(6)] == [None, None, 10_000, None, None, 10_000]
    met = Tuner(IntervalsGoal(aggrs=1))
    assert met.aggregated(targets((4, 20), (96, 0)), attrs(7_000)) == 7_000


@pytest.mark.parametrize(
    ("sample_us", "rows", "expected"), [(9 * SECOND, (100, 0), 10 * SECOND), (6_000, (9, 20), 5_000)]
)
def test_bounds(sample_us: int, rows: tuple[int, int], expected: int) -> None:
    """Twice as long and half as long stop at the bounds of the goal."""
    assert Tuner(IntervalsGoal(aggrs=1)).aggregated(targets(rows), attrs(sample_us)) == expected


@pytest.mark.parametrize(
    "given",
    [
        {"access_bp": 0},
        {"access_bp": 10_001},
        {"aggrs": 0},
        {"min_sample_us": 0},
        {"min_sample_us": 2, "max_sample_us": 1},
        {"saturation_bp": -1},
        {"saturation_bp": 10_001},
    ],
)
def test_impossible_goals(given: dict[str, int]) -> None:
    """A goal that can't be meant is refused by the name of what is wrong."""
    with pytest.raises(ValueError, match=next(iter(given))):
        IntervalsGoal(**given)


def test_begin_outside() -> None:
    """Tuning can't begin outside of its bounds (damon_set_attrs: EINVAL)."""
    with pytest.raises(InvalidAttrsError, match="sample_interval"):
        IntervalsGoal().check(attrs(4_999))


def test_saturation_stops() -> None:
    """Where what is accessed at all is seen in every sample, a longer interval shows no more: it gets shorter."""
    hot = targets((2, 20), (510, 0))  # 0.4 % of memory
    assert Tuner(IntervalsGoal(aggrs=1)).aggregated(hot, attrs(80_000)) == 152_192
    assert Tuner(IntervalsGoal(aggrs=1, saturation_bp=5_000)).aggregated(hot, attrs(80_000)) == 40_000


def test_saturation_of_next_to_nothing() -> None:
    """A stack that is always hot does not hold the interval for memory a million times as large."""
    process = targets((32, 20), (75_000_000, 0))
    assert Tuner(IntervalsGoal(aggrs=1, saturation_bp=5_000)).aggregated(process, attrs(80_000)) > 159_000


def test_fast_attack_slow_release() -> None:
    """Twice the goal shortens after any aggregation; rest lengthens only after a while."""
    tuner = Tuner(IntervalsGoal(saturation_bp=5_000))
    rest, work = targets((100, 0)), targets((50, 20), (50, 0))
    assert tuner.aggregated(work, attrs(80_000)) == 40_000
    changes = [tuner.aggregated(rest, attrs(40_000)) for _ in range(90)]
    assert set(changes[:42]) == {None, 40_000}
    assert [each for each in changes[42:] if each][-1] > 50_000
    assert tuner.aggregated(work, attrs(80_000)) == 40_000


def test_a_rest_is_waited_out() -> None:
    """Work for half a second, just at the goal, is remembered through 1.5 s of rest; less work is taken as it is."""
    tuner = Tuner(IntervalsGoal(saturation_bp=5_000))
    work, rest, less = targets((10, 11), (90, 0)), targets((100, 0)), targets((3, 8), (97, 0))
    for _ in range(5):
        tuner.aggregated(work, attrs(5_000))
    assert {tuner.aggregated(rest, attrs(5_000)) for _ in range(15)} == {None, 5_000}
    for _ in range(5):
        tuner.aggregated(work, attrs(5_000))
    assert max(tuner.aggregated(less, attrs(5_000)) or 0 for _ in range(15)) > 5_000


def test_work_shorter_than_an_aggregation() -> None:
    """It shows in full in some aggregations and in part in others; these alone do not lengthen the interval."""
    tuner = Tuner(IntervalsGoal(saturation_bp=5_000))
    full, part, rest = targets((10, 11), (90, 0)), targets((3, 8), (97, 0)), targets((100, 0))
    assert {tuner.aggregated(each, attrs(5_000)) for each in [full, part, rest, part, rest] * 10} == {None, 5_000}
    assert max(tuner.aggregated(each, attrs(5_000)) or 0 for each in [part] * 25) > 5_000


def test_within_an_aggregation() -> None:
    """Somebody who waits 200 s for an aggregation gets shorter ones as soon as twice the goal has been seen."""
    slow, busy = attrs(10 * SECOND), targets((10, 5), (90, 0))
    tuner = Tuner(IntervalsGoal(saturation_bp=5_000))
    assert [tuner.sampled(busy, samples, slow) for samples in (3, 4, 5)] == [None, None, 5 * SECOND]
    assert tuner.sampled(targets((10, 1), (90, 0)), 5, slow) is None
    assert tuner.sampled(busy, 5, attrs(50_000)) is None
    assert Tuner(IntervalsGoal()).sampled(busy, 5, slow) is None


class Touched:
    """Memory of which each page is touched so often, in order: what a check of some page of a region finds."""

    def __init__(self, rates_per_s: list[float], seed: int = 3) -> None:
        self._rates = np.array(rates_per_s)
        self._rng = np.random.default_rng(seed)

    def __call__(self, ctx: Context, target: Target) -> Any:
        probability = 1 - np.exp(-self._rates * ctx.attrs.sample_interval / SECOND)
        page = target.regions.pick_sampling_addrs(self._rng) // np.uint64(4096)
        return self._rng.random(len(page)) < probability[page.astype(np.int64)]


def test_loop_reaches_the_goal(monitor: Any, recorder: Any, context: Any) -> None:
    """From 5 ms on, the loop finds an interval at which about 4 % of the accesses are seen; samples per window stay."""
    memory = context([(0, 4096 * 1000)], attrs=attrs(5_000), intervals_goal=IntervalsGoal())
    run = monitor(recorder(Touched([0.5] * 100 + [0.0] * 900)), memory, samples=3000)
    assert next(call for call in run.calls if call.startswith("paced")) == "paced 5000 -> 10000"
    later = run.snapshots[-20:]
    assert {each.max_nr_accesses for each in run.snapshots[:-1]} == {20}
    assert all(each.aggr_us == 20 * each.sample_us for each in later)
    share = np.mean([(t.size * t.nr_accesses).sum() / t.size.sum() / 20 for each in later for t in each.targets])
    assert 0.03 < share < 0.055
    # 4 % of 10 % of pages: p = 0.4, at 0.5 touches per second after 1.02 s.
    assert 700_000 < np.mean([each.sample_us for each in later]) < 1_400_000


def test_loop_of_idle_memory(monitor: Any, recorder: Any, context: Any) -> None:
    """What nobody touches is looked at ever more seldom, down to the bound; ages go on in time."""
    goal = IntervalsGoal(max_sample_us=640_000, aggrs=1)
    run = monitor(recorder(), context([(0, 40960)], attrs=attrs(5_000), intervals_goal=goal), samples=200)
    assert [each.sample_us for each in run.snapshots[:9]] == [5_000 * 2**n for n in range(8)] + [640_000]
    ages_s = [int(each.targets[0].age[0]) * each.aggr_us / SECOND for each in run.snapshots]
    passed_s = [(each.end_ns - run.snapshots[0].start_ns) / 1e9 for each in run.snapshots]
    assert ages_s == pytest.approx(passed_s, rel=0.35, abs=0.1)


def test_updates_go_on_while_intervals_change(monitor: Any, recorder: Any, context: Any) -> None:
    """The time to the next look at the mappings counts on, however often the interval changes."""
    slow = Attrs(sample_interval=Usec(5_000), aggr_interval=Usec(20_000), primitive_update_interval=Usec(200_000))
    goal = IntervalsGoal(aggrs=1, max_sample_us=10_000)
    run = monitor(recorder(), context([(0, 40960)], attrs=slow, intervals_goal=goal), samples=110)
    updates = [index for index, call in enumerate(run.calls) if call == "update"]
    assert len(updates) == 5


def test_tune_beside_a_goal(monitor: Any, recorder: Any, context: Any) -> None:
    """Attributes that somebody asks for are where tuning goes on; outside of the goal's bounds they are refused."""
    refused: list[InvalidAttrsError] = []

    def ask(kdamond: Any) -> None:
        try:
            kdamond.tune(attrs(1_000))
        except InvalidAttrsError as error:
            refused.append(error)

    goal = IntervalsGoal()
    memory = context([(0, 40960)], attrs=attrs(5_000), intervals_goal=goal)
    run = monitor(recorder(), memory, samples=300, asks={3: ask, 5: lambda kdamond: kdamond.tune(attrs(40_000))})
    assert len(refused) == 1
    assert [call for call in run.calls if call.startswith(("tuned", "paced"))][:2] == [
        "tuned 5000 -> 40000",
        "paced 40000 -> 80000",
    ]


def test_somebody_else_tunes(monitor: Any, recorder: Any, context: Any) -> None:
    """A primitive whose intervals the kernel tunes is left alone."""
    primitive = recorder()
    primitive.tunes_intervals = True
    goal = IntervalsGoal(aggrs=1)
    run = monitor(primitive, context([(0, 40960)], attrs=attrs(5_000), intervals_goal=goal), samples=100)
    assert {each.sample_us for each in run.snapshots} == {5_000}


def test_not_faster_than_the_primitive(monitor: Any, recorder: Any, context: Any) -> None:
    """A primitive's own bound holds against the goal."""
    primitive = recorder(lambda *_: 1)
    primitive.least_sample_us = 100_000
    goal = IntervalsGoal(aggrs=1)
    run = monitor(primitive, context([(0, 40960)], attrs=attrs(200_000), intervals_goal=goal), samples=200)
    assert run.snapshots[-1].sample_us == 100_000


def test_stretched_by_what_the_primitive_can(monitor: Any, recorder: Any, context: Any) -> None:
    """How much rarer samples are by a budget is said of what there could be: no more than the primitive can take."""
    primitive = recorder(lambda *_: 1)
    primitive.least_sample_us = 100_000
    given = context(
        [(0, 40960)], attrs=attrs(100_000), intervals_goal=IntervalsGoal(aggrs=1), budget=Budget(max_checks_per_s=2)
    )
    run = monitor(primitive, given, samples=400)
    last = run.snapshots[-1]
    assert last.sample_us > 300_000
    assert last.budget.stretched == pytest.approx(last.sample_us / 100_000, rel=0.01)
    assert last.budget.wanted_checks_per_s <= 10 * last.nr_regions
