"""Events to aggregations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond_kdamond.assembly import Aggregation, Assembler
from damond_kdamond.pages import ROW, Rows
from tests.kdamond.recording import KERNELS, decode, recording, rows_of

AGGR = 100_000_000
LATER = 1 << 62


def aggregation(number: int, counts: list[int]) -> Rows:
    """Make all events of one aggregation: so many regions per target."""
    parts = [
        rows_of([4096] * count, number * AGGR + 1_000_000 * target, target=target, age=number)
        for target, count in enumerate(counts)
    ]
    return np.concatenate([np.zeros(0, ROW), *parts])


def shape(found: list[Aggregation]) -> list[tuple[int, dict[int, int]]]:
    """Tell which aggregation it is, and the regions per target."""
    return [
        (int(next(iter(each.targets.values()))["age"][0]), {number: len(rows) for number, rows in each.targets.items()})
        for each in found
    ]


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param([5], id="one target"),
        pytest.param([1], id="one region"),
        pytest.param([3, 1, 7], id="three targets"),
        pytest.param([4, 4], id="equal numbers"),
        pytest.param([0, 3], id="the first target has none"),
        pytest.param([2, 0, 3], id="one between has none"),
    ],
)
def test_aggregations_are_told_apart(counts: list[int]) -> None:
    """Events of several aggregations read at once become those aggregations, complete at once."""
    rows = np.concatenate([aggregation(number, counts) for number in (1, 2, 3)])
    found = Assembler(len(counts)).feed(rows, LATER)
    wanted = {target: count for target, count in enumerate(counts) if count}
    assert shape(found) == [(number, wanted) for number in (1, 2, 3)]
    assert [each.end_ns for each in found] == [int(aggregation(n, counts)["time_ns"][-1]) for n in (1, 2, 3)]


def test_last_target_without_regions() -> None:
    """If the last target has none, an aggregation is complete once nothing more comes, or with the next one."""
    assembler = Assembler(2)
    assert assembler.feed(aggregation(1, [3, 0]), LATER) == []
    assert shape(assembler.feed(np.zeros(0, ROW), LATER)) == [(1, {0: 3})]
    assembler.feed(aggregation(2, [3, 0]), LATER)
    assert shape(assembler.feed(aggregation(3, [3, 0]), LATER)) == [(2, {0: 3})]


@given(data=st.data(), counts=st.lists(st.integers(1, 6), min_size=1, max_size=3))
def test_how_it_is_read_makes_no_difference(data: st.DataObject, counts: list[int]) -> None:
    """However the events are cut into reads, the same aggregations come out, none lost."""
    rows = np.concatenate([aggregation(number, counts) for number in range(1, 5)])
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows) - 1), max_size=8)) if len(rows) > 1 else [])
    assembler = Assembler(len(counts))
    found = [each for part in np.split(rows, cuts) for each in assembler.feed(part, LATER)]
    assert [number for number, _ in shape(found)] == [1, 2, 3, 4]
    assert all(len(each.targets[target]) == count for each in found for target, count in enumerate(counts))
    assert assembler.left_out == 0
    assert not any(each.after_gap for each in found)


@given(counts=st.lists(st.integers(2, 6), min_size=1, max_size=3), data=st.data())
def test_what_lacks_a_part_is_left_out(counts: list[int], data: st.DataObject) -> None:
    """If the oldest events were overwritten, no aggregation comes that lacks one; the next one says so."""
    rows = np.concatenate([aggregation(number, counts) for number in (1, 2, 3)])
    # Within the regions of the first target: a whole target that is missing can't be told from one without regions.
    cut = data.draw(st.integers(1, counts[0] - 1))
    assembler = Assembler(len(counts))
    found = assembler.feed(rows[cut:], LATER)
    assert [number for number, _ in shape(found)] == [2, 3]
    assert all(len(each.targets) == len(counts) for each in found)
    assert assembler.left_out == len(counts)
    assert [each.after_gap for each in found] == [True, False]


def test_a_gap_in_the_midst() -> None:
    """Events lost in the midst cost the aggregations that they belong to, even if the rest looks whole."""
    rows = np.concatenate([aggregation(number, [4, 4]) for number in (1, 2, 3, 4)])
    keep = np.ones(len(rows), bool)
    keep[10:18] = False  # the end of the first target of 2, all of its second, the begin of 3
    found = Assembler(2).feed(rows[keep], LATER, [int(rows["time_ns"][18])])
    assert [number for number, _ in shape(found)] == [1, 4]
    assert [each.after_gap for each in found] == [False, True]


def test_a_gap_between_targets() -> None:
    """After a gap the next aggregation begins with its first target: others may be of any."""
    rows = np.concatenate([aggregation(number, [2, 3]) for number in (1, 2, 3)])
    rows = np.delete(rows, slice(2, 7))  # the second target of 1, the first of 2
    found = Assembler(2).feed(rows, LATER, [int(rows["time_ns"][2])])
    assert shape(found) == [(3, {0: 2, 1: 3})]


def test_what_came_during_the_read_waits() -> None:
    """Events later than the begin of the read wait for the next: earlier ones may be on a CPU already read."""
    assembler = Assembler(1)
    rows = aggregation(1, [4])
    assert assembler.feed(rows[2:], int(rows["time_ns"][0])) == []
    (found,) = assembler.feed(rows[:2], LATER)
    assert found.targets[0]["start"].tolist() == rows["start"].tolist()


@pytest.mark.parametrize("kernel", KERNELS)
def test_recorded(kernel: str) -> None:
    """The recordings are aggregations of 100 ms whose regions follow each other."""
    recorded = recording(kernel)
    rows, _ = decode(recorded.pages, recorded.decoder())
    assembler = Assembler(1)
    found = assembler.feed(rows, LATER)
    assert len(found) > 10
    assert assembler.left_out == 0
    assert sum(len(each.targets[0]) for each in found) == len(rows)
    spans = np.diff([each.end_ns for each in found]) / 1e6
    assert 90 < np.median(spans) < 150
    for each in found:
        assert (each.targets[0]["start"][1:] >= each.targets[0]["end"][:-1]).all()
