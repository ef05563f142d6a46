"""``damond watch``: follow contexts of the running service."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from damond.cli import options, output
from damond.cli.live import PlainView
from damond.cli.watching import terminal
from damond.cli.watching.app import WatchApp
from damond.cli.watching.reading import Reading
from damond.client import Client, check_reachable, subscribe
from damond.core import Snapshot
from damond.core.context import check_name
from damond.errors import NotPermittedError, UnknownNameError, UnreachableError
from damond.stream import wire
from damond.stream.endpoints import Endpoints, serving_runtime_dir
from damond.stream.in_words import event_in_words
from damond.stream.subscriber import Subscriber

SILENT_S: Final = 2.0
"""Silence after which it is worth a look whether the service is still there. Seconds."""

_GONE: Final = "the service is gone; waiting for it to come back (Ctrl-C ends)"
_ORIGIN: Final = ("epoch", "seq", "missed", "restarted")
_ENDED: Final = ("stopped", "failed", "target_gone")


@click.command("watch")
@click.argument("name", required=False)
@options.as_json
@options.runtime_dir
def command(name: str | None, runtime_dir: Path | None, *, as_json: bool) -> None:
    """Follow the contexts of the running service on a full screen, NAME first, until q or Ctrl-C.

    '?' explains keys and numbers. Without a terminal each snapshot is a line (of NAME, or of all); with --json one
    with the keys of the wire, epoch and seq, and how many were 'missed' just before it. If the service goes away, it
    is waited for.
    """
    directory = runtime_dir or serving_runtime_dir()
    with Client(directory) as client:
        contexts = client.status()["contexts"]
    names = [each["name"] for each in contexts]
    if name is not None and check_name(name) not in names:
        raise UnknownNameError("context", name, names)
    if not as_json and terminal.has_screen():
        _watch(directory, name)
        return
    kinds: tuple[str, ...] = ("snapshot",) if as_json else ("snapshot", "event")
    subscription = subscribe(*([name] if name else []), kinds=kinds, latest=not as_json, runtime_dir=directory)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.default_int_handler)  # so that the terminal is given back
    try:
        with subscription.open() as subscriber:
            messages = with_silence(subscriber, Endpoints(directory).path("stream"))
            if as_json:
                _print_json(messages)
            else:
                _print_lines(messages, name, contexts)
    except KeyboardInterrupt:
        click.echo("", err=True)


def _watch(directory: Path, name: str | None) -> None:
    """Run the application."""
    if not terminal.has_colours():
        os.environ.setdefault("NO_COLOR", "1")  # Textual's switch: its own look at TERM knows no terminal without
    with Reading(directory) as reading:
        app = WatchApp(reading, name, blocks=terminal.has_blocks())
        app.run(mouse=False)  # so that the terminal's own selection of text works, over ssh as well
    if app.return_code:
        raise SystemExit(os.EX_SOFTWARE)


def with_silence(subscriber: Subscriber, path: Path) -> Iterator[wire.Message | str]:
    """Yield messages; when they cease and the service is gone, words that say so, and "" when it is back."""
    gone = False
    while True:
        message = subscriber.receive(SILENT_S)
        if message is None:
            reachable = _is_reachable(path)
        elif gone:
            reachable = True
        else:
            yield message
            continue
        if gone == reachable:
            gone = not reachable
            yield _GONE if gone else ""
        if message is not None:
            yield message


def _is_reachable(path: Path) -> bool:
    try:
        check_reachable(path)
    except (UnreachableError, NotPermittedError):
        return False
    return True


def _print_json(messages: Iterator[wire.Message | str]) -> None:
    host, remarks = socket.gethostname(), PlainView(output.console())
    for message in messages:
        if isinstance(message, str):
            remarks.tell("", message)
        else:
            origin = message.origin
            where = {} if origin is None else {name: getattr(origin, name) for name in _ORIGIN}
            output.print_line(wire.to_map(message, origin.host if origin else host) | where)


def _print_lines(messages: Iterator[wire.Message | str], name: str | None, contexts: list[dict[str, Any]]) -> None:
    view = PlainView(output.console())
    for each in contexts:
        if each["state"] in _ENDED and name in (None, each["name"]):
            why = "'damond status' says why" if each["state"] == "failed" else each["reason"]
            view.tell(each["name"], f"{each['state']} ({why})" + (f"; {each['hint']}" if each["hint"] else ""))
    for message in messages:
        if isinstance(message, str):
            view.tell("", message)
        elif isinstance(message, Snapshot):
            view.show(message)
        elif isinstance(message, wire.Event):
            _tell_event(view, message)


def _tell_event(view: PlainView, event: wire.Event) -> None:
    """Say what happened; a context that has started speaks for itself."""
    words = event_in_words(event.event, event.reason, event.details)
    if event.event == "failed" and event.details.get("hint"):
        words += f"; {event.details['hint']}"
    view.tell(event.context, words)
