import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from damond.cli.picture import LivePicture, short_interval, snapshot_line
from damond.core import BudgetUse, Snapshot, TargetSnapshot
from damond.core.mappings import NOTHING_MAPPED, Mappings, MapsByTarget

PAGE = 4096
MIB = 1 << 20
GIB = 1 << 30


def _target(target_id: int, regions: Sequence[tuple[int, int, int]]) -> TargetSnapshot:
    """Make a target of regions: start, size, nr_accesses of 20."""
    start, size, nr_accesses = (np.array([row[i] for row in regions], np.uint64) for i in range(3))
    age = np.arange(len(start), dtype=np.uint32)
    return TargetSnapshot(target_id, target_id, start, size, nr_accesses.astype(np.uint32), age)


def _snapshot(*targets: TargetSnapshot, granularity: int = PAGE, partial: bool = False) -> Snapshot:
    return Snapshot(
        context="web",
        primitive="vaddr",
        start_ns=0,
        end_ns=100_000_000,
        sample_us=5_000,
        aggr_us=100_000,
        update_us=1_000_000,
        min_nr_regions=10,
        max_nr_regions=1000,
        max_nr_accesses=20,
        granularity=granularity,
        checks=200,
        unknown=50,
        cpu_us=1_500,
        overruns=3,
        partial=partial,
        targets=targets,
    )


def _draw(
    snapshot: Snapshot,
    width: int = 80,
    height: int = 24,
    *,
    color_system: str | None = None,
    title: str = "",
    maps: MapsByTarget = NOTHING_MAPPED,
    note: str = "",
) -> list[str]:
    file = io.StringIO()
    console = Console(
        file=file,
        width=width,
        height=height,
        color_system=color_system,  # type: ignore[arg-type]
        force_terminal=color_system is not None,
        highlight=False,
        _environ={},
    )
    console.print(LivePicture(snapshot, title, maps, note), height=height)
    return file.getvalue().splitlines()


HEAP, STACK = 0x55D0_C8A0_0000, 0x7FFD_1234_0000
THREE = [(HEAP, MIB, 20), (HEAP + MIB, 7 * MIB, 0), (STACK, MIB, 5)]


def test_one_row_per_region_where_they_fit() -> None:
    """Address, size, heat and age of every region are there to be read, without any colour."""
    lines = _draw(_snapshot(_target(1, THREE)))
    rows = [line.split() for line in lines if line.startswith(("55d0", "7ffd"))]
    assert [row[0] for row in rows] == ["55d0c8a00000", "55d0c8b00000", "7ffd12340000"]
    assert [row[1:3] for row in rows] == [["1", "MiB"], ["7", "MiB"], ["1", "MiB"]]
    assert [row[-4:] for row in rows] == [
        ["100", "%", "0", "s"],
        ["0", "%", "100", "ms"],
        ["25", "%", "200", "ms"],
    ]
    assert set(rows[0][3]) == {"@"}
    assert len(rows[0][3]) > 3 * len(rows[2][3])


def test_a_gap_is_a_separator_with_its_size() -> None:
    """What is not mapped is one line that says so, and no memory."""
    lines = _draw(_snapshot(_target(1, THREE)))
    assert [line for line in lines if "not monitored" in line] == [
        "---------------------------- 42.2 TiB not monitored ----------------------------"
    ]


HOLEY = [(HEAP, 300 * MIB, 10), (STACK, MIB, 20)]
MAPS = {
    1: Mappings.parse(
        f"{HEAP:x}-{HEAP + MIB:x} r-xp 00000000 fe:01 39 /usr/bin/demo\n"
        f"{HEAP + 298 * MIB:x}-{HEAP + 300 * MIB:x} rw-p 00000000 00:00 0 [heap]\n"
        f"{STACK:x}-{STACK + MIB:x} rw-p 00000000 00:00 0 [stack]\n".encode()
    )
}


def test_holes_in_regions_are_no_memory() -> None:
    """Of a region that spans a hole what is mapped is drawn, with its name, and the hole as a gap."""
    lines = _draw(_snapshot(_target(1, HOLEY)), maps=MAPS)
    rows = [line.split()[:4] for line in lines if line.startswith(("55d0", "7ffd"))]
    assert rows == [
        ["55d0c8a00000", "1", "MiB", "demo"],
        ["55d0db400000", "2", "MiB", "[heap]"],
        ["7ffd12340000", "1", "MiB", "[stack]"],
    ]
    assert [line.strip("- ") for line in lines if "not mapped" in line] == ["297 MiB not mapped", "42.2 TiB not mapped"]
    assert "working set 4 MiB of 4 MiB mapped (100 %)" in lines[1]
    assert "2 regions" in " ".join(lines[:5])
    assert "working set 4 MiB of 4 MiB mapped (100 %)" in snapshot_line(_snapshot(_target(1, HOLEY)), MAPS)


