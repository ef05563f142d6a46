"""Runs the web page: the listener, who is let in, and what is printed about it."""

import socket
from pathlib import Path

import click
import uvicorn

from damond.errors import ConfigError, UsageError
from damond.record import Record
from damond.web import Access, make_app
from damond.web.guard import LOOPBACK_NAMES, is_loopback, new_token

_MAX_REQUEST_SZ = 4096
"""Bytes of the largest message that a page may send: it names a context."""

_MIN_TOKEN = 16


def serve(
    directory: Path,
    *,
    address: str,
    port: int,
    names: frozenset[str],
    token_file: Path | None,
    record: Path | None,
) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        UsageError: The address can't be listened on.
        ConfigError: The token can't be read, or is too short to be one.
        RecordError: The record can't be read.
    """
    if record is not None:
        Record.open(record)
    local = is_loopback(address)
    token = _read_token(token_file) if token_file else None if local else new_token()
    access = Access(frozenset(LOOPBACK_NAMES) | ({address} | names if not local else names), token)
    listener = _listen(address, port)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"damond: http://{shown}:{port}/{'' if token is None or token_file else f'?token={token}'}", err=True)
    config = uvicorn.Config(
        make_app(directory, access, record),
        log_level="warning",
        access_log=False,
        server_header=False,
        ws_max_size=_MAX_REQUEST_SZ,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _read_token(path: Path) -> str:
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="name a readable file with one line") from error
    if len(token) < _MIN_TOKEN:
        raise ConfigError(f"{path}: a token of {len(token)} characters", hint=f"at least {_MIN_TOKEN} can't be guessed")
    return token


def _listen(address: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
    except OSError as error:
        raise UsageError(
            f"can't listen on {address} port {port}: {error.strerror}", hint="choose another --port"
        ) from error
    return listener
