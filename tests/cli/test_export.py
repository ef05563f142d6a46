"""`damond export` and `damond import` as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from damond.record import Record, RecordWriter
from tests.record.make import START_NS, make_snapshot

DAMOND = [sys.executable, "-m", "damond"]


def damond(*args: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "NO_COLOR": "1", "TZ": "UTC"}
    return subprocess.run([*DAMOND, *args], capture_output=True, text=True, timeout=60, check=False, env=env, cwd=cwd)


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory with a record of two contexts."""
    with RecordWriter(tmp_path / "a.damond") as writer:
        for number in range(30):
            writer.add(make_snapshot(number))
            writer.add(make_snapshot(number, context="db"))
    return tmp_path


def test_json_goes_to_standard_output(where: Path) -> None:
    """A snapshot per line, of the context that is named."""
    done = damond("export", "--format", "json", "--context", "web", "a.damond", cwd=where)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["start_ns"] for row in rows] == [START_NS + number * 10**8 for number in range(30)]
    assert {row["context"] for row in rows} == {"web"}


def test_what_is_no_plain_file_is_not_replaced(where: Path) -> None:
    """A pipe is written into, and a link keeps pointing to its file; Parquet needs a file."""
    os.mkfifo(where / "pipe")
    (where / "link").symlink_to("real")
    with subprocess.Popen(["cat", "pipe"], cwd=where, stdout=subprocess.PIPE) as reader:
        done = damond("export", "--format", "csv", "-o", "pipe", "a.damond", cwd=where)
        assert done.returncode == 0, done.stderr
        read, _ = reader.communicate(timeout=60)
    assert (where / "pipe").is_fifo()
    done = damond("export", "--format", "csv", "-o", "link", "a.damond", cwd=where)
    assert done.returncode == 0, done.stderr
    assert (where / "link").is_symlink()
    assert (where / "real").read_bytes() == read
    done = damond("export", "--format", "parquet", "-o", "pipe", "a.damond", cwd=where)
    assert "pipe is no file, and Parquet needs one" in done.stderr
    (where / "circle").symlink_to("circle")
    for name in ("circle", 300 * "a"):
        done = damond("export", "--format", "csv", "-o", name, "a.damond", cwd=where)
        assert (done.returncode, "Traceback" in done.stderr) == (65, False), done.stderr
        assert "can't be written" in done.stderr
    assert (where / "pipe").is_fifo()


def test_a_span_of_time(where: Path) -> None:
    """Counted from the end, or by the clock; one outside of the record says what there is."""
    done = damond("export", "--format", "json", "--context", "web", "--from", "-1s", "a.damond", cwd=where)
    assert len(done.stdout.splitlines()) == 10
    span = ("--from", "2023-11-14T22:13:21Z", "--to", "22:13:22")
    done = damond("export", "--format", "json", "--context", "web", *span, "a.damond", cwd=where)
    assert len(done.stdout.splitlines()) == 10, done.stderr
    done = damond("export", "--format", "json", "--from", "2024-01-01T00:00Z", "a.damond", cwd=where)
    assert done.returncode == 65
    assert "2023-11-14 22:13:20 UTC to 2023-11-14 22:13:23 UTC" in done.stderr


def test_binary_formats_go_beside_the_record(where: Path) -> None:
    """With names of their own; what is there already is not overwritten unless it is named."""
    for args, name in (
        (["--format", "parquet"], "a.parquet"),
        (["--format", "damo", "--context", "db"], "a.damon.data"),
    ):
        done = damond("export", *args, "a.damond", cwd=where)
        assert done.returncode == 0, done.stderr
        assert f"written: {name}" in done.stderr
        again = damond("export", *args, "a.damond", cwd=where)
        assert again.returncode == 65
        assert f"-o {name}" in again.stderr
        assert damond("export", *args, "-o", name, "a.damond", cwd=where).returncode == 0
    assert sorted(each.name for each in where.iterdir()) == [
        "a.damon.data", "a.damon.data.mem_footprint", "a.damon.data.vmas", "a.damond", "a.parquet",
    ]  # fmt: skip


def test_a_round_trip(where: Path) -> None:
    """What is exported for damo can be imported; the context is named as the file."""
    assert (
        damond("export", "--format", "damo", "--context", "web", "-o", "x.data", "a.damond", cwd=where).returncode == 0
    )
    done = damond("import", "-o", "b.damond", "x.data", cwd=where)
    assert done.returncode == 0, done.stderr
    assert "imported x: 30 snapshots into b.damond" in done.stderr
    with Record.open(where / "b.damond") as record:
        assert record.context("x").nr_snapshots == 30


REFUSED = {
    "no such record": (["export", "--format", "json", "b"], 66, "No such file"),
    "no record": (["export", "--format", "json", "x.txt"], 65, "damond import"),
    "no such context": (["export", "--format", "json", "--context", "wep", "a.damond"], 64, "did you mean 'web'"),
    "no such format": (["export", "--format", "xml", "a.damond"], 64, "xml"),
    "no moment": (["export", "--format", "json", "--from", "noon", "a.damond"], 64, "noon"),
    "two contexts for damo": (["export", "--format", "damo", "a.damond"], 65, "--context"),
    "parquet in a pipe": (["export", "--format", "parquet", "-o", "-", "a.damond"], 65, "-o"),
    "nowhere": (["export", "--format", "csv", "-o", "/nonexistent/x", "a.damond"], 65, "No such file"),
    "import of nothing": (["import", "-o", "b", "nothing"], 65, "No such file"),
    "import of a text": (["import", "-o", "b", "x.txt"], 65, "damon_aggregated"),
    "import of a record": (["import", "-o", "b", "a.damond"], 65, "damond report"),
    "import into a text": (["import", "-o", "x.txt", "ok.json"], 65, "no record"),
    "import without output": (["import", "ok.json"], 64, "--output"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_not_be_done_is_refused(where: Path, case: str) -> None:
    """With an error and a hint, never a traceback; nothing is left behind."""
    args, status, words = REFUSED[case]
    (where / "x.txt").write_text("hello\n" * 1000)
    region = {"start": 0, "end": 4096, "nr_accesses": {"samples": 1}, "age": {"aggr_intervals": 1}}
    window = {"start_time": 0, "end_time": 10**8, "regions": [region]}
    (where / "ok.json").write_text(json.dumps([{"target_id": 0, "snapshots": [window] * 3}]))
    before = sorted(where.iterdir())
    done = damond(*args, cwd=where)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(where.iterdir()) == before
