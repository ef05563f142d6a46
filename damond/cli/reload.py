"""``damond reload``: have the running service read its configuration again."""

import os
from pathlib import Path

import click

from damond.cli import options
from damond.client import Client


@click.command("reload")
@options.runtime_dir
def command(runtime_dir: Path | None) -> None:
    """Have the service read its configuration again; a faulty one changes nothing.

    Contexts that vanished stop, new ones start, changed ones are tuned where that is possible and restarted where not.
    The exit status is 78 if one of them could not be started.
    """
    with Client(runtime_dir) as client:
        done = client.reload()
    for what, names in done.items():
        if isinstance(names, dict):
            for name, why in names.items():
                click.echo(f"{what}: {name}: {why}")
        elif names:
            click.echo(f"{what}: {', '.join(names)}")
    if not any(done.values()):
        click.echo("nothing has changed")
    if done.get("failed"):
        raise SystemExit(os.EX_CONFIG)
