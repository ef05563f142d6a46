"""What is known to be cold and what is merely unseen, in reports as in the snapshots themselves."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from damond.core import Snapshot
from damond.report.measures import heat, idle, sizing, temperature
from damond.report.measures.heat import Canvas
from damond.report.source import of_snapshots
from tests.report.synthetic import MIB, monitor

HOT: Any = {"start": 40 * MIB, "size": 20 * MIB}


@pytest.fixture(scope="module")
def run() -> list[Snapshot]:
    """A minute of 128 MiB, of which 20 MiB are hot: the rest is unseen at first and cold at the end."""
    return monitor({"size": 128 * MIB, "tracks": [HOT]}, 60, sample_interval=50_000).snapshots


def without_samples(snapshots: list[Snapshot]) -> list[Snapshot]:
    """Forget how many samples stand behind regions, as records of before have."""
    nothing = np.zeros(0, np.uint32)
    return [
        replace(each, targets=tuple(replace(part, nr_samples=nothing) for part in each.targets)) for each in snapshots
    ]


@pytest.mark.parametrize("nr_windows", [6, 20, 100, 600], ids="{} windows".format)
def test_all_say_what_the_newest_snapshot_says(run: list[Snapshot], nr_windows: int) -> None:
    """Cold, unseen and the smallest area that is found are as in that snapshot; pieces divide it among them."""
    newest = run[nr_windows - 1]
    subject = of_snapshots(run[:nr_windows])
    found = idle.measure(subject)
    confidence = found.coverage.confidence
    assert confidence is not None
    assert (confidence.cold_bytes, confidence.unseen_bytes) == (newest.cold_bytes, newest.unseen_bytes)
    assert confidence.smallest_found_bytes == newest.smallest_found_bytes
    assert found.unseen_bytes == newest.unseen_bytes
    assert sum(each.unseen_bytes for each in temperature.measure(subject).pieces) == newest.unseen_bytes
    assert sizing.measure(subject).unseen_bytes <= newest.unseen_bytes


def test_what_is_unseen_becomes_cold(run: list[Snapshot]) -> None:
    """After a second most of the idle memory is unseen, and no piece of it is called cold; after a minute all is."""
    early, late = (temperature.measure(of_snapshots(run[:number])) for number in (10, 600))
    never = [each for each in early.pieces if each.idle_ns is None]
    assert never
    assert sum(each.size for each in never if each.is_unseen) > sum(each.size for each in never) / 2
    assert not any(each.is_unseen for each in late.pieces)


def test_the_coldest_are_those_that_are_known_to_be(run: list[Snapshot]) -> None:
    """Of what was never accessed, unseen pieces come last, whatever their size."""
    for number in (8, 12, 20, 40):
        never = [each for each in temperature.measure(of_snapshots(run[:number])).coldest() if each.idle_ns is None]
        assert [each.is_unseen for each in never] == sorted(each.is_unseen for each in never)


def test_cells_of_a_heat_map(run: list[Snapshot]) -> None:
    """Each cell has the share that was unseen, by bytes and time: with a row per window, as that window says."""
    canvas = Canvas(nr_times=40, nr_addrs=128, everything=True)
    drawn = heat.measure(of_snapshots(run[:40]), canvas)
    assert drawn.unseen.shape == (40, 128)
    unseen_bytes = drawn.unseen.sum(axis=1) * MIB
    assert unseen_bytes == pytest.approx([each.unseen_bytes for each in run[:40]], rel=1e-6, abs=1)
    assert unseen_bytes[0] > unseen_bytes[-1]


def test_a_record_that_does_not_tell_calls_nothing_unseen(run: list[Snapshot]) -> None:
    """Where no samples were kept nothing is known, and nothing is said."""
    subject = of_snapshots(without_samples(run[:10]))
    assert idle.measure(subject).coverage.confidence is None
    assert idle.measure(subject).unseen_bytes == 0
    assert not any(each.is_unseen for each in temperature.measure(subject).pieces)
    assert not np.nan_to_num(heat.measure(subject, Canvas()).unseen).any()
