"""``damond web``: the running service as a page in a browser."""

import importlib.util
import socket
from pathlib import Path

import click

from damond.cli import options
from damond.errors import UsageError
from damond.stream.endpoints import serving_runtime_dir


@click.command("web")
@click.option("--address", default="127.0.0.1", show_default=True, help="All but loopback takes a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8228, show_default=True, help="0 takes any free one.")
@click.option("--host", "names", multiple=True, help="A name by which browsers ask for the page; may be repeated.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the token that browsers must show; without it, one is drawn and printed.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A record of the service, to look back in time.",
)
@options.runtime_dir
def command(
    address: str,
    port: int,
    names: tuple[str, ...],
    token_file: Path | None,
    record: Path | None,
    runtime_dir: Path | None,
) -> None:
    """Show the running service as a page, live and back in time, until Ctrl-C.

    By default only this machine can open it. Elsewhere put it behind a proxy with TLS: a token that travels in the
    clear can be read on the way.
    """
    if importlib.util.find_spec("uvicorn") is None or importlib.util.find_spec("starlette") is None:
        raise UsageError("the page needs packages that are not installed", hint="pip install 'damond[web]'")
    from damond.cli.serving_page import serve  # noqa: PLC0415 - what it needs is an extra

    serve(
        runtime_dir or serving_runtime_dir(),
        address=address,
        port=port,
        names=frozenset(names) | {socket.gethostname()},
        token_file=token_file,
        record=record,
    )
