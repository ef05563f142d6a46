"""``damond stop``: stop contexts of the running service."""

from pathlib import Path

import click

from damond.cli import options
from damond.client import Client


@click.command("stop")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@options.runtime_dir
def command(names: tuple[str, ...], runtime_dir: Path | None) -> None:
    """Stop contexts; each delivers what its unfinished aggregation has counted."""
    with Client(runtime_dir) as client:
        stopped = client.stop(*names)
    click.echo(f"stopped: {', '.join(stopped)}")
