"""The loop: intervals, lateness and what snapshots say about time and cost."""

from typing import Any

import pytest

from damond.core import Attrs
from damond.units import Usec

SAMPLE_NS = 1_000_000


def test_waits_one_sample_interval(monitor: Any, recorder: Any) -> None:
    """A machine that keeps up waits the sample interval each time and is never late."""
    run = monitor(recorder(), samples=8)
    assert run.time.waits_s == pytest.approx([0.001] * 9)
    assert [each.overruns for each in run.snapshots] == [0, 0]


def test_small_delays_are_made_up_for(monitor: Any, recorder: Any) -> None:
    """Work that takes less than half an interval shortens the wait: samples keep their rhythm."""
    run = monitor(recorder(), samples=4, late_ns={1: 300_000, 2: 400_000})
    assert run.time.waits_s == pytest.approx([0.001, 0.0007, 0.0006, 0.001, 0.001])
    assert run.snapshots[0].overruns == 0
    assert run.snapshots[0].end_ns - run.snapshots[0].start_ns == 4 * SAMPLE_NS


@pytest.mark.parametrize(
    ("late_ns", "overruns", "window_ns"),
    [
        pytest.param({1: 499_999}, 0, 4_000_000, id="just under half an interval"),
        pytest.param({1: 500_001}, 1, 4_000_001, id="just over half an interval"),
        pytest.param({1: 50_000_000}, 1, 53_500_000, id="fifty intervals at once count once"),
        pytest.param({1: 700_000, 3: 800_000}, 2, 4_500_000, id="two samples"),
    ],
)
def test_overruns(monitor: Any, recorder: Any, late_ns: dict[int, int], overruns: int, window_ns: int) -> None:
    """A sample with less than half its interval left is late, gets that half, and is counted; none is caught up."""
    first = monitor(recorder(), samples=8, late_ns=late_ns).snapshots[0]
    assert first.overruns == overruns
    assert first.end_ns - first.start_ns == window_ns
    assert first.max_nr_accesses == 4


def test_lateness_is_counted_per_window(monitor: Any, recorder: Any) -> None:
    """A late sample burdens the window it falls into and no other."""
    run = monitor(recorder(), samples=12, late_ns={5: 900_000})
    assert [each.overruns for each in run.snapshots] == [0, 1, 0]


def test_cost_is_counted_per_window(monitor: Any, recorder: Any) -> None:
    """Checks and CPU time are those of the window."""
    run = monitor(recorder(), samples=10, cpu_us_per_sample=7)
    assert [each.cpu_us for each in run.snapshots] == [28, 28, 21]
    regions = [each.nr_regions for each in run.snapshots]
    assert run.snapshots[0].checks == 4 * regions[0]
    assert run.snapshots[2].checks < run.snapshots[1].checks


@pytest.mark.parametrize(
    ("sample", "aggr", "expected"),
    [
        pytest.param(1_000, 4_000, 4, id="a multiple"),
        pytest.param(1_000, 4_999, 4, id="rounded down"),
        pytest.param(5_000, 5_000, 1, id="one sample"),
    ],
)
def test_aggregation_is_by_number_of_samples(
    monitor: Any, recorder: Any, context: Any, sample: int, aggr: int, expected: int
) -> None:
    """However late samples are, a region is never accessed more often than it was looked at."""
    ctx = context([(0, 4096)], attrs=Attrs(sample_interval=Usec(sample), aggr_interval=Usec(aggr), min_nr_regions=3))
    late = dict.fromkeys(range(40), 60_000_000)
    run = monitor(recorder(lambda *_: 1), ctx, samples=3 * expected, late_ns=late)
    assert [int(each.targets[0].nr_accesses.max()) for each in run.snapshots] == [expected] * 3
    assert [each.max_nr_accesses for each in run.snapshots] == [expected] * 3


def test_age_counts_aggregations(monitor: Any, recorder: Any, context: Any) -> None:
    """Age grows while a region keeps its frequency and starts again when accesses begin or end."""
    ctx = context([(0, 4096)])
    run = monitor(recorder(lambda ctx, _target: int(12 <= ctx.passed_samples < 24)), ctx, samples=36)
    assert [int(each.targets[0].nr_accesses[0]) for each in run.snapshots] == [0, 0, 0, 4, 4, 4, 0, 0, 0]
    assert [int(each.targets[0].age[0]) for each in run.snapshots] == [1, 2, 3, 0, 1, 2, 0, 1, 2]


def test_age_is_counted_once_however_often_merging_repeats(monitor: Any, recorder: Any, context: Any) -> None:
    """More regions than allowed are merged with doubled thresholds; each region still ages by one."""
    attrs = Attrs(sample_interval=Usec(1_000), aggr_interval=Usec(20_000), min_nr_regions=3, max_nr_regions=4)
    ctx = context([(at * 4096, (at + 1) * 4096) for at in range(12)], attrs=attrs)
    run = monitor(recorder(lambda ctx, _t: [ctx.passed_samples % 20 < at for at in range(12)]), ctx, samples=20)
    assert run.snapshots[0].nr_regions <= 4
    assert set(run.snapshots[0].targets[0].age.tolist()) == {0}
