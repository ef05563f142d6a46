"""`damond report TYPE live`: what a running service still has, as a person and as a program get it."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from damond.cli.report import TYPES
from damond.client import subscribe
from damond.core import Snapshot
from tests.cli.conftest import LIMIT_S, Service

MIB = 1024 * 1024
CONFIG = """\
[service]
max_cpu = "off"
[defaults]
intervals_goal = "off"
max_cpu = "off"
policy = "kernel"
[context.web]
primitive = "synthetic"
sample_interval = "5ms"
aggr_interval = "50ms"
options = { size = "128M", tracks = [{ start = "40M", size = "20M" }] }
[context.idle]
primitive = "synthetic"
autostart = false
"""
NR_WINDOWS = 40
WEB = ("live", "--context", "web")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that keeps some windows of the context ``web``; ``idle`` was never started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RUNTIME_DIRECTORY", raising=False)
        service = Service(tmp_path_factory.mktemp("live"), CONFIG)
        try:
            service.start()
            _wait_for_windows(service)
            yield service
        finally:
            service.stop()


def _wait_for_windows(service: Service) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    nr_windows = 0
    for snapshot in subscribe("web", runtime_dir=service.run_dir):
        assert time.monotonic() < deadline_s
        nr_windows += isinstance(snapshot, Snapshot)
        if nr_windows >= NR_WINDOWS:
            return


@pytest.mark.parametrize("kind", TYPES)
def test_text(served: Service, kind: str) -> None:
    """Every type tells of the running context what it is based on, in 80 columns."""
    result = served.run("report", kind, *WEB)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("web: ")
    assert "windows of 50 ms; synthetic: one check sees a 4 KiB page" in result.stdout
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("kind", TYPES)
def test_json(served: Service, kind: str) -> None:
    """A program gets the same as of a record, up to now."""
    before_ns = time.time_ns()
    result = served.run("report", kind, *WEB, "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["schema"], found["report"]) == (1, kind)
    coverage = (found["after"] if kind == "diff" else found)["coverage"]
    assert (coverage["context"], coverage["primitive"]) == ("web", "synthetic")
    halves = [found[each]["coverage"]["nr_windows"] for each in ("before", "after")] if kind == "diff" else []
    assert sum(halves or [coverage["nr_windows"]]) >= NR_WINDOWS
    assert before_ns - LIMIT_S * 10**9 < coverage["last_ns"] < time.time_ns()
    assert coverage["confidence"]["smallest_found_bytes"] > 0


def test_what_is_hot_now(served: Service) -> None:
    """The hottest piece is the 20 MiB that are accessed all the time; what is around it was never."""
    (hottest, *_), coldest = (
        json.loads(served.run("report", kind, *WEB, "--json").stdout)["pieces"] for kind in ("hot", "cold")
    )
    assert hottest["heat"] > 0.9
    assert abs(hottest["start"] - 40 * MIB) < 2 * MIB
    assert abs(hottest["size"] - 20 * MIB) < 4 * MIB
    assert coldest[0]["idle_ns"] is None


def test_a_picture(served: Service, tmp_path: Path) -> None:
    """It is drawn into a file as of a record."""
    result = served.run("report", "heatmap", *WEB, "--png", str(tmp_path / "a.png"))
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_the_last_seconds_only(served: Service) -> None:
    """--from counts back from the newest window; the rest of what the service has is left out."""
    some, whole = (
        json.loads(served.run("report", "wss", *WEB, *span, "--json").stdout)["coverage"]
        for span in (("--from", "-3s"), ())
    )
    assert some["last_ns"] - some["first_ns"] <= 3 * 10**9
    assert 1 < some["nr_windows"] < whole["nr_windows"]


@pytest.mark.parametrize(
    ("args", "status", "words", "hint"),
    [
        (("live",), 64, "the service has 2 contexts", "--context: idle, web"),
        (("live", "--context", "wbe"), 64, "wbe", "web"),
        (("live", "--context", "idle"), 66, "idle has delivered nothing yet", "damond status"),
        ((*WEB, "--from", "-1s", "--to", "-2s"), 64, "before it begins", "there is something from"),
        ((*WEB, "--to", "2001-01-01T00:00"), 66, "nothing before 2001-01-01 00:00:00", "there is something from"),
    ],
    ids=["which context", "no such context", "not started", "an empty span", "before it began"],
)
def test_what_can_not_be_reported(served: Service, args: tuple[str, ...], status: int, words: str, hint: str) -> None:
    """It is said what is in the way and what to do, in the same words for one context and for two spans of it."""
    for kind in ("wss", "diff"):
        result = served.run("report", kind, *args)
        assert result.stdout == ""
        assert words in result.stderr, kind
        assert hint in result.stderr, kind
        assert result.returncode == status, kind


def test_no_context_at_all(serve: Callable[..., Service]) -> None:
    """A service without contexts has nothing to report, and it is said how to start one."""
    service = serve('[service]\nmax_cpu = "off"\n')
    result = service.run("report", "wss", "live")
    assert (result.returncode, result.stdout) == (66, "")
    assert "the service has no contexts" in result.stderr


def test_no_service(tmp_path: Path) -> None:
    """Where none runs, it is said where it was looked for."""
    result = Service(tmp_path).run("report", "wss", "live")
    assert (result.returncode, result.stdout) == (69, "")
    assert str(tmp_path / "run") in result.stderr
    assert "damond serve" in result.stderr
