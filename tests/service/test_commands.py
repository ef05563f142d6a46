"""What a running worker is asked to do: all of a request, or nothing of it."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from damond.core import Attrs, Context, IntervalsGoal, Kdamond, Target
from damond.plugin import Registry
from damond.service.commands import Commands
from damond.service.spec import ContextSpec, TargetSpec
from damond.service.worker import make_context
from damond.units import Usec

GOAL = IntervalsGoal(access_bp=400, aggrs=3, min_sample_us=5_000, max_sample_us=100_000)


class Answers:
    """Keeps what a worker tells; a clock and a stop source that never come to an end."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def tell(self, _kind: str, **rest: Any) -> None:
        self.said.append(rest)

    def tuned(self, *_: object) -> None:
        """Nothing to keep."""

    def cpu_us(self) -> int:
        return 0

    def monotonic_ns(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("goal", "attrs"),
    [
        pytest.param({"access_bp": 9000}, {"sample_interval": 900_000_000, "aggr_interval": 1_000}, id="contradicts"),
        pytest.param({"max_sample_us": 6_000}, {"sample_interval": 50_000, "aggr_interval": 500_000}, id="beyond"),
    ],
)
def test_refused_attrs_leave_the_goal_alone(goal: dict[str, int], attrs: dict[str, int]) -> None:
    """Another goal that comes with attributes that can't be is not taken either."""
    primitive, answers = Registry(offering="synthetic").make("synthetic", {"size": "1MiB"}), Answers()
    ctx = Context(attrs=Attrs(), targets=[Target(0)], rng=np.random.default_rng(1), intervals_goal=GOAL)
    primitive.init(ctx)
    surroundings: Any = answers
    kdamond = Kdamond(ctx, primitive, clock=surroundings, stop=surroundings, sink=surroundings)
    kdamond._plan_update()
    kdamond._begin_pacing()
    commands = Commands(kdamond, primitive, surroundings)
    commands._do({"kind": "tune", "id": 1, "goal": asdict(GOAL) | goal, "attrs": attrs})
    assert answers.said[0]["error"]["code"] == "invalid_attrs"
    assert ctx.intervals_goal == GOAL
    assert ctx.attrs.sample_interval == Usec(5_000)


def test_initial_regions_are_whole_pages() -> None:
    """Regions that begin or end within a page take the whole page; a page belongs to the first that has a part."""
    ranges = ((0x1800, 0x2800), (0x2900, 0x2A00), (0x2A00, 0x3000), (0x5000, 0x5001))
    spec = ContextSpec(name="a", primitive="synthetic", targets=(TargetSpec(0, ranges),))
    primitive = Registry(offering="synthetic").make("synthetic", {"size": "1MiB"})
    (target,) = make_context(spec, primitive).targets
    assert [(each.start, each.end) for each in target.regions] == [(0x1000, 0x3000), (0x5000, 0x6000)]
