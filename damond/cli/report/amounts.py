"""Tables of amounts of memory, and what processes hold, in words."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from damond.cli import table
from damond.cli.picture import DIM
from damond.cli.report.based_on import seconds_words
from damond.cli.table import Column
from damond.cli.words import percent, share_of
from damond.report.memory import Memory
from damond.units import format_size

NO_MEMORY: Final = "RSS is not known: there are no figures of processes in this record"


def rows(head: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Iterator[Text]:
    """Lay out a table of numbers; the first column names the rows."""
    columns = [Column(head[0]), *(Column(each, right=True) for each in head[1:])]
    yield from table.lines(columns, [[Text(cell) for cell in row] for row in cells], width)


def percentile_name(percentile: float) -> str:
    """Name a percentile as people do."""
    return {0: "least", 50: "median", 100: "greatest"}.get(int(percentile), f"p{percentile:g}")


def held(memory: Memory) -> Iterator[Text]:
    """Say what the processes held at the end."""
    if memory.rss is None:
        yield Text(NO_MEMORY, DIM)
        return
    words = f"RSS {format_size(memory.rss.newest)} at the end"
    words += f" ({format_size(memory.rss.least)} to {format_size(memory.rss.greatest)})"
    if memory.pss is not None:
        words += f", PSS {format_size(memory.pss.newest)}"
    if memory.limit_bytes is not None:
        words += f", limit {format_size(memory.limit_bytes)}"
    yield Text(words)


def within(within_ns: Sequence[int], amounts: Sequence[tuple[str, Sequence[int], int]], width: int) -> Iterator[Text]:
    """Lay out amounts by time before the end.

    Args:
        within_ns: Times before the end, the last is the whole span. Nanoseconds.
        amounts: Name, bytes for each of the times, and what shares are of.
        width: Characters.
    """
    cells = []
    for number, each_ns in enumerate(within_ns):
        row = [f"{seconds_words(each_ns)}{' (all)' if number == len(within_ns) - 1 else ''}"]
        for _, values, total in amounts:
            row += [format_size(values[number]), percent(share_of(values[number], total))]
        cells.append(row)
    head = ["within the last"]
    for name, _, _ in amounts:
        head += [name, ""]
    yield from rows(head, cells, width)
