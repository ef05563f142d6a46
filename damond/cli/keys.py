"""``damond keys``: make a key pair for the network."""

from pathlib import Path

import click

from damond.service.remote import SERVER, make_keys


@click.command("keys")
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("name", default=SERVER)
def command(directory: Path, name: str) -> None:
    """Make the key pair NAME in DIRECTORY; an existing pair is kept.

    The service needs a pair ('server'), and the public key (NAME.key) of every client in the directory that its
    configuration calls 'authorized'. A client needs its own pair and the service's public key.
    """
    public, secret = make_keys(directory, name)
    click.echo(f"public key: {public}\nsecret key: {secret} (keep it to yourself)")
