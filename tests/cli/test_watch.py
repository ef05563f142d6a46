"""`damond watch` and `damond status` against a real service."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any

import pytest

DAMOND = [sys.executable, "-m", "damond"]


def _rows(lines: "SimpleQueue[str]") -> Iterator[dict[str, Any]]:
    while True:
        yield json.loads(lines.get(timeout=30))


def test_a_service_that_goes_away_is_waited_for(service: Any) -> None:
    """It is said on standard error, once, and what is published after its return is read; SIGTERM is a clean end."""
    line = [*DAMOND, "watch", "one", "--json", *service.args]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        rows: SimpleQueue[str] = SimpleQueue()
        reading = Thread(target=lambda: [rows.put(row) for row in watch.stdout or ()])  # a full pipe would stop it
        reading.start()
        before = json.loads(rows.get(timeout=30))
        service.stop()
        note = watch.stderr.readline()
        service.start()
        after = next(row for row in _rows(rows) if row["epoch"] != before["epoch"])
        watch.send_signal(signal.SIGTERM)
        errors = watch.stderr.read()
        watch.wait(30)
        reading.join(30)
    assert note == "damond: note: the service is gone; waiting for it to come back (Ctrl-C ends)\n"
    assert (after["context"], after["schema"]) == ("one", 1)
    assert {name: type(before[name]) for name in ("epoch", "seq", "missed", "restarted")} == {
        "epoch": int, "seq": int, "missed": int, "restarted": bool,
    }  # fmt: skip
    assert after["epoch"] > before["epoch"]
    assert after["start_ns"] > before["end_ns"]
    assert errors.strip() == ""
    while not rows.empty():
        assert json.loads(rows.get())["context"] == "one"
    assert watch.returncode == 0


@pytest.mark.parametrize(
    "ending",
    ["q", "\x03", signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
    ids=["q", "Ctrl-C", "SIGINT", "SIGTERM", "SIGHUP"],
)
def test_the_terminal_is_given_back(service: Any, terminal: Callable[..., Any], ending: str | signal.Signals) -> None:
    """However the view is left, the terminal is as it was, and that is a clean end."""
    watch = terminal("watch", "one", *service.args)
    watch.wait_for("HEAT MAP")
    if isinstance(ending, str):
        watch.press(ending)
        assert watch.end() == 0
    else:
        assert watch.end(ending) == 0
    assert watch.is_as_it_was()


def test_the_terminal_is_given_back_after_a_mistake(service: Any, terminal: Callable[..., Any]) -> None:
    """A bug of ours ends the view with a traceback on the screen that was there before, and a status that says so."""
    code = (
        "import sys\n"
        "from damond.cli import main\n"
        "from damond.cli.watching.heat import Heat\n"
        "Heat.lines = lambda self, width, height: [1 / 0]\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    watch = terminal("watch", "one", *service.args, begin=[sys.executable, "-c", code])
    assert watch.end() == os.EX_SOFTWARE
    assert watch.is_as_it_was()
    assert "ZeroDivisionError" in watch.text[watch.text.rindex("\x1b[?1049l") :]


def test_a_stranger_sees_all_contexts(service: Any, terminal: Callable[..., Any]) -> None:
    """Without NAME: every context with its state in the list, and the first that runs in the panels."""
    watch = terminal("watch", *service.args)
    for words in ("2 running", "1 failed", "1 stopped", ">one", "of 1 GiB"):
        watch.wait_for(words)
    assert watch.end(signal.SIGTERM) == 0


def test_without_a_terminal_each_message_is_a_line(service: Any) -> None:
    """Context, time and what happened; a stop is a line like any other."""
    line = [*DAMOND, "watch", *service.args]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        next(row for row in watch.stdout if "  two  working set" in row)
        assert service.run("stop", "two").returncode == 0
        stopped = next(row for row in watch.stdout if "  two  stopped" in row)
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=30)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  two  stopped \(requested\)\n", stopped)


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [("on", os.EX_USAGE, "did you mean 'one'"), ("no name", os.EX_USAGE, "name")],
    ids=["unknown", "no name"],
)
def test_watch_refuses(service: Any, name: str, status: int, words: str) -> None:
    """A context that does not exist is no reason to wait."""
    done = service.run("watch", name)
    assert done.returncode == status
    assert words in done.stderr


def test_status_says_how_all_are(service: Any) -> None:
    """Running, failed and stopped contexts, why, and what would help."""
    with subprocess.Popen([*DAMOND, "watch", "one", "--json", *service.args], stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        watch.stdout.readline()
        watch.terminate()
    done = service.run("status")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "2 of 4 contexts run" in lines[0]
    head = next(number for number, line in enumerate(lines) if line.startswith("context "))
    rows = {line.split()[0]: line.split()[1] for line in lines[head + 1 : head + 5]}
    assert rows == {"gone": "failed", "never": "stopped", "one": "running", "two": "running"}
    assert any(line.startswith("gone: ") and "4194304" in line for line in lines)
    assert "never: stopped (never started); 'damond start never' starts it" in lines


def test_status_fits_the_terminal(service: Any, terminal: Callable[..., Any]) -> None:
    """No line of the table is wider than 80 columns: columns are left out before."""
    status = terminal("status", *service.args)
    status.wait_for("'damond start never' starts it")
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", row) for row in status.text.splitlines()]
    assert max(map(len, rows)) <= 80


def test_shutdown_ends_it(service: Any) -> None:
    """Afterwards nobody answers, and that is an error of its own with what would help."""
    assert service.run("shutdown").stdout == "the supervisor ends\n"
    service.stop()
    done = service.run("status")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "damond serve" in done.stderr
