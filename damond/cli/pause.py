"""``damond pause``: let the sampling of a context rest."""

from pathlib import Path

import click

from damond.cli import options
from damond.client import Client


@click.command("pause")
@click.argument("name")
@options.runtime_dir
def command(name: str, runtime_dir: Path | None) -> None:
    """Let the sampling of a running context rest; its worker and its regions stay."""
    with Client(runtime_dir) as client:
        client.pause(name)
    click.echo(f"paused: {name}")
