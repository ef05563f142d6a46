"""Pieces of memory by temperature, as a table."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from damond.cli import ramp, table
from damond.cli.picture import DIM, bar
from damond.cli.report.based_on import seconds_words
from damond.cli.table import Column
from damond.cli.words import address, percent, shortened
from damond.report.measures.temperature import Piece
from damond.units import format_size

TOP: Final = 20
_BAR: Final = 10
_NAME: Final = 18


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
