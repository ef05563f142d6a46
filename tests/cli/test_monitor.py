"""`damond monitor` as a user runs it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from damond.cli.own import goal as goal_of
from damond.core import Snapshot
from tests.chaos.rig import wait

DAMOND = [sys.executable, "-m", "damond"]
DEMO = [sys.executable, "-m", "damond.demo", "--for", "30"]


def damond(*args: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
    return subprocess.run([*DAMOND, *args], capture_output=True, text=True, timeout=60, check=False, env=env)


SYNTHETIC = ("monitor", "--primitive", "synthetic", "--for", "3s")


def test_json_lines() -> None:
    """One JSON object per snapshot and line, with the keys of the wire, and nothing else on standard output."""
    done = damond(*SYNTHETIC, "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) >= 3  # 30 on a machine that has the time
    fields = set(Snapshot.__dataclass_fields__) - {"origin"} | {"schema", "host"}
    assert all(set(row) == fields for row in rows)
    assert all(row["max_nr_accesses"] == 20 for row in rows if not row["partial"])


def test_plain_lines_and_the_same_end() -> None:
    """Without a terminal: a line per snapshot, then the heat map and what was touched."""
    done = damond(*SYNTHETIC)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^\d\d:\d\d:\d\d .*working set", done.stdout, re.MULTILINE)) >= 3
    assert "accessed in % of samples" in done.stdout
    assert re.search(r"^touched in .*\nthat is .* of 1 GiB monitored\n\Z", done.stdout, re.MULTILINE)
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


@pytest.fixture
def until(tmp_path: Path) -> Iterator[tuple[list[str], Callable[[], object]]]:
    """A command that greets, waits for the call of the function that comes with it, and exits with status 3."""
    fifo = tmp_path / "until"
    os.mkfifo(fifo)
    code = f"print('hello from the command', flush=True); open({str(fifo)!r}).read(1); raise SystemExit(3)"
    fd = os.open(fifo, os.O_RDWR)  # held open: what is written waits for its reader, whoever comes first
    yield [sys.executable, "-c", code], lambda: os.write(fd, b"x")
    os.close(fd)


@pytest.mark.parametrize(
    ("longest_us", "sample", "aggr", "bounds"),
    [
        pytest.param(None, None, None, (5_000, 50_000), id="a second by default"),
        pytest.param(400_000, None, None, (5_000, 20_000), id="as asked"),
        pytest.param(0, None, None, None, id="off"),
        pytest.param(None, 5_000, None, None, id="a sampling interval was asked for"),
        pytest.param(None, None, 150_000, None, id="an aggregation interval was asked for"),
        pytest.param(300_000, 5_000, 50_000, (5_000, 30_000), id="both"),
        pytest.param(1_000_000, 1_000, None, (1_000, 50_000), id="faster than usual"),
        pytest.param(1_000_000, 200_000, None, (5_000, 200_000), id="slower than the longest"),
    ],
)
def test_goal(longest_us: int | None, sample: int | None, aggr: int | None, bounds: tuple[int, int] | None) -> None:
    """Intervals are tuned for a picture that somebody waits for, unless they were asked for."""
    goal = goal_of(longest_us, sample, aggr)
    assert (goal and (goal["min_sample_us"], goal["max_sample_us"])) == bounds


def test_autotune_and_budget() -> None:
    """Both reach the worker: intervals leave 5 ms, and the budget is told in every snapshot."""
    done = damond(*SYNTHETIC, "--json", "--autotune", "1s", "--max-cpu", "2%", "-O", "size=64GiB")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(row["budget"]["max_cpu"] == 0.02 for row in rows)
    assert any(row["sample_us"] > 5_000 for row in rows)
    done = damond(*SYNTHETIC, "--autotune", "never")
    assert (done.returncode, "is not an interval" in done.stderr) == (64, True)
    done = damond(*SYNTHETIC, "--max-cpu", "2")
    assert (done.returncode, "percent sign" in done.stderr) == (64, True)


@pytest.mark.parametrize("output", [["--json"], []], ids=["json", "plain"])
def test_command_ends_by_itself(until: tuple[list[str], Callable[[], object]], output: Sequence[str]) -> None:
    """The command's status becomes ours, its output does not mix with JSON, and the end is not an error."""
    command, end = until
    line = [*DAMOND, "monitor", *output, "-O", "source=referenced", "--", *command]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = next(row for row in process.stdout if "vaddr" in row or "working set" in row)
        end()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    if output:
        assert all(json.loads(row)["primitive"] == "vaddr" for row in [first, *out.splitlines()])
        assert "hello from the command" in err
    else:
        assert "hello from the command" not in err
        assert "touched" in out


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
        pytest.param(("4194304",), 66, "no process 4194304", id="no such pid"),
        pytest.param(("4194305",), 64, "'4194305' is no pid, a number from 1 to 4194304", id="too large a pid"),
        pytest.param(("web",), 64, "'web' is no pid", id="a name for a pid"),
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
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["damond", "hint"]


