"""``damond report hot``: the hottest pieces of memory."""

import click

from damond.cli.report import asking, pieces, run
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked
from damond.report.measures import temperature


@click.command("hot")
@asking.source
@click.option("--top", type=click.IntRange(min=1), default=pieces.TOP, show_default=True, help="So many pieces.")
@asking.form("hot", has_figure=False)
def command(asked: Asked, form: Form, top: int) -> None:
    """List the hottest pieces of memory: by heat, averaged over the span.

    Neighbours of about the same heat (less than 10 % of the samples apart) in the same mapping are one piece.
    """
    opened, found = run.measure(asked, temperature.measure)
    emit(
        Page(
            kind="hot",
            title=f"{found.coverage.context}: the hottest memory",
            measured=found,
            coverage=found.coverage,
            body=lambda width, colours: pieces.lines(found.pieces, top, width, colours=colours),
            notes=run.notes(opened, found.coverage, confidence=True),
        ),
        form,
    )
