"""``damond start``: start contexts in the running service."""

from pathlib import Path

import click

from damond.cli import options
from damond.client import Client


@click.command("start")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--exclusive", is_flag=True, help="Refuse if anything else runs, and keep others from starting.")
@options.runtime_dir
def command(names: tuple[str, ...], runtime_dir: Path | None, *, exclusive: bool) -> None:
    """Start contexts of the service's configuration: all of those named, or none."""
    with Client(runtime_dir) as client:
        started = client.start(*names, exclusive=exclusive)
    click.echo(f"started: {', '.join(started)}")