def test_pid_that_exits_while_starting() -> None:
    """A process that is gone before it could be looked at is told as such."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
        done = damond("monitor", str(process.pid))
    assert done.returncode == os.EX_NOINPUT
    assert str(process.pid) in done.stderr


def _heat_labels(text: str) -> list[int]:
    return [int(label, 16) for label in re.findall(r"^([0-9a-f]{12}) ", text, re.MULTILINE)]


def test_whole_draws_all_addresses() -> None:
    """From the first address to the last, not just where it was hot."""
    args = ("-O", "preset=five_tracks", "-O", "seed=1")
    hottest, whole = damond(*SYNTHETIC, *args), damond(*SYNTHETIC, *args, "--whole")
    assert "all 1 GiB of 1 GiB monitored" in whole.stdout
    assert max(_heat_labels(whole.stdout)) > 0.9 * (1 << 30)
    assert max(_heat_labels(hottest.stdout)) < 0.9 * (1 << 30)
    assert "less accessed, not drawn" in hottest.stdout


def test_holes_are_not_counted_and_memory_has_names() -> None:
    """Of a process what is mapped counts; the demo's areas are named, and the hole below its heap is a gap."""
    done = damond("monitor", "--for", "4s", "--whole", "-O", "source=referenced", "--primitive", "vaddr", "--", *DEMO)
    assert done.returncode == 0, done.stderr
    assert re.search(r"--- [\d.]+ [MG]iB not mapped ---", done.stdout)
    assert re.search(r"^[0-9a-f]{12} area \d+ ", done.stdout, re.MULTILINE)
    (total,) = re.findall(r"that is .* of ([\d.]+) MiB mapped", done.stdout)
    assert 64 < float(total) < 128


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=["SIGTERM", "Ctrl-C", "SIGHUP"])
def test_a_signal_gives_the_terminal_back(terminal: Callable[..., Any], signum: signal.Signals) -> None:
    """The live picture goes, the heat map and the last line stay, the command has ended, and that is success."""
    monitor = terminal("monitor", "--primitive", "vaddr", "-O", "source=referenced", "--", *DEMO)
    monitor.wait_for("lukewarm area")
    children = psutil.Process(monitor.process.pid).children()
    assert monitor.end(signum) == 0
    assert monitor.is_as_it_was()
    behind = monitor.text.rpartition("\x1b[?1049l")[2]
    assert "note: source referenced" in behind
    assert behind.rstrip().splitlines()[-1].startswith("that is ")
    assert not any(child.is_running() for child in children)


def test_a_target_that_ends_gives_the_terminal_back(
    terminal: Callable[..., Any], until: tuple[list[str], Callable[[], object]]
) -> None:
    """The end of what is watched is the end of the live picture, and no error; its status is ours."""
    command, end = until
    monitor = terminal("monitor", "-O", "source=referenced", "--", *command)
    monitor.wait_for("working set")
    end()
    assert monitor.wait_ended() == 3
    assert monitor.is_as_it_was()
    behind = monitor.text.rpartition("\x1b[?1049l")[2].rstrip().splitlines()
    assert behind[-2].startswith("that is ")
    assert behind[-1] == "hello from the command"


def test_an_error_gives_the_terminal_back(terminal: Callable[..., Any]) -> None:
    """A worker that dies ends the live picture with what is known, an error and a hint."""
    monitor = terminal("monitor", "--primitive", "synthetic")
    monitor.wait_for("of 1 GiB")
    (worker,) = [each for each in psutil.Process(monitor.process.pid).children(recursive=True) if each.children() == []]
    worker.kill()
    assert monitor.wait_ended() == os.EX_SOFTWARE
    assert monitor.is_as_it_was()
    behind = monitor.text.rpartition("\x1b[?1049l")[2]
    assert "damond: error: the worker ended without a word: killed by SIGKILL" in behind
    assert "hint: " in behind


