"""``damond report footprint``: what is held beside what is used."""

from collections.abc import Iterator

import click
from rich.text import Text

from damond.cli.picture import DIM
from damond.cli.report import amounts, asking, figures, run
from damond.cli.report.chart import Chart, Level
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked
from damond.report.measures import footprint
from damond.report.measures.footprint import Footprint
from damond.report.memory import Amount
from damond.units import format_size


@click.command("footprint")
@asking.source
@asking.form
def command(asked: Asked, form: Form) -> None:
    """Put address space (vsz), resident memory (rss, pss) and working set (wss) side by side.

    Of several processes the sums are shown: what they share counts for each of them, but once in pss.
    """
    opened, found = run.measure(asked, footprint.measure)
    emit(
        Page(
            kind="footprint",
            title=f"{found.coverage.context}: footprint",
            measured=found,
            coverage=found.coverage,
            body=lambda width, colours: _body(found, width, colours=colours),
            figure=lambda: figures.series(
                f"{found.coverage.context}: footprint",
                found.coverage,
                [("working set of a window (wss)", found.wss.series)] if found.wss else [],
                levels=[(name, amount.series) for name, amount in _known(found) if name in ("rss", "pss")],
                label="bytes",
            ),
            notes=run.notes(opened, found.coverage),
        ),
        form,
    )


def _known(found: Footprint) -> list[tuple[str, Amount]]:
    rows = [
        ("vsz", found.memory.vsz),
        ("rss", found.memory.rss),
        ("pss", found.memory.pss),
        ("monitored", found.monitored),
        ("wss", found.wss),
    ]
    return [(name, amount) for name, amount in rows if amount is not None]


def _body(found: Footprint, width: int, *, colours: bool) -> Iterator[Text]:
    if found.wss is not None:
        compared = [Level("rss", found.memory.rss.series)] if found.memory.rss is not None else []
        chart = Chart(name="working set of a window", series=found.wss.series, words=format_size, levels=compared)
        yield from chart.lines(width, colours=colours)
        yield Text()
    meanings = {
        "vsz": "address space",
        "rss": "resident",
        "pss": "resident, shared once",
        "monitored": "looked at",
        "wss": "in use: any access",
    }
    cells = [
        [name, *map(format_size, (each.newest, each.least, each.median, each.greatest)), meanings[name]]
        for name, each in _known(found)
    ]
    yield from amounts.rows(["", "at the end", "least", "median", "greatest", ""], cells, width)
    if found.memory.limit_bytes is not None:
        yield Text(f"limit of the cgroup: {format_size(found.memory.limit_bytes)}")
    if found.memory.rss is None:
        yield Text(amounts.NO_MEMORY, DIM)
