"""`damond report`, as a person reads it and as a program does."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from damond.cli.report import TYPES
from damond.core import Origin, Snapshot
from damond.record import RecordWriter
from tests.cli.report.make import as_process, summary, write
from tests.record.make import make_snapshot
from tests.report.synthetic import MIB, monitor

Report = Callable[..., tuple[int, str, str]]


def document(report: Report, *args: str | Path) -> dict[str, Any]:
    status, out, err = report(*args, "--json")
    assert status == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("kind", TYPES)
def test_text_fits_80_columns_and_says_what_it_is(report: Report, record: Path, kind: str) -> None:
    """Every report names the context, the span, the windows and what a check sees; ASCII, in 80 columns."""
    status, out, err = report(kind, record)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("web: ")
    assert "2023-11-14" in out
    assert "windows of 100 ms; synthetic: one check sees a 4 KiB page" in out
    assert max(map(len, lines)) <= 80
    assert out.isascii()


@pytest.mark.parametrize("kind", TYPES)
def test_json_is_what_was_measured(report: Report, record: Path, kind: str) -> None:
    """A program gets the same numbers, with their units in the keys, and null where nothing is known."""
    found = document(report, kind, record)
    assert (found["schema"], found["report"]) == (1, kind)
    coverage = (found["after"] if kind == "diff" else found)["coverage"]
    assert (coverage["context"], coverage["host"], coverage["primitive"]) == ("web", "box", "synthetic")
    assert "NaN" not in json.dumps(found)


@pytest.mark.parametrize("kind", TYPES)
def test_pictures_in_files(report: Report, record: Path, tmp_path: Path, kind: str) -> None:
    """PNG and SVG are what they claim to be, and nothing is printed on standard output."""
    png, svg = tmp_path / "a.png", tmp_path / "a.svg"
    status, out, err = report(kind, record, "--png", png, "--svg", svg)
    assert (status, out) == (0, "")
    assert f"written: {png}" in err
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    assert ET.parse(svg).getroot().tag.endswith("svg")  # noqa: S314 - written by us a moment ago


def test_the_heat_map_shows_the_hot_range_by_name(report: Report, record: Path) -> None:
    """The rows of table.db are hot from end to end but for the gap; the scale has its unit."""
    _, out, _ = report("heatmap", record, "--whole")
    rows = [line for line in out.splitlines() if "table.db" in line]
    hottest = max(rows, key=lambda line: line.count("@"))
    assert set(hottest[30:].strip()) == {"@", "/"}
    assert "accessed in % of samples: 0 [" in out
    assert "/ nothing recorded" in out
    assert "note: nothing is known from 2023-11-14" in out


def test_the_heat_map_as_numbers(report: Report, record: Path) -> None:
    """Where nothing was recorded heat is null, and `recorded` says so; elsewhere the hot range is hot."""
    found = document(report, "heatmap", record, "--whole")
    heat = found["heatmap"]["heat"]
    gaps = [row for row, known in enumerate(found["recorded"]) if not known]
    assert gaps
    assert all(each is None for row in gaps for each in heat[row])
    assert max(each for each in heat[2] if each is not None) > 0.95


def test_sizing_of_next_to_nothing(report: Report, tmp_path: Path) -> None:
    """A record of a moment says that it is too little, as text and as a picture."""
    path = tmp_path / "short.damond"
    with RecordWriter(path) as writer:
        writer.add(make_snapshot(0))
    status, out, _ = report("sizing", path)
    assert status == 0
    assert "enough was recorded to size by: record for longer" in " ".join(out.split())
    assert report("sizing", path, "--png", str(tmp_path / "a.png"))[0] == 0


def test_sizing_answers_in_a_sentence(report: Report, record: Path) -> None:
    """How much in 99 % of the periods, how much in all, RSS, and how much of it was idle."""
    _, out, _ = report("sizing", record)
    head = " ".join(out.splitlines()[4:6])
    assert "in 99 % of the seconds" in head
    found = document(report, "sizing", record)
    assert found["memory"]["rss"]["newest"] == 200 * MIB
    assert found["idle_bytes"][-1] == 200 * MIB - found["all_bytes"]
    assert "Its RSS is 200 MiB: at least" in out
    assert "were idle for over 1 min" in out
    assert "1 min are little to size by" in out


def test_footprint_has_all_four_beside_each_other(report: Report, record: Path) -> None:
    """Address space, resident, shared once, in use, and the limit."""
    _, out, _ = report("footprint", record)
    for words in ("vsz", "512 MiB", "rss", "200 MiB", "pss", "180 MiB", "wss", "limit of the cgroup: 256 MiB"):
        assert words in out


def test_hot_and_cold_name_what_is_mapped(report: Report, record: Path) -> None:
    """The hottest piece is in table.db; the coldest was never touched."""
    hot = document(report, "hot", record)["pieces"][0]
    assert (hot["name"], round(hot["heat"])) == ("table.db", 1)
    cold = document(report, "cold", record)["pieces"][0]
    assert cold["idle_ns"] is None
    assert cold["heat"] == 0


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("hot", "0 %?"),
        ("cold", "?: no access found, but too little was looked at to call it cold"),
        ("heatmap", "? too little looked at to call it cold"),
        ("idle", "(unseen)"),
        ("sizing", "merely unseen: too little was looked at to call them cold"),
    ],
)
def test_what_is_merely_unseen_is_not_called_cold(report: Report, tmp_path: Path, kind: str, words: str) -> None:
    """After a second, what shows no access is marked; and it is said from which size on hot memory would be found."""
    tracks = [{"start": 40 * MIB, "size": 20 * MIB}]
    second = as_process(monitor({"size": 128 * MIB, "tracks": tracks}, 1, sample_interval=50_000).snapshots)
    path = tmp_path / "short.damond"
    with RecordWriter(path) as writer:
        for seq, each in enumerate(second):
            writer.add(replace(each, context="web", origin=Origin(host="box", epoch=1, seq=seq)))
        writer.add(summary(second[-1]))
    status, out, _ = report(kind, path, *(["--whole"] if kind == "heatmap" else []))
    text = " ".join(out.split())
    assert status == 0
    assert words in text
    assert "merely unseen: no access was found, but too little was looked at" in text
    assert "and more are found within a minute" in text
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("kind", ["wss", "sizing", "footprint"])
def test_figures_of_the_process_that_come_last_of_all(
    report: Report, snapshots: list[Snapshot], tmp_path: Path, kind: str
) -> None:
    """RSS that is known at the very end only is told, though there is no time to draw it over."""
    path = tmp_path / "late.damond"
    with RecordWriter(path) as writer:
        for seq, each in enumerate(snapshots[:50]):
            writer.add(replace(each, context="web", origin=Origin(host="box", epoch=1, seq=seq)))
        writer.add(summary(snapshots[49]))
    status, out, err = report(kind, path)
    assert (status, err) == (0, "")
    assert "200 MiB" in out


def test_a_threshold_of_ones_own(report: Report, record: Path) -> None:
    """The working set by any rates of access that are asked for."""
    found = document(report, "wss", record, "--at-least", "25", "--at-least", "90")
    assert found["thresholds"] == [0.25, 0.9]
    assert len(found["wss_bytes"]) == 2


def test_a_part_of_a_record(report: Report, record: Path) -> None:
    """A span is cut out; what of it is not there is said."""
    found = document(report, "wss", record, "--from", "-10s")
    assert found["coverage"]["nr_windows"] == 100
    _, out, _ = report("wss", record, "--from", "-1h", "--to", "-50s")
    assert "note: there is nothing before 2023-11-14 22:13:20" in out


def test_two_spans_compared(report: Report, record: Path) -> None:
    """The pulsing memory is hot in one span and cold in the other; the rest did not change."""
    found = document(report, "diff", record, "--before", "-58s..-51s", "--after", "-48s..-41s")
    (change,) = [each for each in found["changes"] if abs(each["hot_bytes"]) > MIB]
    assert change["hot_bytes"] == pytest.approx(-20 * MIB, rel=0.1)
    assert found["by"] == "address"


def test_two_records_compared(report: Report, record: Path, snapshots: list[Snapshot], tmp_path: Path) -> None:
    """Two files of the same process are compared by address."""
    cold = as_process(monitor({"size": 128 * MIB, "tracks": [{"probability": 0.0}]}, 20).snapshots)
    other = write(tmp_path / "other.damond", cold)
    found = document(report, "diff", record, other)
    assert found["by"] == "address"
    assert sum(each["hot_bytes"] for each in found["changes"]) == pytest.approx(-30 * MIB, rel=0.15)


class TestBadInput:
    """A clear error, with what to do about it; never a traceback, never a wrong picture."""

    def test_no_such_file(self, report: Report, tmp_path: Path) -> None:
        """A file that is not there is no record."""
        status, _, err = report("wss", tmp_path / "none.damond")
        assert status != 0
        assert "error:" in err
        assert "hint:" in err

    def test_a_foreign_file(self, report: Report, tmp_path: Path) -> None:
        """Something else is told from a record."""
        path = tmp_path / "a.damond"
        path.write_text("no record at all" * 1000)
        status, _, err = report("wss", path)
        assert status != 0
        assert "error:" in err

    def test_a_span_outside_of_the_record(self, report: Report, record: Path) -> None:
        """Nothing is drawn; the error says what there is."""
        status, out, err = report("heatmap", record, "--from", "2020-01-01", "--to", "2020-01-02")
        assert (status, out) == (66, "")
        assert "hint: there is something from 2023-11-14 22:13:20 to 22:14:20" in err

    def test_a_span_within_a_gap(self, report: Report, record: Path) -> None:
        """The record covers it, but has no window in it."""
        status, out, err = report("heatmap", record, "--from", "-39s", "--to", "-31s")
        assert (status, out) == (66, "")
        assert "there is no window from" in err

    def test_a_span_that_ends_before_it_begins(self, report: Report, record: Path) -> None:
        """The other way round is a mistake."""
        status, _, err = report("wss", record, "--from", "-10s", "--to", "-20s")
        assert status == 64
        assert "before it begins" in err

    def test_several_contexts(self, report: Report, snapshots: list[Snapshot], tmp_path: Path) -> None:
        """None is chosen by chance; the hint names all."""
        path = write(tmp_path / "two.damond", snapshots[:20])
        write(path, snapshots[20:40], context="db")
        status, _, err = report("wss", path)
        assert status == 64
        assert "choose one with --context: db@box, web@box" in err
        assert report("wss", path, "--context", "db")[0] == 0
        status, _, err = report("wss", path, "--context", "wev")
        assert status == 64
        assert "did you mean 'web'?" in err

    def test_two_hosts(self, report: Report, snapshots: list[Snapshot], tmp_path: Path) -> None:
        """The same name on two machines is not one context."""
        path = write(tmp_path / "two.damond", snapshots[:20])
        write(path, snapshots[20:40], host="other")
        for args in ((), ("--context", "web")):
            status, out, err = report("wss", path, *args)
            assert (status != 0, out) == (True, "")
            assert "web@box" in err
            assert "web@other" in err
        assert report("wss", path, "--context", "web@other")[0] == 0

    def test_no_regions(self, report: Report, snapshots: list[Snapshot], tmp_path: Path) -> None:
        """Windows in which nothing was monitored: every report says so, or that it is 0."""
        path = write(tmp_path / "empty.damond", [replace(each, targets=()) for each in snapshots[:30]])
        for kind in TYPES:
            status, out, err = report(kind, path)
            assert status == 0, (kind, err)
            assert out

    def test_partial_and_empty_windows(self, report: Report, snapshots: list[Snapshot], tmp_path: Path) -> None:
        """One without samples is left out, one that was cut short counts by its length; both are told."""
        last = snapshots[29]
        short = replace(last, end_ns=last.start_ns + 10_000_000, max_nr_accesses=2, partial=True)
        short = replace(
            short, targets=tuple(replace(part, nr_accesses=part.nr_accesses.clip(0, 2)) for part in last.targets)
        )
        nothing = replace(snapshots[28], max_nr_accesses=0)
        path = write(tmp_path / "short.damond", [*snapshots[:28], nothing, short])
        _, out, _ = report("wss", path)
        assert "note: 1 window without any sample left out" in out
        assert "note: 1 window cut short by the end of the monitoring" in out

    def test_an_unknown_target(self, report: Report, record: Path) -> None:
        """A target that is not in the record is refused, with those that are."""
        status, _, err = report("heatmap", record, "--target", "77")
        assert status == 64
        assert "1234" in err

    def test_one_span_only(self, report: Report, record: Path) -> None:
        """A comparison takes two."""
        status, _, err = report("diff", record, "--before", "-50s..-40s")
        assert status == 64
        assert "--after FROM..TO" in err

    def test_an_unknown_type(self, report: Report, record: Path) -> None:
        """A slip of the pen is told from what there is."""
        status, _, err = report("heatmaps", record)
        assert status == 64
        assert "did you mean 'heatmap'?" in err

    def test_a_file_that_can_not_be_written(self, report: Report, record: Path, tmp_path: Path) -> None:
        """A picture into a directory that is not there."""
        status, _, err = report("wss", record, "--png", tmp_path / "none" / "a.png")
        assert status == 64
        assert "can't be written" in err
