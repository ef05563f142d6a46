"""Small memory whose heat moves within seconds: what is shipped beside 5 ms / 100 ms, fixed."""

import numpy as np
import pytest

from damond.bench import fast, virtual

SECOND = 1_000_000


@pytest.mark.parametrize("workload", fast.WORKLOADS, ids=lambda each: each.name)
def test_the_memory_is_hot_where_and_when_it_is_said(workload: fast.Workload) -> None:
    """In the middle of every turn its parts are touched, and no others."""
    setting = fast.settings()["kernel"]
    primitive = virtual.memory({"size": workload.size, "tracks": tuple(workload.tracks())}, setting, 1)
    truth = fast.Truth(primitive, workload.size)
    for turn, parts in enumerate(workload.turns):
        begin = turn * workload.turn_us
        hot = truth.between(begin + workload.turn_us // 4, begin + workload.turn_us // 2)
        assert set(np.flatnonzero(hot) // (len(hot) // 64)) == set(parts)
        assert set(hot) <= {0.0, 1.0}


def test_a_score_is_of_pages_and_time() -> None:
    """Half of what was called hot was, and all that was hot was called so: F1 is two thirds."""
    steady = fast.WORKLOADS[0]
    primitive = virtual.memory({"size": steady.size, "tracks": tuple(steady.tracks())}, fast.settings()["kernel"], 1)
    truth = fast.Truth(primitive, steady.size)
    hot = truth.between(fast.SETTLING_US, fast.SETTLING_US + SECOND) > 0
    score = fast.Score(truth)
    score.add(hot | np.roll(hot, int(hot.sum())), fast.SETTLING_US, fast.SETTLING_US + SECOND)
    assert score.f1 == pytest.approx(2 / 3)
    score.add(hot, 0, SECOND)  # before the run had settled
    assert score.f1 == pytest.approx(2 / 3)
    assert fast.Score(truth).f1 == 0


FAST = [each for each in fast.WORKLOADS if each.name.startswith(("hops every 1 s, 16", "eight", "0.5 s", "0.3 s"))]


@pytest.mark.parametrize("workload", FAST, ids=lambda each: each.name)
def test_what_is_shipped_is_no_worse_than_fixed_intervals(workload: fast.Workload) -> None:
    """F1 by window is that of the kernel's policy at 5 ms / 100 ms, or better, within .02."""
    shipped, kernel = (fast.judge(workload, fast.settings()[name], 3)["window_f1"] for name in ("shipped", "kernel"))
    assert kernel > 0.85
    assert shipped >= kernel - 0.02
