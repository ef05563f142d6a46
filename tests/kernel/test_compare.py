"""The comparison must not rot: its arithmetic on made-up numbers, and all of its machinery once in a guest."""

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot
from tests.kernel.causes import causes
from tests.kernel.compare import SECONDS, attrs_of, compare, physical_layout, physical_watchers, watchers
from tests.kernel.evaluate import Layout, overlap, total, without
from tests.kernel.guest import in_guest
from tests.kernel.kernel_damon import Plan
from tests.kernel.kernels import HOW
from tests.kernel.patterns import COMPARED, HOT_SHARE, MIB, PAGE, PATTERNS, SEC, Pattern, zipf_hot
from tests.kernel.rig import workload
from tests.kernel.table import Row, as_json, behind, cost, make_row, medians, render, verdict
from tests.kernel.test_evaluate import BASE, STEADY, snapshot
from tests.kernel.watchers import ATTRS, WARM_UP_S, Watched, _parse

ROW = Row("w", "vaddr", 1, 1, 1, 0, 0, 0, 20, 0.1, 0, 0.6, 80)
KERNEL = replace(ROW, watcher="kernel DAMON", f1=0.98, slowdown=0.02)

in_guest_only = pytest.mark.skipif(not in_guest(), reason=f"starts the kernel's DAMON: in a guest kernel only; {HOW}")


@pytest.mark.parametrize(
    ("changed", "note"),
    [
        pytest.param({"f1": 0.98}, "slows 58% more", id="slower"),
        pytest.param({"f1": 0.97, "slowdown": 0.3}, "", id="as good as the kernel"),
        pytest.param({"f1": 0.93, "slowdown": 0, "causes": "x"}, "F1 0.050 behind, why: x", id="behind"),
        pytest.param({"f1": 0.93, "slowdown": 0}, "F1 0.050 behind, why: not known", id="behind, and nobody knows why"),
        pytest.param({"f1": 0.93, "slowdown": 0, "f1_error": 0.03}, "", id="behind by chance"),
        pytest.param({"f1": 0.93, "slowdown": 0, "f1_error": 0.02}, "F1 0.050 behind, why: not known", id="beyond it"),
        pytest.param({"f1": 1, "slowdown": 0}, "F1 0.020 ahead", id="ahead"),
        pytest.param({"f1": 0.98, "slowdown": 0, "error_p75": 0.21, "causes": "y"}, "why: y", id="beyond the bar"),
        pytest.param({"f1": 0.98, "slowdown": 0, "late": 0.3}, "30% of samples late", id="late"),
        pytest.param({"f1": 0.98, "slowdown": 0, "windows": 3}, "too few windows to judge", id="too few"),
    ],
)
def test_notes(changed: dict[str, float], note: str) -> None:
    """The note is made of the numbers: the bar that is missed, and the distance from the kernel's DAMON."""
    assert replace(ROW, **changed).notes(KERNEL) == note


def test_the_kernel_is_not_compared_with_itself() -> None:
    """The row of the kernel's DAMON has no distance, and neither has a workload that it did not watch."""
    assert KERNEL.notes(KERNEL) == ""
    assert replace(ROW, f1=0.1).notes(None) == ""


def test_errors_of_the_working_set() -> None:
    """Error, median and third quartile are over the windows: |called - hot| / hot."""
    found = [snapshot((n + 2) * SEC, [(0, 32 - mib)]) for n, mib in enumerate((0, 0, 8, 16))]
    row = make_row(("w", "x"), Watched(found, 500_000, 250_000, 8), STEADY, [], (10.0, 11.0), 10)
    assert (row.error, row.error_p50, row.error_p75) == (0.1875, 0.125, 0.3125)
    assert (row.windows, row.recall, row.precision) == (4, 0.8125, 1.0)
    assert (row.monitor_cpu, row.kernel_cpu, row.late) == (0.05, 0.025, 0.1)


