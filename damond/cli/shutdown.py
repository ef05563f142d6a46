"""``damond shutdown``: end the running service."""

from pathlib import Path

import click

from damond.cli import options
from damond.client import Client


@click.command("shutdown")
@options.runtime_dir
def command(runtime_dir: Path | None) -> None:
    """Ask the supervisor to stop every context and to end."""
    with Client(runtime_dir) as client:
        client.shutdown()
    click.echo("the supervisor ends")
