"""``damond resume``: let a paused context go on."""

from pathlib import Path

import click

from damond.cli import options
from damond.client import Client


@click.command("resume")
@click.argument("name")
@options.runtime_dir
def command(name: str, runtime_dir: Path | None) -> None:
    """Let a paused context go on."""
    with Client(runtime_dir) as client:
        client.resume(name)
    click.echo(f"resumed: {name}")
