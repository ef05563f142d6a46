"""A budget is kept: by longer intervals and fewer regions, and reported."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import AddrRange, Attrs, Budget, Context, IntervalsGoal, Target
from damond.core.budget import Governor
from damond.errors import InvalidAttrsError
from damond.units import Usec

SECOND = 1_000_000
FAST = Attrs(sample_interval=Usec(5_000), aggr_interval=Usec(100_000))


def ranges(count: int) -> list[tuple[int, int]]:
    return [(4096 * n, 4096 * (n + 1)) for n in range(count)]


class Costly:
    """Charges CPU time for every pass, what a wake-up costs and what each region does, and for every aggregation."""

    def __init__(self, recorder: type, pass_us: float, check_us: float, aggregation_us: float = 0) -> None:
        self.calls: list[str] = []
        self.spent_us = 0.0
        outer = self

        class Primitive(recorder):  # type: ignore[misc]
            def check_accesses(self, ctx: Context) -> int:
                outer.spent_us += pass_us + check_us * ctx.nr_regions
                return int(super().check_accesses(ctx))

            def reset_aggregated(self, ctx: Context) -> None:
                outer.spent_us += aggregation_us
                super().reset_aggregated(ctx)

            def cpu_us(self) -> int:
                return round(outer.spent_us)

        self.primitive = Primitive(lambda _, target: np.arange(len(target.regions)) % 2 * 3)


def share_of(snapshots: Any) -> float:
    """Say which share of a CPU was used in the later half of a run."""
    begin_ns = (snapshots[0].start_ns + snapshots[-1].end_ns) // 2
    later = [each for each in snapshots if each.start_ns >= begin_ns]
    return sum(each.cpu_us for each in later) / ((later[-1].end_ns - later[0].start_ns) / 1000)


@pytest.mark.parametrize(("pass_us", "check_us"), [(200, 6), (1_000, 0), (50, 30), (20_000, 1)])
@pytest.mark.parametrize("max_cpu", [0.001, 0.01, 0.05])
def test_cpu_is_kept(
    monitor: Any, recorder: Any, context: Any, pass_us: float, check_us: float, max_cpu: float
) -> None:
    """Whatever a pass costs, and though it was thought to cost something else: after a minute the budget is met."""
    costly = Costly(recorder, pass_us, check_us)
    memory = context(ranges(150), attrs=FAST, budget=Budget(max_cpu=max_cpu))
    run = monitor(costly.primitive, memory, samples=1500)
    used = run.snapshots[-1].budget
    assert used is not None
    assert share_of(run.snapshots) == pytest.approx(max_cpu, rel=0.1)
    assert used.cpu == pytest.approx(max_cpu, rel=0.15)
    assert used.stretched == pytest.approx(run.snapshots[-1].sample_us / 5_000)


def test_an_aggregation_that_costs_more_than_its_passes(monitor: Any, recorder: Any, context: Any) -> None:
    """What comes at its end only is no reason for alarm each time: the budget is kept, and used."""
    costly = Costly(recorder, 100, 6, aggregation_us=5_000)
    memory = context(ranges(60), attrs=FAST, budget=Budget(max_cpu=0.01))
    run = monitor(costly.primitive, memory, samples=1500)
    assert share_of(run.snapshots) == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize(
    ("max_cpu", "least", "most", "longer"),
    # 60 regions: 460 us per pass and 2 ms per aggregation, 11.2 ms per 100 ms as asked for.
    [(0.2, 20, 20, 1), (0.05, 20, 20, 2.3), (0.01, 5, 6, 4.5), (0.001, 5, 5, 43)],
)
def test_fewer_samples_before_long_aggregations(
    monitor: Any, recorder: Any, context: Any, max_cpu: float, least: int, most: int, longer: float
) -> None:
    """Aggregations get up to four times longer; then they have fewer samples, down to five; then they get longer."""
    costly = Costly(recorder, 100, 6, aggregation_us=2_000)
    run = monitor(costly.primitive, context(ranges(60), attrs=FAST, budget=Budget(max_cpu=max_cpu)), samples=1000)
    last = [each for each in run.snapshots if not each.partial][-1]
    assert least <= last.max_nr_accesses <= most
    assert last.aggr_us == last.sample_us * last.max_nr_accesses
    assert last.aggr_us / FAST.aggr_interval == pytest.approx(longer, rel=0.15)


def test_fewer_samples_for_a_bound_of_checks(monitor: Any, recorder: Any, context: Any) -> None:
    """A bound of pages per second is kept in the same way: 20 regions in 5 ms are 4,000, and a twentieth is allowed."""
    run = monitor(
        recorder(lambda _, target: np.arange(len(target.regions)) % 2 * 3),
        context(ranges(20), attrs=FAST, budget=Budget(max_checks_per_s=200)),
        samples=400,
    )
    last = [each for each in run.snapshots if not each.partial][-1]
    assert (last.max_nr_accesses, last.sample_us) == (5, 100_000)


def test_no_start_on_credit(monitor: Any, recorder: Any, context: Any) -> None:
    """The first minute costs what the later ones do, if a pass costs about what it is thought to."""
    costly = Costly(recorder, 250, 8)
    run = monitor(costly.primitive, context(ranges(60), attrs=FAST, budget=Budget(max_cpu=0.01)), samples=600)
    first = [each for each in run.snapshots if each.end_ns <= run.snapshots[0].start_ns + 60e9]
    assert sum(each.cpu_us for each in first) / 60e6 <= 0.0115


def test_a_surprise_does_not_wait(monitor: Any, recorder: Any, context: Any) -> None:
    """A pass that costs a hundred times what was thought lengthens the interval at once, not after twenty of them."""
    costly = Costly(recorder, 40_000, 0)
    run = monitor(costly.primitive, context(ranges(20), attrs=FAST, budget=Budget(max_cpu=0.01)), samples=100)
    assert run.time.waits_s[0] < 0.1
    assert run.time.waits_s[4] > 3


def test_enough_is_not_stretched(monitor: Any, recorder: Any, context: Any) -> None:
    """A context that costs less than it may runs as it was asked to."""
    costly = Costly(recorder, 20, 0.1)
    run = monitor(costly.primitive, context(ranges(20), attrs=FAST, budget=Budget(max_cpu=0.1)), samples=2000)
    used = run.snapshots[-1].budget
    assert used is not None
    assert run.snapshots[-1].sample_us == 5_000
    assert (used.stretched, used.max_nr_regions) == (1, 1000)
    assert used.cpu == pytest.approx(22 / 5_000, rel=0.5)
    assert used.wanted_cpu == pytest.approx(used.cpu, rel=0.5)


def test_checks_are_kept(monitor: Any, recorder: Any, context: Any) -> None:
    """The bound of pages per second holds from the first window on, without any measurement."""
    run = monitor(
        recorder(lambda _, target: np.arange(len(target.regions)) % 2 * 3),
        context(ranges(150), attrs=FAST, budget=Budget(max_checks_per_s=1_000)),
        samples=400,
    )
    rates = [each.checks / ((each.end_ns - each.start_ns) / 1e9) for each in run.snapshots[:-1]]
    assert max(rates) <= 1_000.5
    assert np.mean(rates) > 800


def test_regions_are_lowered(monitor: Any, recorder: Any, context: Any) -> None:
    """Where all regions asked for would cost too much there are fewer, and intervals stay; down to a floor."""
    costly = Costly(recorder, 500, 5)
    attrs = Attrs(sample_interval=Usec(5_000), aggr_interval=Usec(100_000), max_nr_regions=4000)
    memory = context([(0, 4096 * 100_000)], attrs=attrs, budget=Budget(max_cpu=0.5))
    run = monitor(costly.primitive, memory, samples=2000)
    used = run.snapshots[-1].budget
    assert used is not None
    # 20.5 ms per pass at most; 2.5 ms, half of a sample, are enough for 400 regions.
    assert used.max_nr_regions == pytest.approx(400, rel=0.3)
    assert max(each.nr_regions for each in run.snapshots[10:]) <= used.max_nr_regions * 1.3
    assert used.stretched < 1.3
    less = context([(0, 4096 * 100_000)], attrs=attrs, budget=Budget(max_cpu=0.01))
    used = monitor(Costly(recorder, 200, 6).primitive, less, samples=200).snapshots[-1].budget
    assert used is not None
    assert used.max_nr_regions == 150
    assert used.stretched > 4


def test_the_budget_bounds_the_goal(monitor: Any, recorder: Any, context: Any) -> None:
    """A goal that asks for short intervals gets what the budget allows, and says what it wished."""
    costly = Costly(recorder, 1_000, 0)
    memory = context(ranges(20), attrs=FAST, intervals_goal=IntervalsGoal(), budget=Budget(max_cpu=0.01))
    costly.primitive._hits = lambda *_: 1
    run = monitor(costly.primitive, memory, samples=400)
    used = run.snapshots[-1].budget
    assert used is not None
    assert run.snapshots[-1].sample_us == pytest.approx(100_000, rel=0.2)
    # All is accessed at every look: the wish becomes as short as the goal allows, though the budget never does.
    assert used.stretched == pytest.approx(run.snapshots[-1].sample_us / 5_000)
    assert used.wanted_cpu > 5 * used.cpu


def test_updates_are_part_of_it(monitor: Any, recorder: Any, context: Any) -> None:
    """Where the budget lengthens samples, mappings are looked at every fifth of them, or as seldom as asked for."""
    attrs = Attrs(sample_interval=Usec(5_000), aggr_interval=Usec(100_000), primitive_update_interval=Usec(100_000))
    costly = Costly(recorder, 10_000, 0)
    run = monitor(costly.primitive, context(ranges(20), attrs=attrs, budget=Budget(max_cpu=0.01)), samples=100)
    last = run.snapshots[-1]
    assert last.update_us == 5 * last.sample_us
    assert 18 <= costly.primitive.calls.count("update") <= 22


def test_rest_is_no_credit(monitor: Any, recorder: Any, context: Any) -> None:
    """What was not used during a pause can't be used afterwards."""
    costly = Costly(recorder, 1_000, 0)
    asks = {100: lambda k: k.pause(paused=True), 400: lambda k: k.pause(paused=False)}
    memory = context(ranges(20), attrs=FAST, budget=Budget(max_cpu=0.01))
    run = monitor(costly.primitive, memory, samples=800, asks=asks)
    after = [each for each in run.snapshots if each.start_ns > run.snapshots[-1].end_ns - 30e9]
    assert all(each.sample_us > 80_000 for each in after)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf")])
