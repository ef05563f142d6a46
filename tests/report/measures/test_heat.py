import itertools
from dataclasses import replace

import numpy as np
import pytest

from damond.core import AddrRange
from damond.report.heatmap import Heatmap
from damond.report.measures import heat
from damond.report.measures.heat import Canvas, Unit
from damond.report.source import of_snapshots
from tests.report.synthetic import MIB, monitor

GIB = 1024 * MIB


def drawn(found: heat.Heat) -> Heatmap:
    assert found.heatmap is not None
    return found.heatmap


def test_finds_the_truth_of_a_constant_range() -> None:
    """The hot range is drawn, as hot as it is, where it is: cell by cell against what is really accessed."""
    run = monitor({"size": GIB, "tracks": [{"start": 400 * MIB, "size": 100 * MIB}]}, 20)
    found = heat.measure(run.subject, Canvas(nr_times=10, nr_addrs=40))
    heatmap = drawn(found)
    (area,) = heatmap.areas
    edges = area.edges().tolist()
    moment = run.memory.at(0, 5000)
    truth = [moment.mean_touch_probability(AddrRange(*bounds)) for bounds in itertools.pairwise(edges)]
    assert np.abs(heatmap.heat[2:] - truth).max() < 0.05
    assert found.drawn_share > 0.99
    assert heatmap.total_bytes == GIB


def test_follows_a_range_that_moves() -> None:
    """A range that hops every 2 s: at any time the truth and the picture agree about nine cells of ten."""
    run = monitor({"size": GIB, "tracks": [{"size": GIB // 8, "move": "hop", "move_period": "16s"}]}, 16)
    heatmap = drawn(heat.measure(run.subject, Canvas(nr_times=32, nr_addrs=32, everything=True)))
    edges = np.concatenate([each.edges() for each in heatmap.areas]).tolist()
    agree = []
    for row, time_ns in enumerate(heatmap.time_ns[:-1].tolist()):
        begin_us = (time_ns - int(heatmap.time_ns[0])) // 1000 + 250_000
        moment = run.memory.at(begin_us, 5000)
        truth = [moment.mean_touch_probability(AddrRange(*each)) for each in itertools.pairwise(edges)]
        agree.append(np.abs(heatmap.heat[row] - truth).mean() < 0.1)
    assert np.mean(agree) >= 0.8


def test_rate_is_in_accesses_per_second() -> None:
    """What is found in every sample of 5 ms is accessed at least 200 times per second."""
    run = monitor({"size": 256 * MIB, "tracks": [{"start": 64 * MIB, "size": 64 * MIB}]}, 10)
    heatmap = drawn(heat.measure(run.subject, Canvas(nr_times=4, nr_addrs=8, unit=Unit.RATE)))
    assert np.nanmax(heatmap.heat) == pytest.approx(200, rel=0.01)


def test_a_gap_is_told_from_cold() -> None:
    """Where nothing was recorded the row is unknown and says so; where nothing was hot it is 0."""
    run = monitor({"size": 256 * MIB, "tracks": [{"start": 64 * MIB, "size": 64 * MIB}]}, 10)
    kept = [each for row, each in enumerate(run.snapshots) if not 40 <= row < 60]
    found = heat.measure(of_snapshots(kept), Canvas(nr_times=10, nr_addrs=8, everything=True))
    heatmap = drawn(found)
    assert found.recorded.tolist() == [True] * 4 + [False] * 2 + [True] * 4
    assert np.isnan(heatmap.heat[4:6]).all()
    assert (heatmap.heat[6:, -1] == 0).all()
    assert (found.coverage.nr_gaps, found.coverage.gaps_ns) == (1, 2_000_000_000)


def test_attributes_that_change_leave_the_heat_as_it_is() -> None:
    """Windows of 20 and of 200 samples: heat is the share of samples, not their number."""
    options = {"size": 256 * MIB, "tracks": [{"start": 64 * MIB, "size": 64 * MIB, "probability": 0.5}]}
    short = monitor(options, 10).snapshots
    later = monitor(options, 10, aggr_interval=1_000_000).snapshots
    shift = short[-1].end_ns - short[0].start_ns
    moved = [replace(each, start_ns=each.start_ns + shift, end_ns=each.end_ns + shift) for each in later]
    found = heat.measure(of_snapshots([*short, *moved]), Canvas(nr_times=2, nr_addrs=16, everything=True))
    inside = drawn(found).heat[:, 5:7]
    assert inside == pytest.approx(np.full((2, 2), 0.5), abs=0.05)
    assert found.coverage.intervals == ((5_000, 100_000), (5_000, 1_000_000))


def test_a_target_that_is_not_there_is_no_picture() -> None:
    """Asked for a target that was not monitored: no heat map, and the targets that there are."""
    run = monitor({"size": 64 * MIB}, 2)
    found = heat.measure(run.subject, Canvas(target_id=77))
    assert found.heatmap is None
    assert found.target_ids == (0,)
