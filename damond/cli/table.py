"""Tables for terminals of any width: what matters least is left out before anything is cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

_NAME_WIDTH: Final = 24
"""Characters that the first column keeps as long as another column can be left out."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its headline.
        right: Whether its cells are aligned to the right: numbers are.
        rank: Where there is no room, the column of the highest rank goes first; one of rank 0 stays.
    """

    name: str
    right: bool = False
    rank: int = 0


def lines(columns: Sequence[Column], rows: Sequence[Sequence[Text]], width: int | None) -> Iterator[Text]:
    """Lay a table out; the first column gets what the others leave.

    Args:
        columns: What the columns are.
        rows: A cell for each column.
        width: Characters of a line; None is as many as it takes.
    """
    widths = [max([len(each.name), *(len(row[i]) for row in rows)]) for i, each in enumerate(columns)]
    chosen = list(range(len(columns)))
    if width is not None:
        chosen = _chosen(columns, widths, width)
        others = sum(widths[i] + 1 for i in chosen[1:])
        widths[0] = max(min(widths[0], width - others), len(columns[0].name))
    heads = [Text(each.name, "dim") for each in columns]
    for row in (heads, *rows):
        yield Text(" ").join(_cell(row[i], widths[i], right=columns[i].right) for i in chosen)


def _chosen(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Leave columns out until the rest fits."""
    least = [min(widths[0], _NAME_WIDTH), *widths[1:]]
    chosen = list(range(len(columns)))
    for index in sorted((i for i in chosen if columns[i].rank), key=lambda i: -columns[i].rank):
        if sum(least[i] + 1 for i in chosen) - 1 <= width:
            break
        chosen.remove(index)
    return chosen


def _cell(cell: Text, width: int, *, right: bool) -> Text:
    cell = cell.copy()
    if len(cell) > width:
        cell.truncate(width, overflow="ellipsis")
    cell.align("right" if right else "left", width)
    return cell
