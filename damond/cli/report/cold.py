"""``damond report cold``: the coldest pieces of memory."""

from dataclasses import replace

import click

from damond.cli.report import asking, pieces, run
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked
from damond.report.measures import temperature


@click.command("cold")
@asking.source
@click.option("--top", type=click.IntRange(min=1), default=pieces.TOP, show_default=True, help="So many pieces.")
@asking.form("cold", has_figure=False)
def command(asked: Asked, form: Form, top: int) -> None:
    """List the coldest pieces of memory: by the time since their last access, then by size.

    "All the time" is idle in the whole span. Neighbours that are alike in the same mapping are one piece.
    """
    opened, found = run.measure(asked, temperature.measure)
    coldest = replace(found, pieces=found.coldest())
    emit(
        Page(
            kind="cold",
            title=f"{found.coverage.context}: the coldest memory",
            measured=coldest,
            coverage=found.coverage,
            body=lambda width, colours: pieces.lines(coldest.pieces, top, width, colours=colours),
            notes=run.notes(opened, found.coverage, confidence=True),
        ),
        form,
    )
