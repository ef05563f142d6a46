"""Several contexts at a glance: a row each, renewed while snapshots come."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from damond.cli import table
from damond.cli.live import Screen
from damond.cli.picture import WARNING, bar
from damond.cli.ramp import has_colours
from damond.cli.table import Column
from damond.cli.words import clock, per_second, share_of
from damond.core import Snapshot
from damond.report.mappings import NOTHING_MAPPED, MapsByTarget
from damond.units import NSEC_PER_USEC, format_size

_BAR_WIDTH: Final = 12

_COLUMNS: Final = (
    Column("context"),
    Column("state"),
    Column("working set", rank=2),
    Column("", right=True),
    Column("regions", right=True, rank=3),
    Column("CPU", right=True, rank=1),
)


@dataclass(slots=True)
class _Row:
    """What is known of one context."""

    newest: Snapshot | None = None
    words: str = ""
    lost: int = 0


@dataclass(slots=True)
class OverviewPicture:
    """All contexts by name, what each touched in its last window, and what it costs.

    Attributes:
        rows: Name -> what is known.
        note: What concerns all of them.
    """

    rows: dict[str, _Row] = field(default_factory=dict)
    note: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw; called by rich."""
        colours = has_colours(console)
        yield Text(self._head(), "bold")
        if self.note:
            yield Text(self.note, WARNING)
        cells = [[Text(name), *_cells(self.rows[name], colours=colours)] for name in sorted(self.rows)]
        yield from table.lines(_COLUMNS, cells, options.max_width)
        yield from self.remarks()

    def _head(self) -> str:
        """Sum up what is delivered, what it costs and what was lost."""
        found = [row.newest for row in self.rows.values() if row.newest is not None and not row.words]
        rate = sum(per_second(each.checks, each.end_ns - each.start_ns) for each in found)
        lost = sum(row.lost for row in self.rows.values())
        head = f"{len(self.rows)} contexts, {len(found)} deliver, {rate:,.0f} checks/s"
        return head + (f", {lost} snapshots lost on the way" if lost else "")

    def remarks(self) -> list[Text]:
        """Say of every context that delivers nothing why."""
        told = ((name, self.rows[name].words) for name in sorted(self.rows))
        return [Text(f"{name}: {words}", overflow="ellipsis", no_wrap=True) for name, words in told if words]


def _cells(row: _Row, *, colours: bool) -> list[Text]:
    found = row.newest
    if found is None or row.words:
        state = row.words.split(maxsplit=1)[0].rstrip(";") if row.words else "nothing yet"
        return [Text(state, WARNING if row.words else "dim"), *(Text() for _ in _COLUMNS[2:])]
    accessed, total = found.accessed_bytes, found.total_bytes
    cpu = share_of(found.cpu_us * NSEC_PER_USEC, found.end_ns - found.start_ns)
    return [
        Text(clock(found.end_ns)),
        bar(share_of(accessed, total), _BAR_WIDTH, colours=colours),
        Text(f"{format_size(accessed)} of {format_size(total)}"),
        Text(str(found.nr_regions)),
        Text(f"{100 * cpu:.1f} %"),
    ]


class OverviewView(Screen):
    """The newest snapshots of all contexts.

    Args:
        console: A terminal with a screen.
        names: The contexts that are known from the begin.
    """

    def __init__(
        self, console: Console, names: Iterable[str] = (), *, now: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(console, now=now)
        self._picture = OverviewPicture({name: _Row() for name in names})

    def show(self, snapshot: Snapshot, maps: MapsByTarget = NOTHING_MAPPED) -> None:  # noqa: ARG002 - no addresses here
        """Renew one row."""
        row = self._picture.rows.setdefault(snapshot.context, _Row())
        row.newest, row.words = snapshot, ""
        row.lost += snapshot.origin.missed if snapshot.origin else 0
        self._redraw()

    def tell(self, context: str, words: str) -> None:
        """Put the words into the row of the context, or above all rows."""
        if context:
            self._picture.rows.setdefault(context, _Row()).words = words
        else:
            self._picture.note = words
        self._redraw(at_once=True)

    def _redraw(self, *, at_once: bool = False) -> None:
        self.draw(self._picture, at_once=at_once)
