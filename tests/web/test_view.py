"""What the page is told: plain values that agree with the snapshots they come from."""

import base64
import json
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from damond.core import BudgetUse, Snapshot, TargetSnapshot
from damond.core.confidence import smallest_found
from damond.web import view
from damond.web.watched import NR_TIMES, Watched

MIB = 1 << 20
SECOND_NS = 1_000_000_000


def snapshot(seconds: float, hot_mib: int, *, span_s: float = 0.1) -> Snapshot:
    """Make a window that ends at a time: 64 MiB, one MiB of them hot, a region each."""
    nr_accesses = np.zeros(64, np.uint32)
    nr_accesses[hot_mib] = 20
    target = TargetSnapshot(
        id=7,
        pid=7,
        start=np.arange(64, dtype=np.uint64) * np.uint64(MIB) + np.uint64(1 << 46),
        size=np.full(64, MIB, np.uint64),
        nr_accesses=nr_accesses,
        age=np.arange(64, dtype=np.uint32),
    )
    end_ns = round(seconds * SECOND_NS)
    return Snapshot(
        context="c",
        primitive="synthetic",
        start_ns=end_ns - round(span_s * SECOND_NS),
        end_ns=end_ns,
        sample_us=5_000,
        aggr_us=100_000,
        update_us=1_000_000,
        min_nr_regions=10,
        max_nr_regions=1000,
        max_nr_accesses=20,
        granularity=4096,
        checks=1280,
        unknown=0,
        cpu_us=1000,
        overruns=0,
        partial=False,
        targets=(target,),
    )


def test_cost_and_confidence() -> None:
    """Budget, what is not known to be cold, and the smallest hot area that would be found: as the terminal says it."""
    watched = Watched()
    budget = BudgetUse(max_cpu=0.01, cpu=0.02, stretched=3.0, max_nr_regions=64)
    watched.add(replace(snapshot(1000, hot_mib=40), sampled_bytes=MIB, budget=budget))
    newest = json.loads(json.dumps(view.live_view("c", watched, target_id=None, span_s=30, everything=True)))["newest"]
    assert newest["smallest_found_bytes"] == smallest_found(MIB, 5_000, 4096)
    assert (newest["cold_bytes"], newest["unseen_bytes"]) == (0, 63 * MIB)
    assert (newest["budget"]["max_cpu"], newest["budget"]["stretched"]) == (0.01, 3.0)


def test_nothing_is_said_of_what_is_not_known() -> None:
    """A writer that does not tell how large regions were when sampled, and has no budget."""
    watched = Watched()
    watched.add(snapshot(1000, hot_mib=40))
    newest = view.live_view("c", watched, target_id=None, span_s=30, everything=True)["newest"]
    assert newest["smallest_found_bytes"] is None
    assert newest["budget"] is None


def test_live_view() -> None:
    """The hot MiB is the brightest cell at its address, and all is JSON."""
    watched = Watched()
    for window in range(20):
        watched.add(snapshot(1000 + window / 10, hot_mib=40))
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


def test_nothing_yet() -> None:
    """Before the first snapshot there is nothing to draw, and that is said."""
    assert view.live_view("c", Watched(), target_id=None, span_s=30, everything=False)["newest"] is None


@given(st.integers(0, 63))
def test_idle_adds_up(hot_mib: int) -> None:
    """Every byte is in one row of the idle times."""
    watched = Watched()
    watched.add(snapshot(1000, hot_mib))
    rows = view.live_view("c", watched, target_id=7, span_s=30, everything=True)["idle"]
    assert sum(each["bytes"] for each in rows) == 64 * MIB
    assert rows[0] == {"label": "accessed", "bytes": MIB}


@settings(max_examples=20)
@given(st.integers(1, 300), st.floats(0.01, 5))
def test_watched_is_bounded(count: int, span_s: float) -> None:
    """However many windows come, there are no more columns than a screen has, and the last is the newest."""
    watched = Watched()
    for window in range(count):
        watched.add(snapshot(1000 + window * span_s, hot_mib=1, span_s=span_s))
    assert watched.newest is not None
    working_set = watched.working_set(30)
    assert 1 <= len(working_set) <= NR_TIMES
    assert abs(working_set[-1][0] - watched.newest.end_ns) <= count  # each window is rounded to a nanosecond
    heatmap = watched.heatmap(7, 30, everything=True)
    assert heatmap is not None
    assert heatmap.heat.shape == (NR_TIMES, heatmap.areas[-1].first + heatmap.areas[-1].nr_cells)
