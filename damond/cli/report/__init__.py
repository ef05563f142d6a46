"""``damond report``: what was hot, what was cold, how much memory was in use. A module per type."""

import importlib
from typing import Final

import click

from damond.errors import nearest

TYPES: Final = {
    "heatmap": "What was hot when: time by address.",
    "wss": "Working-set size over time, by rate of access and by recency.",
    "sizing": "How much memory is needed, and how much of the resident memory is idle.",
    "footprint": "Address space, resident memory and working set side by side.",
    "idle": "For how long memory has been idle; the tail of what is cold.",
    "hot": "The hottest pieces of memory, with what is mapped there.",
    "cold": "The coldest pieces of memory, with what is mapped there.",
    "bandwidth": "An estimate of the memory traffic.",
    "diff": "What became hot or cold between two spans, or two records.",
}
"""Name and short help; the module of one is imported when it is run."""


class _Types(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(TYPES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in TYPES:
            return None
        command: click.Command = importlib.import_module(f"damond.cli.report.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in TYPES and not args[0].startswith("-"):
            raise click.UsageError(f"there is no report {args[0]!r}: {nearest(args[0], TYPES)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Types"):
            formatter.write_dl(list(TYPES.items()))


@click.group("report", cls=_Types, subcommand_metavar="TYPE [OPTIONS] FILE|live")
def command() -> None:
    """Look at a record, or at what a running service still has (live).

    A report is text for people, --json for programs, and a picture with --png or --svg.
    """
