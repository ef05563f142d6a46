"""``damond bench``: how accurate and how dear damond is, measured."""

import importlib
from collections.abc import Iterator
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from damond.bench.result import Result
from damond.bench.setting import Setting
from damond.cli import options, output, table

PARTS: Final = ("telescope",)


@click.command("bench")
@click.argument("parts", nargs=-1, type=click.Choice(PARTS))
@click.option("--block", type=click.INT, default=1, show_default=True, help="Pages that one check looks at.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Same seed, same numbers.")
@click.option("--quick", is_flag=True, help="Less of everything: seconds instead of minutes.")
@options.as_json
def command(parts: tuple[str, ...], block: int, seed: int, *, quick: bool, as_json: bool) -> None:
    """Measure how well hot memory is found, and at which cost.

    PARTS are telescope (hot memory in ever more memory). Without any, all are measured.
    """
    setting = Setting(block=block)
    results = _measured(parts or PARTS, setting, seed, quick=quick)
    if as_json:
        output.print_json({"schema": 1, "seed": seed, "quick": quick, "results": [each.document() for each in results]})
        return
    for each in results:
        _print(output.console(), each)


def _measured(parts: tuple[str, ...], setting: Setting, seed: int, *, quick: bool) -> Iterator[Result]:
    for part in parts:
        yield from importlib.import_module(f"damond.bench.{part}").measure(setting, seed, quick=quick)


def _print(console: Console, result: Result) -> None:
    columns = [table.Column(each.heading, right=bool(each.form), rank=rank) for rank, each in enumerate(result.columns)]
    rows = [[Text(each.text(row)) for each in result.columns] for row in result.rows]
    console.print(Text(result.title, "bold"))
    for line in table.lines(columns, rows, console.width if console.is_terminal else None):
        console.print(line, soft_wrap=not console.is_terminal)
    for name, value in result.figures.items():
        console.print(_figure(name, value))
    for remark in result.remarks:
        console.print(Text(remark, "dim"), soft_wrap=not console.is_terminal)
    console.print()


def _figure(name: str, value: Any) -> Text:
    return Text(f"{name.replace('_', ' ')}: {'-' if value is None else format(value, ',.3f')}")