@pytest.mark.parametrize(("width", "named"), [(69, False), (70, True)])
def test_names_need_room(width: int, named: bool) -> None:
    """On a narrow terminal addresses and bars are worth more."""
    lines = _draw(_snapshot(_target(1, HOLEY)), width, maps=MAPS)
    assert any("[heap]" in line for line in lines) == named
    assert max(map(len, lines)) <= width


def test_a_note_is_seen_at_once() -> None:
    """Above everything else that changes."""
    assert _draw(_snapshot(_target(1, THREE)), note="the service is gone")[1] == "the service is gone"


def test_narrow_gaps_are_not_worth_a_line() -> None:
    """A guard page between two stacks of a MiB is no separator; a gap of 16 KiB is."""
    near = [(0, MIB, 20), (MIB + PAGE, MIB, 0)]
    far = [(0, MIB, 20), (MIB + 4 * PAGE, MIB, 0)]
    assert [sum("not monitored" in line for line in _draw(_snapshot(_target(1, rows)))) for rows in (near, far)] == [
        0,
        1,
    ]


def test_what_did_not_happen_is_not_said() -> None:
    """Neither overruns nor unknown results, if there are none."""
    quiet = replace(_snapshot(_target(1, THREE)), overruns=0, unknown=0)
    assert not {"overruns", "unknown"} & set(" ".join(_draw(quiet)).split())


def test_the_head_says_how_it_was_measured_and_what_it_cost() -> None:
    """Primitive, granularity in words, intervals, regions, working set and every cost are in the head."""
    head = " ".join(_draw(_snapshot(_target(1, THREE)), title="nginx (pid 1)")[:5])
    for words in (
        "nginx (pid 1)",
        "vaddr: one check sees a 4 KiB page",
        "sample 5 ms, aggregation 100 ms",
        "3 regions (10 to 1000)",
        "working set 2 MiB of 9 MiB (22 %)",
        "2,000 checks/s",
        "CPU 1.5 %",
        "3 overruns",
        "unknown 25 %",
    ):
        assert words in head


@pytest.mark.parametrize(
    ("granularity", "words"), [(0, "whole mapping"), (PAGE, "4 KiB page"), (2 * MIB, "2 MiB block")]
)
def test_granularity_is_said_in_words(granularity: int, words: str) -> None:
    """A reader learns what one check looks at."""
    assert f"sees a {words}" in _draw(_snapshot(_target(1, THREE), granularity=granularity))[1]


def test_a_small_hot_region_is_seen_among_many_cold_ones() -> None:
    """Grouping keeps contrast: 8 KiB of 500 GiB stay a row when there are far more regions than lines."""
    cold = [(index * GIB, GIB, index % 2) for index in range(250)]
    hot = (250 * GIB, 2 * PAGE, 20)
    more = [(hot[0] + hot[1] + index * GIB, GIB, index % 2) for index in range(250)]
    lines = _draw(_snapshot(_target(1, [*cold, hot, *more])))
    assert len(lines) == 24
    assert [line.split()[1:3] for line in lines if "100 %" in line] == [["8", "KiB"]]


def test_targets_have_headlines_the_hottest_first() -> None:
    """With several processes each has its lines; those that do not fit are counted."""
    targets = [_target(100 + index, [(HEAP, MIB, index)]) for index in range(20)]
    lines = _draw(_snapshot(*targets))
    names = [line.split(":")[0] for line in lines if line.startswith("pid")]
    assert names[:3] == ["pid 119", "pid 118", "pid 117"]
    assert lines[-1] == f"{20 - len(names)} more targets, less accessed"
    assert len(lines) <= 24


def test_without_regions_it_says_so() -> None:
    """A snapshot may hold nothing."""
    assert _draw(_snapshot())[-1] == "nothing is monitored yet"


