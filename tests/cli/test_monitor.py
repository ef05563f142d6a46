"""`damond monitor` as a user runs it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from damond.core import Snapshot

DAMOND = [sys.executable, "-m", "damond"]
DEMO = [sys.executable, "-m", "damond.demo", "--for", "30"]


def damond(*args: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run([*DAMOND, *args], capture_output=True, text=True, timeout=60, check=False, env=env)


SYNTHETIC = ("monitor", "--primitive", "synthetic", "--for", "1s")


def test_json_lines() -> None:
    """One JSON object per snapshot and line, with the keys of the wire, and nothing else on standard output."""
    done = damond(*SYNTHETIC, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) >= 8
    fields = set(Snapshot.__dataclass_fields__) - {"origin"} | {"schema", "host"}
    assert all(set(row) == fields for row in rows)
    assert all(row["max_nr_accesses"] == 20 for row in rows if not row["partial"])


def test_plain_lines_and_the_same_end() -> None:
    """Without a terminal: a line per snapshot, then the heat map and what was touched."""
    done = damond(*SYNTHETIC)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\d\d:\d\d:\d\d .*working set", done.stdout, re.MULTILINE)) >= 8
    assert "accessed in % of samples" in done.stdout
    assert re.search(r"^touched .* of 1 GiB monitored", done.stdout, re.MULTILINE)
    assert "\x1b" not in done.stdout


def test_attributes() -> None:
    """Intervals, regions and options are what was asked for."""
    done = damond(
        *SYNTHETIC, "--json", "--sample", "10ms", "--aggr", "200ms", "--update", "1s", "--regions", "20:80",
        "-O", "size=64MiB", "-O", "seed=3",
    )  # fmt: skip
    row = json.loads(done.stdout.splitlines()[0])
    assert [row[key] for key in ("sample_us", "aggr_us", "update_us")] == [10_000, 200_000, 1_000_000]
    assert (row["min_nr_regions"], row["max_nr_regions"], row["max_nr_accesses"]) == (20, 80, 20)
    assert sum(row["targets"][0]["size"]) == 64 << 20


@pytest.mark.parametrize("output", [["--json"], []], ids=["json", "plain"])
def test_command_ends_by_itself(output: Sequence[str]) -> None:
    """The command's status becomes ours, its output does not mix with JSON, and the end is not an error."""
    code = "import time; print('hello from the command', flush=True); time.sleep(1.5); raise SystemExit(3)"
    done = damond("monitor", *output, "-O", "source=referenced", "--", sys.executable, "-c", code)
    assert done.returncode == 3, done.stderr
    if output:
        assert all(json.loads(line)["primitive"] == "vaddr" for line in done.stdout.splitlines())
        assert "hello from the command" in done.stderr
    else:
        assert "hello from the command" in done.stdout
        assert "touched" in done.stdout


def test_interrupt() -> None:
    """Ctrl-C ends the monitoring and the command, with the picture and status 0."""
    line = [*DAMOND, "monitor", "--", *DEMO]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert "working set" in first
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "touched" in out


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        pytest.param((), 64, "nothing to monitor", id="nothing"),
        pytest.param(("4194305",), 66, "no process 4194305", id="no such pid"),
        pytest.param(("--primitive", "vadr", "1"), 64, "did you mean 'vaddr'", id="unknown primitive"),
        pytest.param(("-O", "sauce=x", "--primitive", "vaddr", "1"), 64, "did you mean 'source'", id="unknown option"),
        pytest.param(("--sample", "5", "1"), 64, "has no unit", id="interval without unit"),
        pytest.param(("--regions", "10", "1"), 64, "MIN:MAX", id="no range"),
        pytest.param(("--regions", "10:5", "1"), 64, "max_nr_regions", id="contradicting range"),
        pytest.param(("--sample", "2s", "--aggr", "1s", "1"), 64, "aggr_interval", id="contradicting intervals"),
        pytest.param(("1", "--", "true"), 64, "both a PID and a COMMAND", id="both"),
        pytest.param(("--", "/nonexistent/x"), 64, "can't be started", id="no such command"),
        pytest.param(("--primitive", "synthetic", "--", "true"), 64, "does not monitor processes", id="no process"),
    ],
)
def test_refused(args: tuple[str, ...], status: int, words: str) -> None:
    """What can't work is refused with a sysexits status, one error and a hint, and no traceback."""
    done = damond("monitor", *args)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_pid_that_exits_while_starting() -> None:
    """A process that is gone before it could be looked at is told as such."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
        done = damond("monitor", str(process.pid))
    assert done.returncode == os.EX_NOINPUT
    assert str(process.pid) in done.stderr
