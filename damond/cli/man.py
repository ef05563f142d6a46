"""The manual page, from what the commands say of themselves: ``python -m damond.cli.man > damond.1``."""

import sys
from collections.abc import Iterator
from typing import Final

import click

from damond import __version__
from damond.cli import COMMANDS, cli

_FILES: Final = {
    "/etc/damond/damond.toml": "The configuration of the service; every key is explained in it.",
    "/etc/damond/conf.d/*.toml": "Read in addition, in the order of their names.",
    "/run/damond": "The sockets. Members of the group damond may connect to those for reading.",
}
_STATUS: Final = {
    "0": "What was asked for is done.",
    "64": "The arguments make no sense, or name what there is not.",
    "69": "The service is not there, or this machine can't do it.",
    "77": "Not permitted.",
    "78": "The configuration is faulty.",
    "130": "Interrupted.",
}


def page() -> Iterator[str]:
    """Yield the lines of damond(1), in the macros of man(7)."""
    yield f'.TH DAMOND 1 "" "damond {__version__}"'
    yield from [".SH NAME", r"damond \- data access monitoring (DAMON) in user space"]
    yield from [".SH SYNOPSIS", r".B damond", r"[\-v] \fICOMMAND\fR [\fIARGS\fR]..."]
    yield from [".SH DESCRIPTION", *_paragraphs(cli.help)]
    yield ".SH OPTIONS"
    yield from _options(cli, click.Context(cli, info_name="damond"))
    yield ".SH COMMANDS"
    for name in COMMANDS:
        yield from _command(name)
    for title, rows in (("FILES", _FILES), ("EXIT STATUS", _STATUS)):
        yield f".SH {title}"
        for word, meaning in rows.items():
            yield from _row(_text(word), meaning)
    yield from [".SH SEE ALSO", r".BR proc_pid_pagemap (5),", r".BR systemd.unit (5)"]


def _command(name: str) -> Iterator[str]:
    parent = click.Context(cli, info_name="damond")
    command = cli.get_command(parent, name)
    assert command is not None, name  # noqa: S101 - COMMANDS is what get_command looks it up in
    ctx = click.Context(command, info_name=name, parent=parent)
    yield f".SS damond {name}"
    yield _text(f"damond {name} {' '.join(command.collect_usage_pieces(ctx))}")
    yield from [".PP", *_paragraphs(command.help)]
    yield from _options(command, ctx)


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if isinstance(parameter, click.Option) and record is not None:
            yield from _row(_text(record[0]), record[1])


def _row(term: str, meaning: str) -> Iterator[str]:
    yield from [".TP", rf"\fB{term}\fR", _text(meaning)]


def _paragraphs(text: str | None) -> Iterator[str]:
    for number, paragraph in enumerate((text or "").replace("\b", "").split("\n\n")):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """Escape what roff would take for its own."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
