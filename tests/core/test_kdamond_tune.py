"""The loop: attributes that change while it runs, and primitives that adapt regions themselves."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Attrs, Context, Window
from damond.units import Usec

TWICE_AS_FAST = Attrs(
    sample_interval=Usec(500), aggr_interval=Usec(4_000), primitive_update_interval=Usec(5_000), min_nr_regions=3
)


def test_tune_keeps_results(monitor: Any, recorder: Any, context: Any) -> None:
    """New intervals hold from the sample after the request; what was counted until then is expressed in them."""
    run = monitor(recorder(lambda *_: 1), context([(0, 4096)]), samples=14, tune={2: TWICE_AS_FAST})
    assert run.time.waits_s[:5] == pytest.approx([0.001, 0.001, 0.001, 0.0005, 0.0005])
    # Two samples of four became four of eight; four more fill the window.
    assert [each.max_nr_accesses for each in run.snapshots] == [8, 8]
    assert [each.targets[0].nr_accesses.tolist() for each in run.snapshots] == [[8], [8]]
    assert [each.sample_us for each in run.snapshots] == [500, 500]
    assert run.calls.index("tuned 1000 -> 500") == run.calls.index("check") + 4


@given(
    changes=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 4_000), st.integers(1, 50)), min_size=1, max_size=5),
)
def test_counts_stay_possible(monitor: Any, recorder: Any, context: Any, changes: list[tuple[int, int, int]]) -> None:
    """Whatever is asked for and when: no region has more accesses than its window has samples."""
    tune = {
        at: Attrs(sample_interval=Usec(sample), aggr_interval=Usec(sample * per_aggr), min_nr_regions=3)
        for at, sample, per_aggr in changes
    }
    run = monitor(recorder(lambda *_: 1), context([(0, 4096)]), samples=120, tune=tune)
    assert run.snapshots
    for each in run.snapshots:
        assert int(each.targets[0].nr_accesses.max()) <= each.max_nr_accesses


def test_tune_is_announced_once(monitor: Any, recorder: Any) -> None:
    """One request, one change."""
    run = monitor(recorder(), samples=20, tune={3: TWICE_AS_FAST})
    assert [call for call in run.calls if call.startswith("tuned")] == ["tuned 1000 -> 500"]


def test_tune_moves_the_next_update(monitor: Any, recorder: Any) -> None:
    """The update interval counts from the change on, in new samples."""
    run = monitor(recorder(), samples=30, tune={4: TWICE_AS_FAST})
    assert [run.calls[:at].count("check") for at, call in enumerate(run.calls) if call == "update"] == [14, 24]


def test_primitive_has_the_last_word(monitor: Any, recorder: Any) -> None:
    """What the primitive returns is what holds."""

    class Stubborn(recorder):  # type: ignore[misc]
        def tune(self, ctx: Context, attrs: Attrs) -> Attrs:
            return ctx.attrs

    run = monitor(Stubborn(), samples=8, tune={1: TWICE_AS_FAST})
    assert {each.sample_us for each in run.snapshots} == {1000}


def test_age_survives_other_intervals(monitor: Any, recorder: Any, context: Any) -> None:
    """Ten windows of age are five of windows twice as long."""
    slow = Attrs(sample_interval=Usec(1_000), aggr_interval=Usec(8_000), min_nr_regions=3)
    run = monitor(recorder(), context([(0, 4096)]), samples=48, tune={40: slow})
    assert [int(each.targets[0].age[0]) for each in run.snapshots] == [*range(1, 11), 6]


def collecting(recorder: type, windows: list[list[Window]]) -> Any:
    """Make a primitive whose regions belong to somebody else, who delivers these windows call by call."""

    class Collecting(recorder):  # type: ignore[misc]
        owns_regions = True
        collects_at_once = True

        def collect(self, ctx: Context) -> Iterator[Window]:
            self.calls.append("collect")
            for number, window in enumerate(windows.pop(0) if windows else []):
                ctx.targets[0].set_ranges([(0, 4096 * (number + 1))])
                ctx.targets[0].regions.nr_accesses = np.array([number + 3], np.uint32)
                yield window

        def cpu_us(self) -> int:
            return 100 * int(self.calls.count("collect"))

    return Collecting()


def test_collects_what_others_aggregate(monitor: Any, recorder: Any) -> None:
    """Twice per aggregation interval it asks, and at the end; each window becomes a snapshot with its regions."""
    windows = [[], [Window(10, 20, 4, 40), Window(20, 31, 5, 50)], [], [Window(31, 40, 4, 40)]]
    run = monitor(collecting(recorder, windows), samples=4)
    assert run.calls == [
        *["init", "started"],
        *["collect"] * 2,
        *["snapshot"] * 2,
        *["collect"] * 2,
        "snapshot",
        "collect",
        "cleanup",
    ]
    assert run.time.waits_s == pytest.approx([0.002] * 5)
    found = [(each.start_ns, each.end_ns, each.max_nr_accesses, each.checks, each.partial) for each in run.snapshots]
    assert found == [(10, 20, 4, 40, False), (20, 31, 5, 50, False), (31, 40, 4, 40, False)]
    assert [each.total_bytes for each in run.snapshots] == [4096, 8192, 4096]
    assert [each.targets[0].nr_accesses.tolist() for each in run.snapshots] == [[3], [4], [3]]
    assert run.ctx.passed_samples == 13


def test_cost_elsewhere_is_counted(monitor: Any, recorder: Any) -> None:
    """CPU time that the primitive causes outside of the worker is part of the cost."""
    run = monitor(collecting(recorder, [[], [Window(0, 1, 1, 1)]]), samples=3, cpu_us_per_sample=7)
    assert [each.cpu_us for each in run.snapshots] == [2 * 100 + 2 * 7]


def test_collecting_ends_by_callback(monitor: Any, recorder: Any, context: Any, recording_callback: Any) -> None:
    """A true return of after_aggregation stops, and that window is delivered."""
    primitive = collecting(recorder, [[Window(0, 1, 1, 1)], [Window(1, 2, 1, 1)]])
    run = monitor(primitive, context(callback=recording_callback(primitive.calls, "after_aggregation")), samples=99)
    assert run.reason == "callback"
    assert len(run.snapshots) == 1
    assert run.calls[-2:] == ["before_terminate", "cleanup"]


def test_owner_must_collect(monitor: Any, recorder: Any) -> None:
    """A primitive that says it owns its regions and delivers none is told so."""

    class Silent(recorder):  # type: ignore[misc]
        owns_regions = True

    primitive = Silent()
    with pytest.raises(NotImplementedError, match="recorder says that it owns its regions"):
        monitor(primitive)
    assert primitive.calls[-1] == "cleanup"
