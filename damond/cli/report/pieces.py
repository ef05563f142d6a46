"""Pieces of memory by temperature: what the reports ``hot`` and ``cold`` have in common."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import click
from rich.text import Text

from damond.cli import ramp, table
from damond.cli.picture import DIM, bar
from damond.cli.report import asking, run
from damond.cli.report.based_on import seconds_words
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked
from damond.cli.table import Column
from damond.cli.words import address, percent, shortened
from damond.report.coverage import Coverage
from damond.report.measures import temperature
from damond.report.measures.temperature import Piece, Temperature
from damond.units import format_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TOP: Final = 20
_BAR: Final = 10
_NAME: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order of pieces, as a report.

    Attributes:
        kind: Type of the report.
        words: What comes first, for people.
        sort: Puts the pieces into that order.
        figure: Draws all of them for a file: heading, what it is based on, pieces in that order.
    """

    kind: str
    words: str
    sort: Callable[[Temperature], tuple[Piece, ...]]
    figure: "Callable[[str, Coverage, Sequence[Piece]], Figure]"


def command(order: Order, text: str) -> click.Command:
    """Make the command that reports in some order; its help is ``text``."""

    @click.command(order.kind, help=text)
    @asking.source
    @click.option("--top", type=click.IntRange(min=1), default=_TOP, show_default=True, help="So many pieces.")
    @asking.form
    def made(asked: Asked, form: Form, top: int) -> None:
        opened, measured = run.measure(asked, temperature.measure)
        found = replace(measured, pieces=order.sort(measured))
        title = f"{found.coverage.context}: {order.words}"
        emit(
            Page(
                kind=order.kind,
                title=title,
                measured=found,
                coverage=found.coverage,
                body=lambda width, colours: lines(found.pieces, top, width, colours=colours),
                figure=lambda: order.figure(title, found.coverage, found.pieces),
                notes=run.notes(opened, found.coverage, confidence=True),
            ),
            form,
        )

    return made


def lines(pieces: Sequence[Piece], shown: int, width: int, *, colours: bool) -> Iterator[Text]:
    """Lay out the first of the pieces; say how many are left."""
    several = len({each.target_id for each in pieces}) > 1
    named = any(each.name for each in pieces)
    columns = [
        Column("address"),
        Column("size", right=True),
        Column("heat"),
        Column("", right=True),
        Column("busy", right=True, rank=2),
        Column("idle for", right=True),
        *([Column("target", right=True, rank=1)] if several else []),
        *([Column("mapping")] if named else []),
    ]
    rows = [_row(each, several=several, named=named, colours=colours) for each in pieces[:shown]]
    yield from table.lines(columns, rows, width)
    rest = pieces[shown:]
    if rest:
        more = f"{len(rest)} more piece{'s'[: len(rest) != 1]}, {format_size(sum(each.size for each in rest))}"
        yield Text(f"{more}: --top shows more", DIM)
    yield Text()
    yield Text("heat: share of samples that found an access; busy: share of the time with any", DIM)
    if any(each.is_unseen for each in pieces[:shown]):
        yield Text("?: no access found, but too little was looked at to call it cold", DIM)


def _row(piece: Piece, *, several: bool, named: bool, colours: bool) -> list[Text]:
    return [
        Text(address(piece.start)),
        Text(format_size(piece.size)),
        bar(piece.heat, _BAR, colours=colours),
        Text(f"{percent(piece.heat)}{ramp.UNSEEN if piece.is_unseen else ''}"),
        Text(percent(piece.busy)),
        Text("all the time" if piece.idle_ns is None else seconds_words(piece.idle_ns)),
        *([Text(str(piece.target_id))] if several else []),
        *([Text(shortened(piece.name, _NAME))] if named else []),
    ]
