"""The measures against brute force over the same snapshots, and against what the memory really did."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from damond.core import Snapshot
from damond.report.measures import bandwidth, footprint, idle, sizing, temperature, wss
from damond.report.source import of_snapshots
from tests.report.synthetic import MIB, Run, monitor

PAGE = 4096
HOT: Any = {"start": 40 * MIB, "size": 20 * MIB}
SETTLED = 5
"""Windows until regions fit: log2(200 / 10), rounded up."""


@pytest.fixture(scope="module")
def pulse() -> Run:
    """20 MiB hot all the time and 20 MiB in the first half of each 20 s, of 128 MiB."""
    pulsing = {"start": 80 * MIB, "size": 20 * MIB, "temporal": "square", "period": "20s"}
    return monitor({"size": 128 * MIB, "tracks": [HOT, pulsing]}, 60)


def touched_pages(snapshots: list[Snapshot], at_least: float = 0.0) -> set[int]:
    """List the pages of all regions with access, one by one."""
    pages: set[int] = set()
    for each in snapshots:
        (target,) = each.targets
        hits = target.nr_accesses >= max(1, math.ceil(at_least * each.max_nr_accesses))
        rows = zip(target.start[hits].tolist(), target.size[hits].tolist(), strict=True)
        for start, size in rows:
            pages.update(range(start // PAGE, (start + size) // PAGE))
    return pages


def test_working_set_percentiles_are_those_of_the_windows(pulse: Run) -> None:
    """Every percentile is that of a plain list of the windows' sizes, for any access and for half of the samples."""
    found = wss.measure(pulse.subject, [0.0, 0.5])
    settled = pulse.snapshots[SETTLED:]
    for threshold, sizes in zip((0.0, 0.5), found.wss_bytes, strict=True):
        least = max(1, math.ceil(threshold * 20))
        plain = [int(each.targets[0].size[each.targets[0].nr_accesses >= least].sum()) for each in settled]
        assert list(sizes) == np.percentile(plain, found.percentiles, method="inverted_cdf").tolist()


def test_the_working_set_is_what_is_accessed(pulse: Run) -> None:
    """Half of the time 20 MiB, half of it 40: within 5 % of the truth."""
    found = wss.measure(pulse.subject, [0.5])
    by_percentile = dict(zip(found.percentiles, found.wss_bytes[0], strict=True))
    assert by_percentile[25] == pytest.approx(20 * MIB, rel=0.05)
    assert by_percentile[75] == pytest.approx(40 * MIB, rel=0.05)


def test_recency_counts_each_page_once(pulse: Run) -> None:
    """What was touched within the last second, ten, and all of it: page by page."""
    found = wss.measure(pulse.subject)
    end_ns = pulse.snapshots[-1].end_ns
    for within_ns, touched in zip(found.within_ns, found.touched_bytes, strict=True):
        recent = [each for each in pulse.snapshots[SETTLED:] if each.end_ns > end_ns - within_ns]
        assert touched == len(touched_pages(recent)) * PAGE


def test_series_show_the_pulse(pulse: Run) -> None:
    """The series rises and falls with the memory."""
    series = wss.measure(pulse.subject, [0.5]).series[0]
    seconds = (series.time_ns[:-1] - series.time_ns[0]) / 1e9
    high = series.mean[((seconds % 20) > 2) & ((seconds % 20) < 9)]
    low = series.mean[((seconds % 20) > 12) & ((seconds % 20) < 19)]
    assert np.nanmedian(high) == pytest.approx(40 * MIB, rel=0.05)
    assert np.nanmedian(low) == pytest.approx(20 * MIB, rel=0.05)


def test_idle_tail_is_what_no_window_found(pulse: Run) -> None:
    """What was untouched for at least a time is the rest of what was touched within it."""
    found = idle.measure(pulse.subject)
    touched = wss.measure(pulse.subject).touched_bytes
    assert [128 * MIB - each for each in touched] == list(found.untouched_bytes)
    assert found.monitored_bytes == 128 * MIB
    assert (
        found.accessed_bytes
        + sum(int(target.size[target.nr_accesses == 0].sum()) for target in pulse.snapshots[-1].targets)
        == 128 * MIB
    )