def test_colours_say_the_same_as_characters() -> None:
    """With colours there are escape sequences, and a copy without them reads the same."""
    snapshot = _snapshot(_target(1, THREE))
    coloured = _draw(snapshot, color_system="truecolor")
    # Of 256 or of all: rich keeps the sequence of a style as it was first written in this process.
    assert any("48;2;" in line or "48;5;" in line for line in coloured)
    console = Console(file=io.StringIO(), width=80)
    plain = [console.render_str(line).plain for line in map(_stripped, coloured)]
    assert [line.rstrip() for line in plain] == [line.rstrip() for line in _draw(snapshot)]


def _stripped(line: str) -> str:
    parts = line.split("\x1b[")
    return parts[0] + "".join(part.split("m", 1)[1] for part in parts[1:])


@st.composite
def targets(draw: st.DrawFn) -> TargetSnapshot:
    """Regions of any size with gaps of any size, up to the top of the address space."""
    rows, at = [], draw(st.integers(0, 2**40)) * PAGE
    for _ in range(draw(st.integers(1, 60))):
        at += draw(st.sampled_from([0, 0, PAGE, GIB, 2**44]))
        size = draw(st.integers(1, 2**20)) * PAGE
        rows.append((at, size, draw(st.integers(0, 20))))
        at += size
    return _target(draw(st.integers(1, 10**6)), rows)


@given(several=st.lists(targets(), min_size=1, max_size=4), width=st.integers(40, 200), height=st.integers(16, 60))
def test_it_fits_whatever_the_size(several: list[TargetSnapshot], width: int, height: int) -> None:
    """From 40 columns on nothing is wider or higher than the terminal."""
    lines = _draw(_snapshot(*several), width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) <= height


@pytest.mark.parametrize(
    ("usec", "text"),
    [
        (0, "0 s"),
        (100_000, "100 ms"),
        (9_545_000, "9.54 s"),
        (74_000_000, "1.2 min"),
        (619_400, "619 ms"),
        (3600e6 * 1234, "1234 h"),
    ],
)
def test_ages_are_short(usec: float, text: str) -> None:
    """An age fits its column."""
    assert short_interval(usec) == text


def test_one_line_says_it_where_there_is_no_terminal() -> None:
    """A line for a pipe holds context, working set, cost and whether the window was complete."""
    line = snapshot_line(_snapshot(_target(1, THREE), partial=True))
    assert line.split("  ")[1:] == [
        "web",
        "working set 2 MiB of 9 MiB (22 %)",
        "3 regions",
        "2000 checks/s",
        "cpu 1.5 %",
        "3 overruns",
        "unknown 25 %",
        "partial",
    ]


def _sampled(*nr_samples: int, **changes: object) -> Snapshot:
    """Make a snapshot of the three regions with so many samples behind each."""
    target = replace(_target(1, THREE), nr_samples=np.array(nr_samples, np.uint32))
    return replace(_snapshot(target, granularity=PAGE), sampled_bytes=7 * MIB, **changes)  # type: ignore[arg-type]


def test_unseen_is_marked() -> None:
    """Nothing found is not nothing there: a question mark until enough samples say so, and how much that is."""
    (unseen,) = [line for line in _draw(_sampled(20, 20, 20)) if line.startswith("55d0c8b")]
    assert "0 %?" in unseen
    assert any("cold 0 B, unseen (?) 7 MiB" in line for line in _draw(_sampled(20, 20, 20)))
    lines = _draw(_sampled(20, 400, 20))
    assert not any("?" in line for line in lines)


def test_what_would_be_found() -> None:
    """From which size on a hot area would have been seen, in words with their unit."""
    assert any("finds hot areas of 72.5 KiB in a minute" in line for line in _draw(_sampled(20, 400, 20)))
    assert not any("finds" in line for line in _draw(_snapshot(_target(1, THREE))))


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        pytest.param({"max_cpu": 0.01, "max_nr_regions": 1000}, "", id="holds nothing back"),
        pytest.param(
            {"max_cpu": 0.01, "stretched": 4.2, "max_nr_regions": 1000},
            "budget 1 % of a CPU, samples 4.2 times rarer",
            id="longer",
        ),
        pytest.param(
            {"max_checks_per_s": 20_000.0, "max_nr_regions": 250},
            "budget 20,000 checks/s, 250 regions at most",
            id="fewer",
        ),
    ],
)
def test_budget_in_words(budget: dict[str, float], words: str) -> None:
    """What a budget does to a context is said where it does something."""
    lines = " ".join(_draw(_sampled(20, 400, 20, budget=BudgetUse(**budget)), width=100))  # type: ignore[arg-type]
    assert words in lines
    assert ("budget" in lines) == bool(words)
