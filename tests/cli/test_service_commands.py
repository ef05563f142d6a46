"""The commands that talk to a running service, as an operator types them."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from damond.cli.status import print_status

DAMOND = [sys.executable, "-m", "damond"]
LIMIT_S = 60.0

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def context(name: str, more: str = "") -> str:
    return f'[context.{name}]\nprimitive = "synthetic"\n{more}\n'


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Call commands on a service of its own; its configuration is ``tmp_path / "damond.toml"``."""
    config = tmp_path / "damond.toml"
    config.write_text(context("one") + context("two", "autostart = false"))
    runtime = tmp_path / "run"
    line = [*DAMOND, "serve", "--config", str(config), "--runtime-dir", str(runtime)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        while "serving" not in (said := service.stderr.readline()):
            assert said, "the service ended before it served"

        def call(*args: str) -> "subprocess.CompletedProcess[str]":
            env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "100"}
            command = [*DAMOND, *args, "--runtime-dir", str(runtime)]
            return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=env)

        yield call
        if not (tmp_path / "shut-down").exists():
            service.send_signal(signal.SIGTERM)
        service.stderr.read()
        assert service.wait(LIMIT_S) == 0


def test_a_day_of_an_operator(run: Run, tmp_path: Path) -> None:
    """start, status, tune, pause, resume, reload, stop, shutdown: each says what it did."""
    assert run("start", "two").stdout == "started: two\n"
    status = run("status").stdout
    assert "2 of 2 contexts run" in status
    assert re.search(r"^launcher runs as \S+ \(\w+", status, re.MULTILINE)
    given = run("tune", "two", "--sample", "10ms", "--aggr", "50ms", "--regions", "5:40")
    assert re.match(r"tuned: two; in force: sample \d.*; 5 to 40 regions\n", given.stdout)
    assert ("longer than asked for" in given.stderr) == ("sample 10 ms" not in given.stdout)
    assert "'damond status two' tells" in run("tune", "two", "--autotune", "--max-cpu", "5%").stdout
    for bound in ("0%", "5", "much"):
        refused = run("tune", "two", "--max-cpu", bound)
        assert refused.returncode == os.EX_USAGE
        assert "damond tune --help" in refused.stderr
    assert run("pause", "two").stdout == "paused: two\n"
    assert run("resume", "two").stdout == "resumed: two\n"
    (tmp_path / "damond.toml").write_text(context("two", "autostart = false") + context("three"))
    assert run("reload").stdout == "stopped: one\nstarted: three\n"
    assert run("reload").stdout == "nothing has changed\n"
    same = context("two", "autostart = false") + context("three")
    (tmp_path / "damond.toml").write_text("[service]\nmax_cpu = '2%'\n" + same)
    for _ in range(2):  # as long as it is so
        assert run("reload").stdout == "after a restart only: [service]\n"
    (tmp_path / "damond.toml").write_text(same)
    assert run("reload").stdout == "nothing has changed\n"
    assert run("stop", "two").stdout == "stopped: two\n"
    assert run("shutdown").stdout == "the supervisor ends\n"
    (tmp_path / "shut-down").touch()


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        pytest.param(("start", "nobody"), 64, "unknown context 'nobody'", id="unknown context"),
        pytest.param(("start", "one"), 64, "runs already", id="runs already"),
        pytest.param(("stop", "two"), 69, "not running", id="not running"),
        pytest.param(("tune", "one"), 64, "nothing to change", id="nothing to tune"),
        pytest.param(("tune", "one", "--aggr", "1ms"), 64, "aggr_interval", id="contradiction"),
        pytest.param(("tune", "one", "--add", "3"), 64, "can't change while it runs", id="targets that can't change"),
        pytest.param(("pause", "two"), 69, "never started", id="pause of nothing"),
    ],
)
def test_refused(run: Run, args: tuple[str, ...], status: int, words: str) -> None:
    """What can't be done is refused with a sysexits status, and nothing has changed."""
    done = run(*args)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["damond", "hint"]


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="needs another user: run it as root, with setpriv (util-linux) installed",
)
def test_a_stranger_is_told_so(run: Run, tmp_path: Path) -> None:
    """Who may not connect is told that, and whom it takes, with the status for permissions: the service is there."""
    assert run("status").returncode == 0
    # Nobody, who may read files all the same: the interpreter may be in root's home.
    nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+dac_read_search"]
    line = ["setpriv", *nobody, "--ambient-caps=+dac_read_search", *DAMOND, "status"]
    line += ["--runtime-dir", str(tmp_path / "run")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == os.EX_NOPERM, done.stderr
    assert "permission denied" in done.stderr
    assert "\nhint: ask as root" in done.stderr


def test_keys(tmp_path: Path) -> None:
    """Keys are made once, the secret one for its owner alone."""
    line = [*DAMOND, "keys", str(tmp_path / "keys"), "web"]
    said = [subprocess.run(line, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert said[0] == said[1]
    secret = tmp_path / "keys" / "web.key_secret"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys" / "web.key").exists()


NEWEST = {
    "nr_regions": 20,
    "accessed_bytes": 0,
    "total_bytes": 1 << 40,
    "cpu_fraction": 0.00091,
    "smallest_found_bytes": 5 << 30,
    "budget": {"max_cpu": 0.0009, "max_checks_per_s": None, "stretched": 216.2},
    "advice": {"sample_us": 370_000, "max_nr_regions": 8_000, "found_bytes": 40 << 20, "cost": 1.0},
}


def shown(**newest: object) -> str:
    file = io.StringIO()
    row = {"name": "big", "state": "running", "primitive": "vaddr", "newest": {**NEWEST, **newest}, "stderr": []}
    status = {
        "version": "1",
        "host": "h",
        "pid": 1,
        "nr_running": 1,
        "stream": "ipc://s",
        "processes": {},
        "budget": {"max_cpu": 0.01, "max_checks_per_s": None, "own_cpu": 0.0008},
        "contexts": [row],
    }
    print_status(Console(file=file, width=200), status)
    return file.getvalue()


def test_status_says_what_a_budget_does() -> None:
    """What it costs, how far a budget holds a context back, which hot areas may be missed, and what would find them."""
    text = shown()
    assert "budget 1 % of one CPU for all; supervisor and launcher use 0.08 %" in text
    assert "0.091 %" in text
    assert "big: its budget of 0.09 % of a CPU makes samples 216 times rarer" in text
    assert (
        "big: hot areas below 5 GiB may be missed; sampling every 370 ms with up to 8000 regions would find 40 MiB, "
        "for the same cost" in text
    )
    calm = shown(smallest_found_bytes=5 << 20, budget=None)
    assert "missed" not in calm
    assert "longer" not in calm
    assert "hot areas may be missed" in shown(smallest_found_bytes=None)
