"""A table that may be longer than its panel: with a cursor, and sorted by one of several keys."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, Final

from rich.text import Text
from textual.binding import Binding, BindingType

from damond.cli.watching.panel import FOCUSED, TITLE, Panel
from damond.cli.watching.view import View

_PAGE: Final = 10

_MANY: Final = 1 << 31


class Rolling(Panel, can_focus=True):
    """Shows the rows around the cursor.

    Args:
        view: As for any panel.
        sorts: Names of the orders that rows can have.

    Attributes:
        cursor: Number of the row that it is at.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)"),
        Binding("down,j", "move(1)"),
        Binding("pageup", f"move(-{_PAGE})"),
        Binding("pagedown", f"move({_PAGE})"),
        Binding("home,g", f"move(-{_MANY})"),
        Binding("end,G", f"move({_MANY})"),
    ]

    def __init__(self, view: View, sorts: Sequence[str], name: str) -> None:
        super().__init__(view, name)
        self.cursor = 0
        self._first = 0
        self._sorts = sorts
        self._sort = 0
        self._is_reversed = False

    @property
    def sorted_by(self) -> str:
        """The order that rows have."""
        return self._sorts[self._sort]

    def count(self) -> int:
        """Tell how many rows there are."""
        raise NotImplementedError

    def sort(self) -> None:
        """Take the next order."""
        self._sort, self._is_reversed = (self._sort + 1) % len(self._sorts), False
        self.draw()

    def reverse(self) -> None:
        """Turn the order around."""
        self._is_reversed = not self._is_reversed
        self.draw()

    def action_move(self, by: int) -> None:
        """Move the cursor by so many rows, as far as there are any."""
        self.cursor = min(max(self.cursor + by, 0), max(self.count() - 1, 0))
        self.draw()

    def window(self, height: int) -> range:
        """Choose the rows that are shown: the cursor is among them."""
        count = self.count()
        self.cursor = min(self.cursor, max(count - 1, 0))
        least, most = self.cursor - height + 1, self.cursor
        self._first = min(max(self._first, least, 0), most, max(count - height, 0))
        return range(self._first, min(self._first + height, count))

    def title(self, words: str, width: int) -> Iterator[Text]:
        """Make the headline: it says whether keys come here, the order, and where the cursor is."""
        order = f"by {self.sorted_by}{', reversed' if self._is_reversed else ''}"
        place = f"{self.cursor + 1 if self.count() else 0}/{self.count()}"
        text = f"{words} {order}"
        text = f"{text[: max(width - len(place) - 1, 0)]:<{max(width - len(place) - 1, 0)}} {place}"
        yield Text(text, FOCUSED if self.has_focus else TITLE)

    def on_focus(self) -> None:
        """Show that keys come here; called by Textual."""
        self.draw()

    def on_blur(self) -> None:
        """Show that keys go elsewhere; called by Textual."""
        self.draw()
