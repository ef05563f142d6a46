"""What the page is told: plain values that agree with the snapshots they come from."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damond.core import BudgetUse
from damond.web import view
from damond.web.watched import NR_TIMES, Watched
from tests.web.conftest import MIB, Window


def test_budget(window: Window) -> None:
    """What the context may cost and what it costs; nothing, where it has no budget."""
    watched = Watched()
    budget = BudgetUse(max_cpu=0.01, cpu=0.02, stretched=3.0, max_nr_regions=64)
    watched.add(window(1000, hot_mib=40))
    assert view.live_view("c", watched, target_id=None, span_s=30, everything=True)["newest"]["budget"] is None
    watched.add(replace(window(1000.1, hot_mib=40), budget=budget))
    newest = json.loads(json.dumps(view.live_view("c", watched, target_id=None, span_s=30, everything=True)))["newest"]
    assert (newest["budget"]["max_cpu"], newest["budget"]["stretched"]) == (0.01, 3.0)


def test_live_view(window: Window) -> None:
    """The hot MiB is the brightest cell at its address, and all is JSON."""
    watched = Watched()
    for number in range(20):
        watched.add(window(1000 + number / 10, hot_mib=40))
    made = json.loads(json.dumps(view.live_view("c", watched, target_id=None, span_s=30, everything=True)))
    drawn = made["heatmap"]
    cells = np.frombuffer(base64.b64decode(drawn["cells"]), np.uint8).reshape(drawn["nr_times"], drawn["nr_addrs"])
    (area,) = drawn["areas"]
    assert area["start"] == hex(1 << 46)
    rows = np.flatnonzero(cells[-1] == view.FULL) * area["bytes"] / area["nr_cells"]
    assert rows.min() == 40 * MIB
    assert rows.max() < 41 * MIB
    assert made["newest"]["accessed_bytes"] == MIB
    assert made["regions"][0] == {
        "start": hex((1 << 46) + 40 * MIB),
        "bytes": MIB,
        "share": 1.0,
        "age_s": 4.0,
        "name": "",
    }


@pytest.mark.parametrize(
    ("nr_samples", "cold", "unseen", "found"),
    [(0, None, None, None), (20, 0, 63 * MIB, 10_601), (1000, 63 * MIB, 0, 10_601)],
    ids=["the writer does not say", "too few samples", "enough"],
)
def test_cold_is_told_from_unseen(
    window: Window, nr_samples: int, cold: int | None, unseen: int | None, found: int | None
) -> None:
    """What shows no access is cold if enough was looked at; from which size on hot memory would be found is said."""
    watched = Watched()
    watched.add(window(1000, hot_mib=40, nr_samples=nr_samples))
    newest = view.live_view("c", watched, target_id=None, span_s=30, everything=True)["newest"]
    assert (newest["cold_bytes"], newest["unseen_bytes"], newest["smallest_found_bytes"]) == (cold, unseen, found)


def test_nothing_yet() -> None:
    """Before the first snapshot there is nothing to draw, and that is said."""
    assert view.live_view("c", Watched(), target_id=None, span_s=30, everything=False)["newest"] is None


@given(hot_mib=st.integers(0, 63))
def test_idle_adds_up(window: Window, hot_mib: int) -> None:
    """Every byte is in one row of the idle times."""
    watched = Watched()
    watched.add(window(1000, hot_mib))
    rows = view.live_view("c", watched, target_id=7, span_s=30, everything=True)["idle"]
    assert sum(each["bytes"] for each in rows) == 64 * MIB
    assert rows[0] == {"label": "accessed", "bytes": MIB}


@settings(max_examples=20)
@given(count=st.integers(1, 300), span_s=st.floats(0.01, 5))
def test_watched_is_bounded(window: Window, count: int, span_s: float) -> None:
    """However many windows come, there are no more columns than a screen has, and the last is the newest."""
    watched = Watched()
    for number in range(count):
        watched.add(window(1000 + number * span_s, hot_mib=1, span_s=span_s))
    assert watched.newest is not None
    working_set = watched.working_set(30)
    assert 1 <= len(working_set) <= NR_TIMES
    assert abs(working_set[-1][0] - watched.newest.end_ns) <= count  # each window is rounded to a nanosecond
    heatmap = watched.heatmap(7, 30, everything=True)
    assert heatmap is not None
    assert heatmap.heat.shape == (NR_TIMES, heatmap.areas[-1].first + heatmap.areas[-1].nr_cells)
