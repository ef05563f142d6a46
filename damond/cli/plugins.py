"""``damond plugins``: what was found."""

import dataclasses

import click
from rich.table import Table

from damond.cli.output import console, print_json
from damond.plugin import PluginReport, Registry


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(*, as_json: bool) -> None:
    """List the plugins that were found, those included that can't be used."""
    registry = Registry()
    reports = registry.reports
    if as_json:
        print_json({"schema": 1, "plugins": [dataclasses.asdict(each) for each in (registry.builtin, *reports)]})
        return
    out = console()
    if not reports:
        out.print("no plugin is installed: entry points of the group 'damond' are how they are found")
    out.print(_table([registry.builtin, *reports]))


def _table(reports: list[PluginReport]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("plugin", "distribution", "primitives", "policies"):
        table.add_column(heading, overflow="fold")
    table.add_column("state", overflow="fold", ratio=1)
    for report in reports:
        names = (", ".join(each) or "-" for each in (report.primitives, report.policies))
        table.add_row(report.name, report.distribution, *names, report.error or "ok")
    return table
