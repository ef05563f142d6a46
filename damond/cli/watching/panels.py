"""All panels together: where each is, and when it is drawn."""

import time
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.widget import Widget

from damond.cli.watching.arrangement import Arrangement, arrange
from damond.cli.watching.context_list import ContextList
from damond.cli.watching.facts import Facts
from damond.cli.watching.footer import Footer
from damond.cli.watching.heading import Heading
from damond.cli.watching.heat import Heat
from damond.cli.watching.idle import Idle
from damond.cli.watching.pace import Pace
from damond.cli.watching.regions import Regions
from damond.cli.watching.view import View
from damond.cli.watching.working_set import WorkingSet

TABLES_EVERY_S: Final = 1.0
"""Least time between two pictures of the tables: numbers that change faster can't be read."""


class Panels(Vertical):
    """The whole screen.

    Attributes:
        heading: The first line.
        contexts: The list at the left.
        heat: The heat map.
        regions: The table of regions.
    """

    DEFAULT_CSS: ClassVar[str] = """
    Heading, Footer { height: 1; width: 100%; }
    #contexts { margin-right: 1; }
    #right { height: 100%; width: 1fr; }
    #bottom { width: 100%; }
    #idle { margin-left: 1; }
    """

    def __init__(self, view: View, pace: Pace) -> None:
        super().__init__()
        self._view = view
        self.heading = Heading(view, pace)
        self.contexts = ContextList(view)
        self.heat = Heat(view)
        self.regions = Regions(view)
        self._facts, self._working_set, self._idle, self._footer = (
            Facts(view),
            WorkingSet(view),
            Idle(view),
            Footer(view),
        )
        self._bottom = Horizontal(self.regions, self._idle, id="bottom")
        self._right = Vertical(self._facts, self.heat, self._working_set, self._bottom, id="right")
        self._tables_due_s = 0.0
        self._was_empty = True

    def compose(self) -> ComposeResult:
        """Put the panels in; called by Textual."""
        yield self.heading
        yield Horizontal(self.contexts, self._right)
        yield self._footer

    def draw(self, *, everything: bool = False) -> None:
        """Draw what is due; everything, if what is shown is another thing than before."""
        everything = everything or (self._was_empty and self._view.moment is not None)
        self._was_empty = self._view.moment is None
        self.heading.draw()
        tables = everything or time.monotonic() >= self._tables_due_s
        if tables:
            self._tables_due_s = time.monotonic() + TABLES_EVERY_S
            self.contexts.draw()
        if self._view.frozen is not None and not everything:
            return
        for panel in (self.heat, self._working_set, *((self._facts, self.regions, self._idle) if tables else ())):
            panel.draw()

    def tables_are_due(self) -> bool:
        """Say whether the next picture has the tables in it."""
        return time.monotonic() >= self._tables_due_s

    def share_out(self, size: Size) -> None:
        """Share out a screen."""
        found = arrange(size.width, size.height - 2, self._view.shape)
        _give(self.contexts, width=found.contexts)
        self._right.display = found.contexts >= 0
        self._arrange_right(found)
        if not any(each.has_focus and each.display for each in (self.contexts, self.regions)):
            (self.regions if found.regions and not found.contexts else self.contexts).focus()

    def _arrange_right(self, found: Arrangement) -> None:
        _give(self._facts, height=found.facts)
        _give(self.heat, height=-1 if found.heat else 0)
        _give(self._working_set, height=found.working_set)
        _give(self._bottom, height=found.bottom)
        _give(self.regions, width=-1 if found.regions else 0)
        _give(self._idle, width=found.idle)


def _give(panel: Widget, *, width: int = -1, height: int = -1) -> None:
    """Give a panel its room; none hides it, below 0 is all that is left."""
    panel.display = width != 0 and height != 0
    panel.styles.width = "1fr" if width < 0 else width
    panel.styles.height = "1fr" if height < 0 else height
