"""Showing snapshots while they come: a picture that renews itself, or a line each where there is no terminal."""

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Final, Protocol, Self

import click
from rich.console import Console, RenderableType
from rich.live import Live

from damond.cli.picture import LivePicture, snapshot_line
from damond.cli.words import clock
from damond.core import Snapshot
from damond.core.mappings import NOTHING_MAPPED, MapsByTarget

REDRAW_EVERY_S: Final = 0.25
"""Least time between two pictures: nobody reads faster, and drawing costs more CPU than monitoring. Seconds."""


class View(Protocol):
    """Where snapshots are shown, from entering to leaving."""

    def __enter__(self) -> Self:
        """Take the terminal."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give the terminal back as it was."""

    def show(self, snapshot: Snapshot, maps: MapsByTarget = NOTHING_MAPPED) -> None:
        """Show the newest snapshot, and in it what is known to be no memory."""

    def tell(self, context: str, words: str) -> None:
        """Say what the reader has to know about a context ("" is the service); no words take it back."""


class Screen:
    """The terminal's alternate screen.

    Leaving gives the screen and the cursor back, whatever the reason, and so does Ctrl-Z until the command goes on. It
    is drawn anew for the size that the terminal has then.
    """

    def __init__(self, console: Console, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._next_s = now()
        self._live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False)

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGTSTP)
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGTSTP, self._suspend)
        self._live.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._live.stop()
        signal.signal(signal.SIGTSTP, self._before)

    def _suspend(self, *_: object) -> None:
        """Give the terminal to the shell while this process is stopped."""
        self._live.stop()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTSTP)  # returns with SIGCONT
        signal.signal(signal.SIGTSTP, self._suspend)
        self._live.start(refresh=True)

    def draw(self, picture: RenderableType, *, at_once: bool = False) -> None:
        """Draw a picture; unless at once is asked for, not if the last one is only just there."""
        if self._now() < self._next_s and not at_once:
            return
        self._live.update(picture, refresh=True)
        self._next_s = self._now() + REDRAW_EVERY_S


class LiveView(Screen):
    """The newest snapshot as a picture."""

    def __init__(self, console: Console, *, title: str = "", now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, now=now)
        self._title = title
        self._note = ""
        self._newest: LivePicture | None = None

    def show(self, snapshot: Snapshot, maps: MapsByTarget = NOTHING_MAPPED) -> None:
        """Draw the snapshot, unless the last picture is only just there; what was told is past now."""
        self._note = ""
        self._newest = LivePicture(snapshot, self._title, maps, self._note)
        self.draw(self._newest)

    def tell(self, context: str, words: str) -> None:  # noqa: ARG002 - there is but one
        """Put the words above the picture."""
        if words == self._note:
            return
        self._note = words
        if self._newest is not None:
            self._newest = replace(self._newest, note=words)
        self.draw(self._newest or f"{self._title}\n{words}", at_once=True)


class PlainView:
    """One line per snapshot, for pipes, files and terminals that can't move the cursor."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def show(self, snapshot: Snapshot, maps: MapsByTarget = NOTHING_MAPPED) -> None:
        """Print the line, and have it written out at once: who reads a pipe waits for it."""
        line = snapshot_line(snapshot, maps)
        lost = snapshot.origin.missed if snapshot.origin else 0
        self._console.print(f"{line}  {lost} lost" if lost else line, soft_wrap=True)
        self._console.file.flush()

    def tell(self, context: str, words: str) -> None:
        """Print it as a line; what is about the service is no part of the stream and goes to standard error."""
        if words and context:
            self._console.print(f"{clock(time.time_ns())}  {context}  {words}", soft_wrap=True)
            self._console.file.flush()
        elif words:
            click.echo(f"damond: note: {words}", err=True)


def open_view(console: Console, *, title: str = "") -> View:
    """Choose how to show snapshots on this console.

    Args:
        console: Where to.
        title: Headline of the picture, e.g. what is monitored; the context's name if empty.
    """
    if can_draw(console):
        return LiveView(console, title=title)
    return PlainView(console)


def can_draw(console: Console) -> bool:
    """Say whether the console has a screen to draw on."""
    return console.is_terminal and not console.is_dumb_terminal
