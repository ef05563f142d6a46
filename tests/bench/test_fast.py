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


@pytest.mark.parametrize("workload", fast.WORKLOADS, ids=lambda each: each.name)
def test_what_is_shipped_is_no_worse_than_fixed_intervals(workload: fast.Workload) -> None:
    """F1 is that of the kernel's policy at 5 ms / 100 ms, or better, within .01: by window and by second."""
    shipped, kernel = (fast.judge(workload, fast.settings()[name], 3) for name in ("shipped", "kernel"))
    assert kernel["window_f1"] > 0.7
    assert shipped["window_f1"] >= kernel["window_f1"] - 0.01
    assert shipped["second_f1"] >= kernel["second_f1"] - 0.01


@pytest.mark.parametrize(("name", "least"), [("eight stripes", 0.98), ("32 stripes", 0.9)])
def test_stripes_are_found_with_few_regions(name: str, least: float) -> None:
    """Borders that can't be looked for all at once have their turns: with a bound of 1 % there are 150 regions."""
    (workload,) = (each for each in fast.WORKLOADS if each.name.startswith(name))
    assert fast.judge(workload, fast.settings()["budget"], 3)["second_f1"] >= least
