import contextlib
import io
from collections.abc import Callable

import pytest
from rich.console import Console

from damond.cli.live import REDRAW_EVERY_S, LiveView, PlainView, open_view
from damond.core import Snapshot
from tests.conftest import SnapshotOf

ALTERNATE_ON, ALTERNATE_OFF = "\x1b[?1049h", "\x1b[?1049l"
CURSOR_OFF, CURSOR_ON = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def window(snapshot_of: SnapshotOf) -> Callable[..., Snapshot]:
    """Make a window of a page that was accessed in so many of 20 samples; all of them, if nothing is said."""
    return lambda nr_accesses=20: snapshot_of([(4096, 8192, nr_accesses)], end_ns=100_000_000)


class _Clock:
    """Seconds that pass when told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _terminal(width: int = 80) -> Console:
    return Console(file=io.StringIO(), width=width, height=24, force_terminal=True, color_system="256", _environ={})


def _written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("ending", [None, RuntimeError, KeyboardInterrupt], ids=["done", "an error", "Ctrl-C"])
def test_the_terminal_is_given_back(window: Callable[..., Snapshot], ending: type[BaseException] | None) -> None:
    """However the view is left, screen and cursor are as they were."""
    console = _terminal()
    with contextlib.suppress(RuntimeError, KeyboardInterrupt), LiveView(console) as view:
        view.show(window())
        if ending is not None:
            raise ending
    text = _written(console)
    assert text.count(ALTERNATE_ON) == text.count(ALTERNATE_OFF) == 1
    assert text.rindex(CURSOR_ON) > text.rindex(CURSOR_OFF)
    assert text.index(ALTERNATE_ON) < text.index("working set") < text.index(ALTERNATE_OFF)


def test_it_is_drawn_no_more_often_than_anybody_reads(window: Callable[..., Snapshot]) -> None:
    """Snapshots in between are passed over; the next one after the pause is drawn."""
    clock, console = _Clock(), _terminal()
    with LiveView(console, now=clock) as view:
        for nr_accesses in (20, 15, 10):
            view.show(window(nr_accesses))
        clock.now_s += REDRAW_EVERY_S
        view.show(window(5))
    text = _written(console)
    assert [share in text for share in ("100 %", "75 %", "50 %", "25 %")] == [True, False, False, True]


def test_it_follows_the_size_of_the_terminal(window: Callable[..., Snapshot]) -> None:
    """After a resize the next picture fits the new width."""
    clock, console = _Clock(), _terminal()
    with LiveView(console, now=clock) as view:
        view.show(window())
        console.width = 40
        clock.now_s += REDRAW_EVERY_S
        before = len(_written(console))
        view.show(window())
        assert "accessed in % of samples" not in _written(console)[before:]


def test_without_a_terminal_there_is_one_line_each(window: Callable[..., Snapshot]) -> None:
    """A pipe gets plain lines, never wrapped, and no escape sequence."""
    console = Console(file=io.StringIO(), width=20)
    with open_view(console, title="unused") as view:
        assert isinstance(view, PlainView)
        view.show(window())
        view.show(window())
    lines = _written(console).splitlines()
    assert len(lines) == 2
    assert all("working set" in line and "\x1b" not in line for line in lines)


def test_a_terminal_that_can_not_move_the_cursor_gets_lines() -> None:
    """TERM=dumb has no alternate screen."""
    dumb = Console(file=io.StringIO(), width=80, force_terminal=True, _environ={"TERM": "dumb"})
    assert isinstance(open_view(dumb), PlainView)
    assert isinstance(open_view(_terminal()), LiveView)


def test_what_is_told_is_drawn_at_once_and_gone_with_the_nextwindow(window: Callable[..., Snapshot]) -> None:
    """A service that went away is said above the last picture without delay, and not when there is news again."""
    clock, console = _Clock(), _terminal()
    with LiveView(console, title="web", now=clock) as view:
        view.tell("", "nothing yet")
        view.show(window())
        before = len(_written(console))
        view.tell("", "the service is gone")
        told = _written(console)[before:]
        clock.now_s += REDRAW_EVERY_S
        before = len(_written(console))
        view.show(window())
        after = _written(console)[before:]
    assert "nothing yet" in _written(console)
    assert "the service is gone" in told
    assert "working set" in told
    assert "the service is gone" not in after


def test_without_a_terminal_what_is_told_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """About a context it is part of the results, about the service it is not; nothing to tell is no line."""
    console = Console(file=io.StringIO(), width=20)
    with open_view(console) as view:
        view.tell("web", "stopped (requested)")
        view.tell("", "the service is gone")
        view.tell("", "")
    assert _written(console).endswith("  web  stopped (requested)\n")
    assert capsys.readouterr().err == "damond: note: the service is gone\n"