SHELL = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # as any shell: it takes the terminal from its job
job = subprocess.Popen(sys.argv[1:], process_group=0)
os.tcsetpgrp(0, job.pid)
assert os.WIFSTOPPED(os.waitpid(job.pid, os.WUNTRACED)[1])
os.tcsetpgrp(0, os.getpgrp())
print("the job is stopped", flush=True)
sys.stdin.readline()
os.tcsetpgrp(0, job.pid)
os.kill(job.pid, signal.SIGCONT)
status = os.waitstatus_to_exitcode(os.waitpid(job.pid, 0)[1])
os.tcsetpgrp(0, os.getpgrp())
sys.exit(status)
"""


def test_ctrl_z_gives_the_terminal_to_the_shell(terminal: Callable[..., Any]) -> None:
    """A job that is stopped has left its screen; when it goes on it draws again, and ends as ever."""
    line = ("monitor", "--primitive", "synthetic")
    monitor = terminal(*line, begin=[sys.executable, "-c", SHELL, *DAMOND])
    monitor.wait_for("of 1 GiB")
    monitor.press("\x1a")
    monitor.wait_for("the job is stopped")
    before, _, behind = monitor.text.partition("\x1b[?1049l")
    assert before.count("\x1b[?1049h") == 1
    assert "the job is stopped" in behind
    assert monitor.text.rindex("\x1b[?25h") > monitor.text.rindex("\x1b[?25l")
    monitor.text = ""
    monitor.press("\n")
    monitor.wait_for("of 1 GiB")
    monitor.press("\x03")
    assert monitor.wait_ended() == 0
    assert monitor.is_as_it_was()
    assert monitor.text.rstrip().splitlines()[-1].startswith("that is ")


def test_a_terminal_that_is_gone(terminal: Callable[..., Any]) -> None:
    """A window that is closed (SIGHUP, and nothing can be written any more) ends all of it, command included."""
    monitor = terminal("monitor", "-O", "source=referenced", "--", *DEMO)
    monitor.wait_for("working set")
    started = psutil.Process(monitor.process.pid).children(recursive=True)
    assert len(started) >= 2  # the command and the launcher, and its worker
    monitor.hang_up()
    monitor.process.wait(30)
    assert psutil.wait_procs(started, timeout=30)[1] == []


@pytest.mark.parametrize(
    ("code", "how"),
    [("raise SystemExit(3)", "its exit status is 3"), ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL")],
    ids=["exits", "is killed"],
)
def test_a_command_that_ends_at_once(code: str, how: str) -> None:
    """It can't be monitored: that is said, with how it ended, in place of an empty picture."""
    done = damond("monitor", "-O", "source=referenced", "--", sys.executable, "-S", "-c", code)
    assert (done.returncode, done.stdout) == (os.EX_NOINPUT, "")
    assert f"ended before it could be monitored: {how}\nhint: " in done.stderr


def test_output_that_cannot_be_written() -> None:
    """A full disk is an error with a status of its own, not a traceback."""
    line = [*DAMOND, *SYNTHETIC, "--json"]
    with open("/dev/full", "w") as full:  # noqa: PTH123 - no file
        done = subprocess.run(line, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == os.EX_IOERR
    assert done.stderr == (
        "damond: error: the output can't be written: No space left on device\nhint: make room, or send it elsewhere\n"
    )


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs another user: run it as root, with setpriv (util-linux) installed",
)
def test_another_users_process_without_privilege() -> None:
    """A user who may not look gets one error, what would help, and no note about what would have been."""
    # Nobody, who may read files all the same: the interpreter may be in root's home.
    nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search"]
    line = ["setpriv", *nobody, "--ambient-caps=+dac_read_search", *DAMOND, "monitor", "--primitive", "vaddr"]
    line += ["-O", "source=referenced", str(os.getpid())]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == os.EX_NOPERM, done.stderr
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["damond", "hint"]


def test_a_command_does_not_outlive_its_monitor() -> None:
    """Even where that is killed, and can't end it."""
    line = [*DAMOND, "monitor", "--json", "-O", "source=referenced", "--", "sleep", "600"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as monitor:
        mine = psutil.Process(monitor.pid)
        wait(lambda: any(each.name() == "sleep" for each in mine.children()))
        (sleeper,) = [each for each in mine.children() if each.name() == "sleep"]
        monitor.kill()
        monitor.communicate(timeout=30)
    psutil.wait_procs([sleeper], timeout=30)
    assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