def test_nothing_is_idle_for_longer_than_was_watched(pulse: Run) -> None:
    """Ages are counted in aggregations, and may be those of ones that were shorter."""
    *before, last = pulse.snapshots
    longer = dataclasses.replace(last, aggr_us=20 * last.aggr_us)
    found = idle.measure(of_snapshots([*before, longer]))
    watched_us = (last.end_ns - before[0].start_ns) // 1000
    assert max(found.idle_us) == -min(found.idle_us) == pytest.approx(watched_us, abs=100_000)  # age n is n + 1 of them


def test_idle_percentiles_are_those_of_damon_stat(pulse: Run) -> None:
    """Idle times are read from ages: sorted by idle time, byte by byte."""
    found = idle.measure(pulse.subject)
    (target,) = pulse.snapshots[-1].targets
    idle_us = (target.age.astype(np.int64) + 1) * 100_000
    idle_us[target.nr_accesses > 0] *= -1
    pages = np.repeat(idle_us, (target.size // np.uint64(PAGE)).astype(np.intp))
    assert list(found.idle_us) == np.percentile(pages, found.percentiles, method="inverted_cdf").tolist()


def test_bandwidth_is_that_of_damon_stat(pulse: Run) -> None:
    """Size times accesses, per second: 20 MiB found in every sample of 5 ms are 4000 MiB/s."""
    found = bandwidth.measure(pulse.subject)
    by_percentile = dict(zip(found.percentiles, found.bps, strict=True))
    assert by_percentile[25] == pytest.approx(20 * MIB * 200, rel=0.05)
    assert found.mean_bps == pytest.approx(30 * MIB * 200, rel=0.05)


def test_temperature_finds_the_pieces(pulse: Run) -> None:
    """Three kinds of memory: always hot, half of the time, never; by heat and by idle time."""
    found = temperature.measure(pulse.subject)
    hottest, second = found.pieces[:2]
    assert (hottest.start, hottest.end) == pytest.approx((40 * MIB, 60 * MIB), abs=MIB)
    assert hottest.heat == pytest.approx(1.0, abs=0.05)
    assert (second.start, second.end) == pytest.approx((80 * MIB, 100 * MIB), abs=MIB)
    assert second.heat == pytest.approx(0.5, abs=0.05)
    assert second.busy == pytest.approx(0.5, abs=0.1)
    assert second.idle_ns == pytest.approx(10e9, abs=1e9)
    never = [each for each in found.coldest() if each.idle_ns is None]
    assert sum(each.size for each in never) > 50 * MIB
    assert found.coldest()[0] == never[0]
    assert sum(each.size for each in found.pieces) == 128 * MIB


def test_sizing_counts_periods(pulse: Run) -> None:
    """A minute has no ten minutes: periods of a second, each page once in each, against sets of pages."""
    run = of_snapshots(pulse.snapshots)
    found = sizing.measure(run)
    begin_ns, period_ns = run.from_ns, found.period_ns
    assert period_ns == 1_000_000_000
    by_period: dict[int, list[Snapshot]] = {}
    for each in pulse.snapshots[SETTLED:]:
        by_period.setdefault((each.start_ns - begin_ns) // period_ns, []).append(each)
    plain = [len(touched_pages(each)) * PAGE for each in by_period.values()]
    expected = np.percentile(plain, found.percentiles, method="inverted_cdf").tolist()
    assert found.nr_periods + found.nr_short == 60
    assert list(found.touched_bytes) == pytest.approx(expected, rel=0.02)
    assert found.all_bytes == len(touched_pages(pulse.snapshots[SETTLED:])) * PAGE
    assert found.all_sure_bytes == pytest.approx(40 * MIB, rel=0.05)


def test_footprint_has_the_working_set_beside(pulse: Run) -> None:
    """Without memory in the record there is still what was monitored and what was used."""
    found = footprint.measure(pulse.subject)
    assert found.memory.rss is None
    assert found.monitored is not None
    assert found.monitored.newest == 128 * MIB
    assert found.wss is not None
    assert found.wss.greatest >= found.wss.median >= found.wss.least > 0


def test_windows_in_which_regions_adapt_count_only_alone() -> None:
    """A run of no others is shown as it is, and says that there are no others."""
    run = monitor({"size": 128 * MIB, "tracks": [HOT]}, 0.4)
    found = wss.measure(run.subject)
    assert found.coverage.nr_adapting == found.coverage.nr_windows == 4
    assert found.wss_bytes[0][-1] > 0
