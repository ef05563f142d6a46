"""``damond import``: a record of damo as one of ours."""

import re
from pathlib import Path
from typing import Final

import click

from damond.cli import options
from damond.core.context import check_name
from damond.record.formats.importing import import_damo

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME: Final = 56


@click.command("import")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True,
    help="The record; one that is there is continued.",
)  # fmt: skip
@click.option("--name", help="Name of the context.  [default: as the file]")
@click.option("--sample", type=options.Interval(), help="Sampling interval, if the file has none or a wrong one.")
@click.option("--aggr", type=options.Interval(), help="Aggregation interval, if the file has none or a wrong one.")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
def command(output: Path, name: str | None, sample: int | None, aggr: int | None, path: Path) -> None:
    """Make a record of a file of damo: its JSON (packed, as 'damo record' writes it, or plain) or perf-script text.

    Times stay as they are: damo's are those since boot. What the file does not have is said.
    """
    name = check_name(name or _name_of(path))
    given = {key: value for key, value in (("sample_us", sample), ("aggr_us", aggr)) if value}
    imported = import_damo(path, output, name, given)
    for each in imported.remarks:
        click.echo(f"damond: note: {each}", err=True)
    click.echo(
        "damond: note: damo's files say neither what one check looks at (a page is assumed: lower bounds hold only if "
        "that is right) nor what memory the processes have",
        err=True,
    )
    names = ", ".join(imported.contexts)
    click.echo(f"imported {names}: {imported.nr_snapshots} snapshots into {output}", err=True)


def _name_of(path: Path) -> str:
    """Name a context as a file: ``damon.data`` is ``damon``."""
    return _NOT_IN_NAMES.sub("-", path.name.split(".")[0]).strip("-")[:_MAX_NAME] or "damo"