def test_error_of_f1_is_of_chance() -> None:
    """What differs from second to second is chance where heat stays; where it moves, to follow it late is none."""
    found = [snapshot(2 * SEC + n * SEC // 10, [(0, 24 + 16 * (n // 10 % 2))]) for n in range(80)]

    def error(windows: list[Snapshot], layout: Layout = STEADY) -> float:
        return make_row(("w", "x"), Watched(windows, 0, 0), layout, [], (1.0, 1.0), 10).f1_error

    low, high = 2 * 24 / (24 + 32), 2 * 32 / (40 + 32)
    assert error(found) == pytest.approx((high - low) / 2 / math.sqrt(7), rel=0.05)
    assert error([each for each in found if each.targets[0].size[0] == 24 * MIB]) == pytest.approx(0)
    assert error(found[:7]) == error(found, Layout(1, BASE, 0, PATTERNS["moving_16_of_256"])) == 0


def test_cost_is_a_median() -> None:
    """What reading a page took is compared by medians: chunks that somebody else disturbed do not count."""
    before = [(n, n + 1, 100, 10) for n in range(5)]
    during = [(n, n + 1, 150, 10) for n in range(10, 15)]
    disturbed = [(6, 7, 9000, 10), (15, 16, 9000, 10)]
    assert cost([*before, *during, *disturbed], (10, 20)) / cost([*before, *during], (0, 8)) == 1.5
    assert cost(during, (0, 8)) == 0


def test_table_and_json_say_the_same() -> None:
    """Table and JSON have one row each, with the same note."""
    rows = [KERNEL, replace(ROW, f1=0.9)]
    lines = render(rows).splitlines()
    assert len(lines) == 3
    assert len({line.index(word) for line, word in zip(lines, ("watched", "kernel", "vaddr"), strict=True)}) == 1
    notes = [each["note"] for each in json.loads(json.dumps(as_json(rows)))]
    assert notes == ["", "F1 0.080 behind, slows 58% more, why: not known"]
    assert lines[2].endswith(notes[1])
    assert [" pass " in line for line in lines[1:]] == [True, True]
    assert ["-0.080" in line for line in lines[1:]] == [False, True]


def test_verdict_names_what_is_behind() -> None:
    """Rows that are behind the kernel's by more than noise, and those that miss the bar, are named at the end."""
    rows = [KERNEL, replace(ROW, f1=0.95), replace(ROW, watcher="kdamond", f1=0.97, error_p50=0.3)]
    assert verdict(rows).splitlines() == [
        "behind the kernel's DAMON by more than 0.015 of F1 and 2 standard errors:",
        "  damond as it comes (kdamond here): nowhere",
        "  asked for by name: w by vaddr",
        "working set beyond 20%: w by kdamond",
    ]
    assert verdict([KERNEL]).count("nowhere") == 3


def test_medians_are_of_each_watcher() -> None:
    """Of three runs, the row whose F1 is in the middle, for each on its own; and it says so."""
    runs = [[replace(KERNEL, f1=a), replace(ROW, f1=b)] for a, b in ((0.98, 0.9), (0.7, 0.97), (0.99, 0.96))]
    assert [(row.watcher, row.f1, row.runs) for row in medians(runs)] == [("kernel DAMON", 0.98, 3), ("vaddr", 0.96, 3)]
    assert medians(runs)[1].notes(KERNEL).startswith("median of 3 runs, F1 0.020 behind")
    assert behind(runs[0]) == [runs[0][1]]
    assert behind(runs[1]) == []


def test_causes_of_a_child() -> None:
    """What a child process reads and is called hot is its doing; with nothing wrong there is no cause."""
    layout = Layout(1, BASE, 0, PATTERNS["forks"])
    assert causes([snapshot(2 * SEC, [(0, 32), (128, 136)])], layout, []).by_child == 1
    assert "100% is a child's reads" in str(causes([snapshot(2 * SEC, [(0, 32), (128, 136)])], layout, []))
    assert str(causes([snapshot(2 * SEC, [(0, 32)])], layout, [])) == ""
    assert causes([snapshot(2 * SEC, [(0, 32), (128, 136), (200, 216)])], layout, []).by_child == pytest.approx(1 / 3)


def test_cause_of_a_slowed_workload() -> None:
    """Pages that are read less than once in a sample can't be seen in each."""
    found, hot = [snapshot(2 * SEC, [(0, 16)])], total(STEADY.truth(2 * SEC, 3 * SEC)) // PAGE
    enough_ns = found[0].sample_us * 1000 / hot
    slow = str(causes(found, STEADY, [], 1.5 * enough_ns))
    assert "reads a hot page once in 7.5 ms, not in every sample of 5 ms" in slow
    assert "reads a hot page" not in str(causes(found, STEADY, [], 0.9 * enough_ns))


def test_causes_of_moves_edges_and_long_windows() -> None:
    """The second after a move, pages about as hot as the limit, and windows that are too long are told apart."""
    moving = Layout(1, BASE, 0, PATTERNS["moving_16_of_256"])
    late = snapshot(4 * SEC, [(64, 80), (0, 8)], 4 * SEC + SEC // 5)
    found = causes([snapshot(3 * SEC + SEC // 10, [(0, 16)]), late], moving, [])
    assert (found.after_move, found.by_child, found.stretch) == (0.8, 0, 1.5)
    zipf = Layout(1, BASE, 0, PATTERNS["zipf_256"])
    hot = zipf.pattern.hot(0)[0][1] / MIB
    assert causes([snapshot(3 * SEC, [(0, hot * 1.5)])], zipf, []).at_edge == 1
    assert causes([snapshot(3 * SEC, [(0, hot), (200, 210)])], zipf, []).at_edge == 0


@given(
    left=st.lists(st.integers(0, 50), max_size=12, unique=True).map(sorted),
    right=st.lists(st.integers(0, 50), max_size=12, unique=True).map(sorted),
)
def test_without_is_a_difference(left: list[int], right: list[int]) -> None:
    """Ranges without others hold exactly the numbers that are in the first alone."""
    pairs, others = ([*zip(each[::2], each[1::2], strict=False)] for each in (left, right))
    found = {n for a, b in without(pairs, others) for n in range(a, b)}
    assert found == {n for a, b in pairs for n in range(a, b)} - {n for a, b in others for n in range(a, b)}


def test_reports_of_damo_are_read() -> None:
    """One JSON list after the other is read; numbers are written with commas, regions in any order."""
    region = {"nr_accesses": {"samples": 3}, "age": {"aggr_intervals": "1,024"}}
    regions = [{"start": "8,192", "end": "12,288", **region}, {"start": "0", "end": "4,096", **region}]
    record = [{"snapshots": [{"start_time": "1,000", "end_time": "2,000", "regions": regions}]}]
    found = _parse(json.dumps(record) + "\n" + json.dumps(record), Plan(ATTRS, 7))
    assert [(each.start_ns, each.end_ns) for each in found] == [(1000, 2000)] * 2
    (target,) = found[0].targets
    assert (target.start.tolist(), target.size.tolist()) == ([0, 8192], [4096, 4096])
    assert (target.nr_accesses.tolist(), target.age.tolist()) == ([3, 3], [1024, 1024])


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_are_sound(name: str) -> None:
    """Hot ranges are sorted, disjoint, whole pages, in the mapping; so are they in the truth of any window."""
    pattern = PATTERNS[name]
    layout = Layout(1, BASE, 0, pattern)
    for phase in range(6):
        bounds = [bound for each in pattern.hot(phase) for bound in each]
        assert bounds == sorted(bounds)
        assert all(0 <= bound <= pattern.size and bound % PAGE == 0 for bound in bounds)
        middle = phase * pattern.period_ns + pattern.period_ns // 2
        assert total(layout.truth(middle, middle + SEC // 10)) == total(pattern.hot(phase))


def test_truth_of_zipf() -> None:
    """The share of samples that finds the last hot page accessed is a quarter; twice the draws, twice the pages."""
    size = 256 * MIB
    ((_, few),) = zipf_hot(size, 2500)
    ((_, many),) = zipf_hot(size, 5000)
    assert many == pytest.approx(2 * few, rel=0.01)
    assert zipf_hot(size, 0) == []
    harmonic = sum(1 / rank for rank in range(1, size // PAGE + 1))
    probability = 1 / (few // PAGE * harmonic)
    assert 1 - (1 - probability) ** 2500 == pytest.approx(HOT_SHARE, rel=0.01)


def test_every_workload_of_the_issue() -> None:
    """There are ten, one of them twice, all but one with memory that a guest of 2 GiB holds twice."""
    assert len(COMPARED) == 11
    assert COMPARED["zipf_256_at_20_ms"].hot(0) == COMPARED["zipf_256"].hot(0)
    assert {attrs_of(each) for each in COMPARED.values()} == {ATTRS, attrs_of(COMPARED["zipf_256_at_20_ms"])}
    slow = attrs_of(COMPARED["zipf_256_at_20_ms"])
    assert (slow.sample_interval, slow.aggr_interval) == (20_000, 400_000)
    assert max(total(each.filled or [(0, each.size)]) for each in COMPARED.values()) <= 512 * MIB
    assert all(isinstance(each, Pattern) for each in COMPARED.values())
    assert SECONDS >= 2 * WARM_UP_S


@in_guest_only
@pytest.mark.kernel
def test_all_watchers_see_a_hot_area() -> None:
    """The kernel's DAMON, kdamond and vaddr all find 32 MiB of 256, with their costs, one after the other."""
    rows = compare("steady_32_of_256", watchers(None), seconds=2)
    print("\n" + render(rows))
    assert [row.watcher for row in rows] == ["kernel DAMON", "kdamond", "vaddr"]
    for row in rows:
        assert row.f1 > 0.8, row
        assert row.windows > 0, row
        assert row.monitor_cpu + row.kernel_cpu > 0, row


@in_guest_only
@pytest.mark.kernel
def test_physical_watchers_see_the_frames() -> None:
    """The kernel's paddr and physical find the frames of the hot pages, and the truth has as many as there are."""
    with workload("steady_32_of_256") as load:
        layout = physical_layout(load.layout)
        assert total(layout.truth(0, 1)) == 32 * MIB
        assert overlap(layout.truth(0, 1), [(0, 1 << 40)]) == 32 * MIB
        load.stop()
    rows = compare("steady_32_of_256", physical_watchers(), physical=True, seconds=2)
    print("\n" + render(rows))
    assert all(row.recall > 0.3 for row in rows), rows
