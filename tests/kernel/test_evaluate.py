"""The judge must be right before it judges: truth and scores of windows that are made up."""

from dataclasses import replace

import numpy as np
import pytest

from damond.core import Attrs, Snapshot, TargetSnapshot
from tests.kernel.evaluate import Layout, score, total
from tests.kernel.workload import MIB, PATTERNS, SEC

BASE = 1 << 40
MOVING = Layout(1, BASE, 0, PATTERNS["moving_16_of_256"])
STEADY = Layout(1, BASE, 0, PATTERNS["steady_32_of_256"])


def snapshot(start_ns: int, hot: list[tuple[int, int]], end_ns: int = 0) -> Snapshot:
    """Make a window of 100 ms whose hot regions are given in MiB of the mapping."""
    start = np.array([BASE + a * MIB for a, _ in hot], np.uint64)
    size = np.array([(b - a) * MIB for a, b in hot], np.uint64)
    count = np.full(len(hot), 20, np.uint32)
    return Snapshot(
        context="x",
        primitive="x",
        start_ns=start_ns,
        end_ns=end_ns or start_ns + SEC // 10,
        sample_us=5000,
        aggr_us=100_000,
        update_us=SEC,
        min_nr_regions=Attrs().min_nr_regions,
        max_nr_regions=Attrs().max_nr_regions,
        max_nr_accesses=20,
        granularity=4096,
        checks=0,
        unknown=0,
        cpu_us=0,
        overruns=0,
        partial=False,
        targets=(TargetSnapshot(1, 1, start, size, count, count),),
    )


@pytest.mark.parametrize(
    ("hot", "precision", "recall", "f1"),
    [
        pytest.param([(0, 32)], 1, 1, 1, id="all and nothing else"),
        pytest.param([(0, 16)], 1, 0.5, 2 / 3, id="half of it"),
        pytest.param([(0, 64)], 0.5, 1, 2 / 3, id="twice as much"),
        pytest.param([(100, 132)], 0, 0, 0, id="somewhere else"),
        pytest.param([], 0, 0, 0, id="nothing"),
        pytest.param([(-100, 32), (300, 400)], 1, 1, 1, id="what lies outside of the mapping does not count"),
    ],
)
def test_scores(hot: list[tuple[int, int]], precision: float, recall: float, f1: float) -> None:
    """Precision, recall and F1 are weighted by bytes."""
    result = score([snapshot(SEC, hot)], STEADY, warm_up=0)
    assert (result.precision, result.recall) == (precision, recall)
    assert result.f1 == pytest.approx(f1)


@pytest.mark.parametrize(
    ("start_s", "expected"),
    [
        pytest.param(0.5, [(0, 16)], id="first place"),
        pytest.param(3.5, [(64, 80)], id="second place"),
        pytest.param(12.5, [(0, 16)], id="first place again"),
        pytest.param(2.95, [(0, 16), (64, 80)], id="moves in the middle of the window: both"),
        pytest.param(2.98, [(64, 80)], id="moves in its first quarter: the new place only"),
    ],
)
def test_truth_of_a_window(start_s: float, expected: list[tuple[int, int]]) -> None:
    """What was hot for at least a quarter of a window is hot in it."""
    start = int(start_s * SEC)
    assert MOVING.truth(start, start + SEC // 10) == [(BASE + a * MIB, BASE + b * MIB) for a, b in expected]


def test_what_stays_hot_counts_once() -> None:
    """In a window with two phases, what is hot in both of them is one range of the truth."""
    layout = Layout(1, BASE, 0, PATTERNS["forks"])
    assert layout.truth(int(1.95 * SEC), int(2.05 * SEC)) == [(BASE, BASE + 32 * MIB)]


def test_windows_that_are_left_out() -> None:
    """Neither stalls, nor stretched windows, nor the time after a move, nor the warm-up count, if that is asked for."""
    good, stalled = snapshot(SEC, [(0, 16)]), snapshot(2 * SEC, [(0, 16)])
    stretched, after_move = snapshot(SEC, [(0, 16)], 2 * SEC), snapshot(int(3.1 * SEC), [(64, 80)])
    windows = [good, stalled, stretched, after_move]
    result = score(windows, MOVING, [(2 * SEC, int(2.05 * SEC))], warm_up=0, settle_s=1)
    assert (result.windows, result.left_out, result.f1) == (1, 3, 1.0)
    assert score(windows, MOVING, warm_up=3).windows == 1


def test_truth_of_what_is_drawn_is_what_was_drawn() -> None:
    """A workload that was held up has drawn fewer pages than it should: as many fewer are hot, in that window."""
    asked = Layout(1, BASE, 0, PATTERNS["zipf_256"])
    draws = 10_000 * SEC // asked.pattern.sample_ns
    chunks = [(0, SEC, SEC, draws), (SEC, 2 * SEC, SEC, draws // 2), (2 * SEC, 3 * SEC, SEC, 0)]
    drawn = replace(asked, chunks=chunks)
    assert drawn.truth(0, SEC) == asked.truth(0, SEC)
    whole, most, half = (total(drawn.truth(start, start + SEC)) for start in (0, SEC // 2, SEC))
    assert (most, half) == (pytest.approx(whole * 0.75, rel=0.01), pytest.approx(whole / 2, rel=0.01))
    assert drawn.truth(2 * SEC, 3 * SEC) == []


def test_nothing_is_drawn_in_a_stall() -> None:
    """A window next to a stall has what was drawn in it, though both lie in one chunk."""
    asked = Layout(1, BASE, 0, PATTERNS["zipf_256"])
    tenth = SEC // 10
    draws = 10_000 * tenth // asked.pattern.sample_ns
    chunks, stalls = [(0, tenth, tenth, draws), (tenth, 4 * tenth, tenth, draws)], [(2 * tenth, 4 * tenth)]
    drawn = replace(asked, chunks=chunks, stalls=stalls)
    assert drawn.truth(0, tenth) == drawn.truth(tenth, 2 * tenth) == asked.truth(0, tenth)
    assert drawn.truth(3 * tenth, 4 * tenth) == []
