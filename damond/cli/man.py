"""The manual page, from what the commands say of themselves: ``python -m damond.cli.man > damond.1``."""

import sys
import textwrap
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
    "65": "A file is no record, or is damaged.",
    "66": "There is no such process or file, or nothing in it.",
    "69": "The service is not there, or this machine can't do it.",
    "70": "A part of damond, or a plugin, has failed.",
    "75": "Something else runs, or writes to the same file: try again later.",
    "77": "Not permitted.",
    "78": "The configuration is faulty.",
    "130": "Interrupted.",
    "others": "Those of the command that 'monitor' or 'record' has started.",
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


def _command(name: str, parent: click.Context | None = None, group: click.Group = cli) -> Iterator[str]:
    parent = parent or click.Context(cli, info_name="damond")
    command = group.get_command(parent, name)
    assert command is not None, name  # noqa: S101 - the list of commands is what get_command looks it up in
    ctx = click.Context(command, info_name=name, parent=parent)
    yield f".SS {ctx.command_path}"
    yield _text(f"{ctx.command_path} {' '.join(command.collect_usage_pieces(ctx))}")
    yield from [".PP", *_paragraphs(command.help)]
    yield from _options(command, ctx)
    if isinstance(command, click.Group):
        for each in command.list_commands(ctx):
            yield from _command(each, ctx, command)


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if isinstance(parameter, click.Option) and record is not None:
            yield from _row(_text(record[0]), record[1])


def _row(term: str, meaning: str) -> Iterator[str]:
    yield from [".TP", rf"\fB{term}\fR", _text(meaning)]


def _paragraphs(text: str | None) -> Iterator[str]:
    for number, paragraph in enumerate((text or "").split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.lstrip().startswith("\b"):  # click's mark for lines that stay as they are
            lines = textwrap.dedent(paragraph.replace("\b\n", "", 1).lstrip("\n")).splitlines()
            yield from [".nf", *(_text(line.strip()) for line in lines), ".fi"]
        else:
            yield _text(" ".join(paragraph.split()))


def _text(text: str) -> str:
    """Escape what roff would take for its own."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.write("\n".join(page()) + "\n")
