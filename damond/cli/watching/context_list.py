"""The contexts, a row each: state, working set, cost, losses."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from rich.style import Style
from rich.text import Text
from textual.message import Message

from damond.cli import table
from damond.cli.table import Column
from damond.cli.watching.contexts import DELIVERING, Row
from damond.cli.watching.panel import BOLD, DIM, WARNING, style_of
from damond.cli.watching.rolling import Rolling
from damond.cli.watching.view import View
from damond.cli.words import per_second, share_of
from damond.units import NSEC_PER_USEC, format_size

_COLUMNS: Final = (
    Column(" context"),
    Column("state"),
    Column("WSS", right=True),
    Column("CPU", right=True, rank=1),
    Column("missed", right=True, rank=2),
    Column("of", right=True, rank=3),
    Column("regions", right=True, rank=5),
    Column("checks/s", right=True, rank=4),
    Column("skipped", right=True, rank=6),
    Column("primitive", rank=7),
)

_AT_CURSOR: Final = Style(bold=True, reverse=True)


def _accessed(row: Row) -> int:
    return row.newest.accessed_bytes if row.newest else 0


def _cpu(row: Row) -> float:
    found = row.newest
    return share_of(found.cpu_us * NSEC_PER_USEC, found.end_ns - found.start_ns) if found else 0.0


_SORTS: Final[Mapping[str, Callable[[Row], float | str]]] = {
    "name": lambda row: row.name,
    "state": lambda row: row.state,
    "WSS": lambda row: -_accessed(row),
    "CPU": lambda row: -_cpu(row),
    "missed": lambda row: -row.missed,
}


class ContextList(Rolling):
    """All contexts; the one at the cursor is shown in the other panels."""

    class Chosen(Message):
        """The cursor is at another context.

        Attributes:
            name: Which.
        """

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, view: View) -> None:
        super().__init__(view, tuple(_SORTS), "contexts")
        self._at = ""

    def count(self) -> int:
        """Tell how many contexts there are."""
        return len(self.view.contexts.rows)

    def choose(self, name: str) -> None:
        """Move the cursor to a context."""
        self._at = name
        self.draw()

    def action_move(self, by: int) -> None:
        """Choose another context."""
        names = [each.name for each in self._sorted()]
        at = names.index(self._at) if self._at in names else 0
        if names and names[at := min(max(at + by, 0), len(names) - 1)] != self._at:
            self.choose(names[at])
            self.post_message(self.Chosen(self._at))

    def lines(self, width: int, height: int) -> Iterator[Text]:
        """Make the lines; called by the panel."""
        self._follow()
        yield from self.title("CONTEXTS", width)
        rows = self._sorted()
        head, *cells = table.lines(_COLUMNS, [self._cells(each) for each in rows], width)
        yield head
        for number in self.window(height - 2):
            if number == self.cursor:
                cells[number].stylize(_AT_CURSOR if self.has_focus else BOLD)
            yield cells[number]

    def _follow(self) -> None:
        """Keep the cursor at its context, wherever that is now."""
        names = [each.name for each in self._sorted()]
        self.cursor = names.index(self._at) if self._at in names else 0

    def _sorted(self) -> list[Row]:
        key = _SORTS[self.sorted_by]
        rows = sorted(self.view.contexts.rows.values(), key=lambda row: row.name)
        return sorted(rows, key=key, reverse=self._is_reversed)

    def _cells(self, row: Row) -> list[Text]:
        word, found = self.view.contexts.condition(row), row.newest
        style = style_of(word)
        name = Text(f"{'>' if row.name == self._at else ' '}{row.name}")
        if found is None:
            return [name, Text(word, style), *(Text() for _ in _COLUMNS[2:-1]), Text(row.primitive)]
        old = "" if word in DELIVERING else DIM
        return [
            name,
            Text(word, style),
            Text(format_size(found.accessed_bytes), old),
            Text(f"{100 * _cpu(row):.1f} %", old),
            Text(f"{row.missed:,}", WARNING if row.missed else ""),
            Text(format_size(found.total_bytes), old),
            Text(f"{found.nr_regions:,}", old),
            Text(f"{per_second(found.checks, found.end_ns - found.start_ns):,.0f}", old),
            Text(f"{row.skipped:,}", old),
            Text(row.primitive, old),
        ]