def test_impossible_bounds(bad: float) -> None:
    """A bound is a positive number, or none."""
    with pytest.raises(InvalidAttrsError, match="max_cpu"):
        Budget(max_cpu=bad)
    with pytest.raises(InvalidAttrsError, match="max_checks_per_s"):
        Budget(max_checks_per_s=bad)


@given(
    costs=st.lists(st.tuples(st.floats(1, 1e6), st.floats(1, 1e8), st.integers(0, 100)), max_size=30),
    nr_regions=st.integers(0, 10_000),
)
def test_governor_is_sane(costs: list[tuple[float, float, int]], nr_regions: int) -> None:
    """Whatever was measured: intervals are positive and finite, and regions within the attributes."""
    governor = Governor(Budget(max_cpu=0.01, max_checks_per_s=1e4))
    for cpu_us, span_us, passes in costs:
        governor.measured(cpu_us, span_us, passes, nr_regions)
    samples = governor.nr_samples(FAST, 5_000, nr_regions, 1)
    assert 5 <= samples <= FAST.samples_per_aggr
    least = governor.least_interval_us(nr_regions, 1, samples)
    assert 0 < least < 1e15
    assert FAST.min_nr_regions <= governor.most_regions(FAST, 5_000, 1, 0) <= FAST.max_nr_regions
    assert governor.cpu >= 0


def test_initial_regions_share_what_is_allowed() -> None:
    """Regions to begin with: as many as wished, half of what is allowed at most, and all targets share them."""
    page = 4096
    many = Context(attrs=FAST, targets=[Target(0)], initial_nr_regions=500)
    pieces = many.initial_regions([AddrRange(0, page * 100_000)])
    assert len(pieces) == 500
    many.allowed_nr_regions = 200
    assert len(many.initial_regions([AddrRange(0, page * 100_000)])) == 100
    many.targets.append(Target(1))
    assert len(many.initial_regions([AddrRange(0, page * 100_000)])) == 50
    assert len(Context(attrs=FAST).initial_regions([AddrRange(0, page * 100_000)])) == FAST.min_nr_regions
