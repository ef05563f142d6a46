import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from damond.cli.heat_picture import RunPicture, touched_lines
from damond.core import Snapshot, TargetSnapshot
from damond.core.mappings import NOTHING_MAPPED, cut
from damond.report import Accumulator, Mappings, MapsByTarget, Touched

MIB = 1 << 20
BASE = 0x7F3A_1000_0000
NSEC = 1_000_000_000


def _snapshot(window: int, *targets: tuple[int, list[tuple[int, int, int]]]) -> Snapshot:
    """Make a window of one second."""

    def columns(rows: list[tuple[int, int, int]]) -> list[np.ndarray]:
        return [np.array([row[i] for row in rows], np.uint64) for i in range(3)]

    return Snapshot(
        context="web",
        primitive="vaddr",
        start_ns=window * NSEC,
        end_ns=(window + 1) * NSEC,
        sample_us=50_000,
        aggr_us=1_000_000,
        update_us=1_000_000,
        min_nr_regions=10,
        max_nr_regions=10,
        max_nr_accesses=20,
        granularity=4096,
        checks=200,
        unknown=0,
        cpu_us=10,
        overruns=0,
        partial=False,
        targets=tuple(
            TargetSnapshot(target_id, target_id, start, size, nr.astype(np.uint32), np.zeros(len(start), np.uint32))
            for target_id, (start, size, nr) in ((each, columns(rows)) for each, rows in targets)
        ),
    )


def _moving_run(nr_windows: int = 4) -> Accumulator:
    """Four areas of 4 MiB, one hot for one window after the other; a cold stack far away."""
    run = Accumulator()
    for window in range(nr_windows):
        rows = [(BASE + area * 4 * MIB, 4 * MIB, 20 * (area == window % 4)) for area in range(4)]
        run.add(_snapshot(window, (77, [*rows, (0x7FFD_0000_0000, MIB, 0)])))
    return run


def _draw(
    run: Accumulator,
    width: int = 80,
    *,
    everything: bool = False,
    height: int = 13,
    maps: MapsByTarget = NOTHING_MAPPED,
    **console: object,
) -> str:
    options: dict[str, object] = {"color_system": None, "force_terminal": True, "_environ": {}} | console
    out = Console(file=io.StringIO(), width=width, height=height, highlight=False, **options)  # type: ignore[arg-type]
    out.print(RunPicture(run, everything=everything, maps=maps))
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def _heat(text: str) -> list[str]:
    return [line[13:] for line in text.splitlines() if re.match(r"[0-9a-f]{12} ", line)]


def test_heat_moves_through_the_picture() -> None:
    """Addresses go down and time to the right: a hot area that moves is a diagonal."""
    text = _draw(_moving_run(), width=14 + 40)
    expected = [" " * 10 * step + "@" * 10 + " " * (30 - 10 * step) for step in (0, 0, 1, 1, 2, 2, 3, 3)]
    assert [line.ljust(40) for line in _heat(text)] == expected


def test_rows_are_labelled_with_their_first_address() -> None:
    """Labels are the addresses at which rows begin."""
    labels = re.findall(r"^([0-9a-f]{12}) ", _draw(_moving_run()), re.MULTILINE)
    assert [int(label, 16) for label in labels] == [BASE + row * 2 * MIB for row in range(8)]


def test_what_is_not_drawn_is_said() -> None:
    """The far cold stack is folded into a line that gives its size and that of the gap."""
    text = _draw(_moving_run())
    assert "target 77: the hottest 16 MiB of 17 MiB monitored" in text
    assert "--- 1 MiB less accessed, not drawn; 780 GiB not monitored ---" in text


def test_everything_is_drawn_by_request() -> None:
    """Then only gaps are left out."""
    text = _draw(_moving_run(), everything=True)
    assert "target 77: all 17 MiB of 17 MiB monitored" in text
    assert "--- 780 GiB not monitored ---" in text
    assert "7ffd00000000" in text


def test_axis_and_scale_have_units() -> None:
    """Seconds below, per cent in the legend, and what one cell stands for."""
    lines = _draw(_moving_run(), width=14 + 40).splitlines()
    (axis,) = (index for index, line in enumerate(lines) if line.startswith("address      +--"))
    assert lines[axis + 1].split() == ["time", "0", "s", "1", "s", "2", "s", "3", "s"]
    assert lines[axis + 2].startswith("accessed in % of samples: 0 [ .:-=+*#%@] 100")
    assert lines[axis + 3] == "one cell: 100 ms x 2 MiB"


def test_memory_that_came_later_is_not_drawn_as_cold() -> None:
    """Cells without monitoring have their own character, and the legend explains it."""
    run = Accumulator()
    run.add(_snapshot(0, (1, [(BASE, 8 * MIB, 20)])))
    run.add(_snapshot(1, (1, [(BASE, 16 * MIB, 20)])))
    text = _draw(run, width=14 + 30)
    assert _heat(text)[0] == "@" * 30
    assert _heat(text)[-1] == "~" * 15 + "@" * 15
    assert "~ not monitored" in text


