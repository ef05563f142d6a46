"""A panel: lines of text, of which only those that changed go to the terminal."""

import itertools
from collections.abc import Iterable, Iterator
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from damond.cli.watching.view import View

DIM: Final = Style(dim=True)
BOLD: Final = Style(bold=True)
PLAIN: Final = Style()
TITLE: Final = Style(bold=True)
FOCUSED: Final = Style(bold=True, reverse=True)
WARNING: Final = Style(bold=True, color="yellow")
FAILURE: Final = Style(bold=True, color="red")

_CONTROLS: Final = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "?")
"""Names of mappings and reasons come from elsewhere: they must not steer the terminal."""


class Panel(Widget):
    """Draws itself from the view, within the room it has."""

    DEFAULT_CSS: ClassVar[str] = "Panel { height: 1fr; width: 1fr; }"

    def __init__(self, view: View, name: str | None = None) -> None:
        super().__init__(id=name)
        self.view = view
        self._strips: list[Strip] = []

    def lines(self, width: int, height: int) -> Iterable[Text]:
        """Make the lines for a room; those that are too many or too long are cut off."""
        raise NotImplementedError

    def draw(self) -> None:
        """Make the lines anew."""
        width, height = self.size
        if not width or not height or not self.display:
            return
        old = self._strips
        self._strips = [self._strip(line, width) for line in itertools.islice(self.lines(width, height), height)]
        if len(old) != len(self._strips):
            self.refresh()
            return
        pairs = enumerate(zip(old, self._strips, strict=True))
        changed = [_difference(before, after, y) for y, (before, after) in pairs if before != after]
        if changed:
            self.refresh(*changed)

    def _strip(self, line: Text, width: int) -> Strip:
        line = Text().append_text(line)  # so that the style of the whole line is rendered as well
        if line.cell_len > width:
            line.truncate(width, overflow="ellipsis")
        segments = line.render(self.app.console)
        clean = [Segment(text.translate(_CONTROLS), style) for text, style, _ in segments]
        return Strip(clean).adjust_cell_length(width)

    def render_line(self, y: int) -> Strip:
        """Hand out a line; called by Textual."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)

    def on_resize(self) -> None:
        """Draw for the new room; called by Textual."""
        self._strips = []
        self.draw()


def _difference(before: Strip, after: Strip, y: int) -> Region:
    """Tell which part of a line has changed, to the segment: what is sent is most of what a view costs over a line."""
    left = sum(_equal(before, after))
    right = sum(_equal(list(before)[::-1], list(after)[::-1]))
    return Region(left, y, max(after.cell_length - left - right, 1), 1)


def _equal(before: Iterable[Segment], after: Iterable[Segment]) -> Iterator[int]:
    """Yield the lengths of the segments that both begin with."""
    for old, new in zip(before, after, strict=False):
        if old != new:
            return
        yield new.cell_length


def style_of(condition: str) -> Style:
    """Choose how the condition of a context is written."""
    return {"running": PLAIN, "failed": FAILURE}.get(condition, WARNING)
