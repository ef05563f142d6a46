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
    reports = Registry().reports
    if as_json:
        print_json({"schema": 1, "plugins": [dataclasses.asdict(report) for report in reports]})
        return
    out = console()
    if not reports:
        out.print("no plugin is installed: entry points of the group 'damond' are how they are found")
        return
    out.print(_table(reports))


def _table(reports: list[PluginReport]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("plugin", "distribution", "primitives"):
        table.add_column(heading, overflow="fold")
    table.add_column("state", overflow="fold", ratio=1)
    for report in reports:
        table.add_row(report.name, report.distribution, ", ".join(report.primitives) or "-", report.error or "ok")
    return table
