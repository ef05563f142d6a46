"""`damond record` as a user runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from damond.record import Record

LIMIT_S = 50.0
DAMOND = [sys.executable, "-m", "damond"]
SLEEPER = [sys.executable, "-c", "import time; kept = bytearray(b'x') * (8 << 20); time.sleep(30)"]
SHORT = [sys.executable, "-c", "import time; time.sleep(6); raise SystemExit(3)"]


def damond(*args: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run([*DAMOND, *args], capture_output=True, text=True, timeout=60, check=False, env=env, cwd=cwd)


def _seqs(path: Path, name: str) -> list[int]:
    with Record.open(path) as record:
        return [each.origin.seq for each in record.snapshots(name) if each.origin]


def test_a_short_recording(tmp_path: Path) -> None:
    """Without a service: what was monitored is in a file that is named by what and when; the last line says where."""
    done = damond("record", "--primitive", "synthetic", "--for", "1s", "--aggr", "50ms", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.iterdir()
    assert re.fullmatch(r"synthetic-\d{8}-\d{6}\.damond", path.name)
    assert f"look at it: damond report heatmap {path.name}" in done.stdout
    seqs = _seqs(path, "synthetic")
    assert len(seqs) >= 5
    assert seqs == list(range(len(seqs)))
    with Record.open(path) as record:
        assert [each.event for each in record.events("synthetic")][-3:] == ["started", "stopping", "stopped"]
        assert next(iter(record.summaries("synthetic"))).total_bytes == 1 << 30


def test_a_command_with_its_memory(tmp_path: Path) -> None:
    """The command's status becomes ours; its mappings and its memory are in the record."""
    path = tmp_path / "a.damond"
    done = damond("record", "-o", str(path), "--json", "-O", "source=referenced", "--", *SHORT)
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    with Record.open(path) as record:
        (context,) = record.contexts()
        assert document["nr_snapshots"] == context.nr_snapshots > 0
        assert document["record"] == str(path)
        mapped = next(iter(record.mappings(context)))
        assert {"[stack]", "libc.so.6"} <= {each.name for each in mapped.mappings}
        assert next(iter(record.memory(context))).rss_bytes > 1 << 20


def test_a_process_until_interrupted(tmp_path: Path) -> None:
    """Ctrl-C ends the recording of a process that lives on; what came until then is there."""
    path = tmp_path / "a.damond"
    with subprocess.Popen(SLEEPER) as sleeper:
        line = [*DAMOND, "record", "-o", str(path), "-O", "source=referenced", str(sleeper.pid)]
        with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
            _wait_for_snapshots(path, 1)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert sleeper.poll() is None
        sleeper.kill()
    assert re.search(rf"recorded pid-{sleeper.pid}: \d+ snapshots in .*, [\d.]+ KiB in ", out)


def _wait_for_snapshots(path: Path, number: int) -> None:
    """Wait until a record that grows has so many."""
    deadline_s = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline_s:
        if path.exists():
            with Record.open(path) as record:
                if sum(each.nr_snapshots for each in record.contexts()) >= number:
                    return
        threading.Event().wait(0.05)  # polls what has no event of its own
    pytest.fail("nothing is recorded")


def test_kill_leaves_a_whole_record(tmp_path: Path) -> None:
    """SIGKILL: what was on the disk can be read, and the next recording goes on in the same file."""
    path = tmp_path / "a.damond"
    line = ["record", "-o", str(path), "--primitive", "synthetic"]
    with subprocess.Popen([*DAMOND, *line], start_new_session=True) as process:
        _wait_for_snapshots(path, 10)
        os.killpg(process.pid, signal.SIGKILL)
    before = _seqs(path, "synthetic")
    assert len(before) >= 10
    done = damond(*line, "--for", "1s")
    assert done.returncode == 0, done.stderr
    assert _seqs(path, "synthetic")[: len(before)] == before
    with Record.open(path) as record:
        (gap,) = record.gaps("synthetic")
    assert gap.restarted


def test_the_service_is_recorded(service: Any, tmp_path: Path) -> None:
    """Contexts by name, or all of them; the service going away and coming back is a gap."""
    path = tmp_path / "a.damond"
    line = [*DAMOND, "record", "-o", str(path), "one", *service.args]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        _wait_for_snapshots(path, 5)
        service.stop()
        service.start()
        with Record.open(path) as record:
            number = record.context("one").nr_snapshots
        _wait_for_snapshots(path, number + 5)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "recorded one:" in out
    with Record.open(path) as record:
        assert [each.name for each in record.contexts()] == ["one"]
        assert [each.restarted for each in record.gaps("one")] == [True]
    done = service.run("record", "-o", str(tmp_path / "b.damond"), "--for", "3s")
    assert done.returncode == 0, done.stderr
    with Record.open(tmp_path / "b.damond") as record:
        assert [each.name for each in record.contexts()] == ["one", "two"]


def test_progress_in_a_terminal(terminal: Callable[..., Any], tmp_path: Path) -> None:
    """One line says what, how much and where, and gives way to the last word."""
    window = terminal("record", "--primitive", "synthetic", "-o", str(tmp_path / "a"))
    window.wait_for("recording synthetic: ")
    window.wait_for("KiB in")
    assert window.end(signal.SIGINT) == 0
    assert re.search(r"recorded synthetic: \d+ snapshots in \d+ s, [\d.]+ KiB in ", window.text)
    assert window.text.rindex("\x1b[?25h") > window.text.rindex("\x1b[?25l")


REFUSED = {
    "nothing there": (["--runtime-dir", "/nonexistent", "web"], 69, "no supervisor"),
    "no such process": (["4194304"], 66, "4194304"),
    "both": (["12", "--", "true"], 64, "both a PID and a COMMAND"),
    "names and processes": (["web", "12"], 64, "one by one"),
    "attributes of the service": (["web", "--sample", "1ms"], 64, "damond tune"),
    "a directory": (["-o", "/", "--primitive", "synthetic"], 64, "directory"),
    "nowhere to write": (["-o", "/nonexistent/a", "--primitive", "synthetic"], 65, "No such file"),
    "no record": (["-o", __file__, "--primitive", "synthetic"], 65, "no record"),
    "too short an age": (["--max-age", "1s", "--primitive", "synthetic"], 64, "a minute"),
    "too small": (["--max-size", "1MiB", "--primitive", "synthetic"], 64, "16MiB"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(case: str, tmp_path: Path) -> None:
    """With a word on what to do; nothing is left behind, and nothing is overwritten."""
    args, status, words = REFUSED[case]
    before = Path(__file__).read_bytes()
    done = damond("record", *args, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert Path(__file__).read_bytes() == before
