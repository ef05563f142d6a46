"""Whoever waits for a report sees how far it is; whoever does not, sees nothing."""

import io
import itertools
from collections.abc import Callable, Iterator

import pytest
from rich.console import Console

from damond.cli import output
from damond.cli.report import progress
from damond.record import Block
from damond.report.subject import Subject
from tests.conftest import SnapshotOf

SECOND_NS = 1_000_000_000


@pytest.fixture
def subject(snapshot_of: SnapshotOf) -> Subject:
    """100 windows of a second, which come one by one."""
    whole = Block.of([snapshot_of([(0, 4096, 1)], each * SECOND_NS, (each + 1) * SECOND_NS) for each in range(100)])

    def read(from_ns: int, to_ns: int) -> Iterator[Block]:
        return (whole.rows(row, row + 1) for row in range(from_ns // SECOND_NS, -(-to_ns // SECOND_NS)))

    return Subject(
        context="web", host="box", primitive="vaddr", from_ns=0, to_ns=100 * SECOND_NS, nr_windows=100, read=read
    )


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[..., io.StringIO]:
    """Let standard error be a terminal, or not; what is written there."""

    def become(*, terminal: bool) -> io.StringIO:
        file = io.StringIO()
        environ = {"TERM": "xterm"}
        console = Console(file=file, width=80, force_terminal=terminal, _environ=environ)
        monkeypatch.setattr(output, "console", lambda **_: console)
        return file

    return become


def _seconds(step_s: float) -> Callable[[], float]:
    """Make a clock that goes on by so much each time it is looked at."""
    return (number * step_s for number in itertools.count()).__next__


@pytest.mark.parametrize(("step_s", "shown"), [(0.1, True), (0.001, False)], ids=["10 s", "0.1 s"])
def test_after_a_second(subject: Subject, written: Callable[..., io.StringIO], step_s: float, shown: bool) -> None:
    """Reading that takes more than a second shows its progress; less shows nothing at all. All windows come."""
    file = written(terminal=True)
    with progress.shown(subject, now=_seconds(step_s)) as (watched,):
        assert sum(map(len, watched.windows())) == 100
    assert ("reading web" in file.getvalue()) is shown
    assert ("100 %" in file.getvalue()) is shown


def test_short_looks_are_no_share_of_the_whole(subject: Subject, written: Callable[..., io.StringIO]) -> None:
    """While only some places are looked at, it is seen that something goes on, and no share is claimed."""
    file = written(terminal=True)
    with progress.shown(subject, now=_seconds(0.5)) as (watched,):
        for number in range(10):
            assert len(list(watched.read(number * 10 * SECOND_NS, (number * 10 + 1) * SECOND_NS))) == 1
    assert "reading web" in file.getvalue()
    assert "100 %" not in file.getvalue()


def test_nobody_looks(subject: Subject, written: Callable[..., io.StringIO]) -> None:
    """What goes into a file or a pipe gets no progress, however long it takes."""
    file = written(terminal=False)
    with progress.shown(subject, now=_seconds(1.0)) as (watched,):
        assert sum(map(len, watched.windows())) == 100
    assert file.getvalue() == ""
