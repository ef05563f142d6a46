"""The command line: one module per command, imported when it is run.

:func:`main` is the only place that prints errors and picks exit statuses.
"""

import contextlib
import errno
import importlib
import keyword
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import click

from damond import __version__
from damond.errors import DamondError, nearest
from damond.service.logs import writes_to_journal

COMMANDS: Final = {
    "monitor": "Watch a program, a process or the whole machine, live.",
    "record": "Keep what is seen in a file.",
    "export": "Write a record for damo, or as Parquet, JSON or CSV.",
    "import": "Make a record of one of damo's.",
    "report": "Look at a record: what was hot, cold, in use.",
    "serve": "Run the service that other programs subscribe to.",
    "start": "Start a context in the running service.",
    "stop": "Stop contexts of the running service.",
    "tune": "Change a running context without losing its results.",
    "pause": "Let the sampling of a context rest.",
    "resume": "Let a paused context go on.",
    "reload": "Have the running service read its configuration again.",
    "status": "Show what the running service monitors.",
    "shutdown": "End the running service.",
    "watch": "Follow a context of the running service.",
    "web": "Show the running service as a page in a browser.",
    "keys": "Make a key pair for the network.",
    "plugins": "List the plugins that were found.",
    "bench": "Measure how accurate damond is, and at which cost.",
    "doctor": "Say what works on this machine, and what would help.",
}
"""Name and short help, so that neither ``--help`` nor completion imports the commands themselves."""

EX_INTERRUPTED: Final = 130
"""What a shell reports for a program that SIGINT ended: 128 + 2."""

_NOWHERE_TO_WRITE: Final = (errno.EIO, errno.ENOSPC)
"""The terminal is gone; the disk is full."""

_LOG_LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)


class _LazyGroup(click.Group):
    """Commands by name; the module of one is imported when it is looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in COMMANDS:
            return None
        module = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = importlib.import_module(f"damond.cli.{module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command {args[0]!r}: {nearest(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("-v", "--verbose", count=True, help="Log to standard error; twice: more.")
@click.pass_context
def cli(ctx: click.Context, verbose: int) -> None:
    """Watch which memory a Linux machine really uses."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(os.EX_USAGE)
    logging.basicConfig(
        stream=sys.stderr,
        level=_LOG_LEVELS[min(verbose, len(_LOG_LEVELS) - 1)],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s" if verbose else "damond: %(levelname)s: %(message)s",
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status (sysexits.h). A closed pipe ends the process quietly."""
    try:
        result: Any = cli.main(args, prog_name="damond", standalone_mode=False)
    except DamondError as error:
        return _fail(error.message, error.hint, error.exit_code)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "damond"
        return _fail(error.format_message(), f"see '{path} --help'", os.EX_USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), "", error.exit_code)
    except click.Abort:
        return EX_INTERRUPTED
    except OSError as error:
        if error.errno not in _NOWHERE_TO_WRITE or error.filename is not None:
            raise
        return _fail_to_write(error)
    return result if isinstance(result, int) else os.EX_OK


def _fail_to_write(error: OSError) -> int:
    """Say that the output can't be written, if that can be; keep the interpreter from trying once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with contextlib.suppress(OSError):
        _fail(f"the output can't be written: {error.strerror}", "make room, or send it elsewhere", os.EX_IOERR)
    return os.EX_IOERR


def _fail(message: str, hint: str, exit_code: int) -> int:
    priority = "<3>" if writes_to_journal() else ""
    click.echo(f"{priority}damond: error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return exit_code
