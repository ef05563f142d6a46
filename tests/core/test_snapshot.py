"""What an aggregation sums up to, by numbers computed by hand."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot, TargetSnapshot, summarize
from damond.core.snapshot import IDLE_PERCENTILES

MIB = 1024**2
Row = tuple[int, int, int]


def target(rows: list[Row], id_: int = 0) -> TargetSnapshot:
    """Make a target of (size, nr_accesses, age)."""
    size = np.array([row[0] for row in rows], np.uint64)
    nr_accesses, age = (np.array([row[column] for row in rows], np.uint32) for column in (1, 2))
    return TargetSnapshot(id_, None, np.cumsum(size, dtype=np.uint64) - size, size, nr_accesses, age)


def snapshot(*targets: TargetSnapshot, **more: Any) -> Snapshot:
    given: dict[str, Any] = {
        "context": "c",
        "primitive": "p",
        "start_ns": 10**18,
        "end_ns": 10**18 + 100_000_000,
        "sample_us": 5_000,
        "aggr_us": 100_000,
        "update_us": 60_000_000,
        "min_nr_regions": 10,
        "max_nr_regions": 1000,
        "max_nr_accesses": 20,
        "granularity": 4096,
        "checks": 0,
        "unknown": 0,
        "cpu_us": 0,
        "overruns": 0,
        "partial": False,
        "targets": targets,
    }
    return Snapshot(**(given | more))


def test_summary() -> None:
    """4 MiB seen in 5 and 2 MiB in 20 of the samples are 60 MiB per 100 ms, 600 MiB/s; the other 10 MiB are idle."""
    result = summarize(
        snapshot(target([(4 * MIB, 5, 2), (10 * MIB, 0, 9)]), target([(2 * MIB, 20, 0)], 1), checks=60, cpu_us=250)
    )
    assert (result.context, result.end_ns, result.nr_regions) == ("c", 10**18 + 100_000_000, 3)
    assert (result.total_bytes, result.accessed_bytes) == (16 * MIB, 6 * MIB)
    assert result.bandwidth_bps == 600 * MIB
    assert result.checks_per_s == pytest.approx(600)
    assert result.cpu_fraction == pytest.approx(0.0025)


def test_nothing_is_idle_for_longer_than_it_has_been_watched() -> None:
    """Ages count aggregations, and those may have become longer than they were when most of the ages were counted."""
    found = snapshot(target([(MIB, 0, 9), (MIB, 20, 9)]))
    assert set(summarize(found).idle_ms.values()) == {-1000, 1000}
    assert set(summarize(found, 300_000).idle_ms.values()) == {-300, 300}


def test_summary_uses_the_real_duration() -> None:
    """A window that took twice as long has half the bandwidth; idle times count aggregations as they were asked for."""
    result = summarize(snapshot(target([(MIB, 20, 0)]), end_ns=10**18 + 200_000_000, checks=40, cpu_us=100))
    assert result.bandwidth_bps == 100 * MIB
    assert result.checks_per_s == pytest.approx(200)
    assert result.cpu_fraction == pytest.approx(0.0005)
    assert set(result.idle_ms.values()) == {-100}


def test_idle_percentiles() -> None:
    """Bytes by idle time: accessed ones negative by age, (age + 1) aggregations each (stat.c, Linux 6.17).

    In order: 10 % at -300 ms, 15 % at -100 ms, 50 % at 100 ms, 25 % at 1 s.
    """
    rows = [(50, 0, 0), (10, 7, 2), (25, 0, 9), (15, 1, 0)]
    result = summarize(snapshot(target([(size * 4096, nr, age) for size, nr, age in rows])))
    assert result.idle_ms == {
        0: -300,
        1: -300,
        5: -300,
        10: -300,
        25: -100,
        50: 100,
        75: 100,
        90: 1000,
        95: 1000,
        99: 1000,
        100: 1000,
    }


@pytest.mark.parametrize("targets", [(), (target([]),)], ids=["no target", "no region"])
def test_nothing_to_sum_up(targets: tuple[TargetSnapshot, ...]) -> None:
    """Without regions there are no percentiles and all is zero."""
    result = summarize(snapshot(*targets))
    assert (result.total_bytes, result.accessed_bytes, result.bandwidth_bps, result.nr_regions) == (0, 0, 0, 0)
    assert result.idle_ms == {}


def test_window_without_duration() -> None:
    """A window of no duration (a clock that stands) divides by a microsecond, not by zero."""
    assert summarize(snapshot(target([(4096, 1, 0)]), end_ns=10**18)).bandwidth_bps == 4096 * 10**6


@given(
    rows=st.lists(
        st.tuples(st.integers(1, 2**34).map(lambda pages: pages * 4096), st.integers(0, 20), st.integers(0, 10**6)),
        min_size=1,
        max_size=30,
    )
)
def test_idle_percentiles_rise(rows: list[Row]) -> None:
    """A higher percentile is never less idle; the ends are the extremes of all regions."""
    idle = summarize(snapshot(target(rows))).idle_ms
    times = [idle[percentile] for percentile in IDLE_PERCENTILES]
    expected = [(age + 1) * 100 * (-1 if nr else 1) for _, nr, age in rows]
    assert times == sorted(times)
    assert (times[0], times[-1]) == (min(expected), max(expected))


@given(rows=st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 20), st.integers(0, 9)), max_size=30))
def test_totals(rows: list[Row]) -> None:
    """Totals are the sums over all targets, and what was accessed is a part of them."""
    given_ = snapshot(target(rows), target(rows, 1))
    assert given_.nr_regions == 2 * len(rows)
    assert given_.total_bytes == 2 * sum(size for size, _, _ in rows)
    assert given_.accessed_bytes == 2 * sum(size for size, nr, _ in rows if nr)