@pytest.mark.parametrize(
    ("console", "coloured"),
    [
        ({"color_system": "truecolor"}, True),
        ({"color_system": "256"}, True),
        ({"color_system": "standard"}, False),
        ({"color_system": "truecolor", "no_color": True}, False),
        ({"force_terminal": False}, False),
    ],
    ids=["truecolor", "256 colours", "16 colours", "NO_COLOR", "no terminal"],
)
def test_colours_where_they_are_a_scale(console: dict[str, object], coloured: bool) -> None:
    """Backgrounds are coloured if the terminal has enough colours and the user wants them."""
    text = _draw(_moving_run(), height=24, **console)
    assert ("48;2;" in text or "48;5;" in text) == coloured


@pytest.mark.parametrize("width", [40, 80, 140])
def test_it_is_as_wide_as_the_terminal(width: int) -> None:
    """Nothing is wider than the terminal."""
    assert max(map(len, _draw(_moving_run(), width).splitlines())) <= width


def test_many_targets_are_counted() -> None:
    """Three are drawn, the hottest first, and the others are not forgotten."""
    run = Accumulator()
    run.add(_snapshot(0, *((100 + index, [(BASE, MIB, index)]) for index in range(5))))
    text = _draw(run)
    assert re.findall(r"^target (\d+):", text, re.MULTILINE) == ["104", "103", "102"]
    assert "2 more targets, less accessed, are not drawn" in text


def test_an_empty_run_says_so() -> None:
    """A run without a window draws nothing and explains it."""
    assert _draw(Accumulator()).strip() == "no window of the monitoring was complete: nothing to say yet"


def test_touched_is_said_in_bounds_per_window_and_of_rss() -> None:
    """Least and most over the run, percentiles per window, and the share of resident memory."""
    touched = Touched(
        span_ns=15 * NSEC,
        nr_windows=1500,
        total_bytes=100 * MIB,
        least_bytes=20 * MIB,
        most_bytes=40 * MIB,
        median_bytes=8 * MIB,
        p75_bytes=9 * MIB,
        max_bytes=10 * MIB,
        rss_bytes=50 * MIB,
    )
    per_window, bounds, shares = touched_lines(touched, "mapped")
    assert per_window == "working set: median 8 MiB, p75 9 MiB, max 10 MiB (1,500 windows)"
    assert bounds == "touched in 15 s: from 20 MiB (hot all over) to 40 MiB (any access)"
    assert shares == "that is 20 % to 40 % of 100 MiB mapped, 40 % to 80 % of 50 MiB RSS"
    adapted = replace(touched, nr_windows=8, nr_adapting=7, least_bytes=40 * MIB, rss_bytes=None)
    assert touched_lines(adapted, "monitored") == [
        "working set: median 8 MiB, p75 9 MiB, max 10 MiB (last 8 of 15 windows)",
        "touched in 15 s: 40 MiB",
        "that is 40 % of 100 MiB monitored",
    ]


def test_holes_of_a_process_are_folded_and_rows_named() -> None:
    """A region that spans a hole is drawn where memory is, and hotter; rows have names, and 'mapped' is what counts."""
    maps = {
        77: Mappings.parse(
            f"{BASE:x}-{BASE + 8 * MIB:x} rw-s 00000000 00:01 9 /memfd:area 1 (deleted)\n"
            f"{BASE + 300 * MIB:x}-{BASE + 308 * MIB:x} rw-p 00000000 00:00 0 [heap]\n".encode()
        )
    }
    run = Accumulator()
    for window in range(4):
        run.add(cut(_snapshot(window, (77, [(BASE, 308 * MIB, 5)])), maps))
    text = _draw(run, maps=maps)
    assert "pid 77: all 16 MiB of 16 MiB mapped" in text
    assert "--- 292 MiB not mapped ---" in text
    assert re.search(r"^address      mapping \+others +\+--", text, re.MULTILINE)
    names = re.findall(r"^[0-9a-f]{12} (area 1|\[heap\]) +(?:=|\+)+$", text, re.MULTILINE)
    assert names == ["area 1"] * 4 + ["[heap]"] * 4
    assert text.splitlines()[-1] == "that is 0 % to 100 % of 16 MiB mapped"
    assert max(map(len, text.splitlines())) <= 80


def test_memory_that_was_not_mapped_yet_is_said_to_be_so() -> None:
    """The character for nothing is explained in the words of processes."""
    maps = {1: Mappings.parse(f"{BASE:x}-{BASE + 16 * MIB:x} rw-p 00000000 00:00 0 \n".encode())}
    run = Accumulator()
    for window, size in enumerate((8, 16)):
        run.add(cut(_snapshot(window, (1, [(BASE, size * MIB, 20)])), maps))
    assert "~ not mapped" in _draw(run, maps=maps)
