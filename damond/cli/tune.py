"""``damond tune``: change a running context without losing its results."""

from math import inf
from pathlib import Path
from typing import Any, Final, Literal

import click

from damond.cli import options
from damond.cli.one_context import attrs_in_words
from damond.client import Client
from damond.errors import UsageError

_HELD_BACK: Final = 1.05
"""Intervals that are so many times longer than asked for are told."""


@click.command("tune")
@click.argument("name")
@click.option("--sample", type=options.Interval(), help="Sampling interval, e.g. 5ms.")
@click.option("--aggr", type=options.Interval(), help="Aggregation interval, e.g. 100ms.")
@click.option("--update", type=options.Interval(), help="How often to look at the mappings, e.g. 1s.")
@click.option("--regions", type=options.RegionsRange(), help="Number of regions, e.g. 10:1000.")
@click.option("--add", type=int, multiple=True, help="A target to watch as well, e.g. a pid.")
@click.option("--remove", type=int, multiple=True, help="A target not to watch any more.")
@click.option("--autotune/--no-autotune", default=None, help="Tune the intervals from now on, or leave them.")
@click.option("--max-cpu", type=options.Bound(), help="CPU time it may use, e.g. 1% of one CPU, or off.")
@options.runtime_dir
def command(
    name: str,
    sample: int | None,
    aggr: int | None,
    update: int | None,
    regions: tuple[int, int] | None,
    add: tuple[int, ...],
    remove: tuple[int, ...],
    max_cpu: str | None,
    runtime_dir: Path | None,
    *,
    autotune: bool | None,
) -> None:
    """Change intervals, numbers of regions, targets or cost of a running context; what it has found is kept.

    Intervals that are given stay as they are, as far as source and budget allow, unless --autotune is given as well:
    then tuning goes on from them. What is in force is said.
    """
    given = {"sample_interval": sample, "aggr_interval": aggr, "primitive_update_interval": update}
    given["min_nr_regions"], given["max_nr_regions"] = regions or (None, None)
    attrs = {key: value for key, value in given.items() if value is not None}
    if not (attrs or add or remove or max_cpu) and autotune is None:
        raise UsageError("nothing to change", hint="see 'damond tune --help'")
    with Client(runtime_dir) as client:
        goal: dict[str, str | int] | Literal["off"] | None = None
        if autotune is not None:
            goal = {} if autotune else "off"
        client.tune(name, attrs, add_targets=add, remove_targets=remove, goal=goal, max_cpu=max_cpu)
        row: dict[str, Any] = next((each for each in client.status()["contexts"] if each["name"] == name), {})
    if max_cpu or not row.get("attrs"):
        click.echo(f"tuned: {name}; 'damond status {name}' tells what comes of it, within seconds")
        return
    click.echo(f"tuned: {name}; in force: {attrs_in_words(row['attrs'])}")
    held = [key for key in ("sample_interval", "aggr_interval") if row["attrs"][key] > attrs.get(key, inf) * _HELD_BACK]
    if held and not autotune:
        click.echo("damond: note: longer than asked for: a budget ([service] max_cpu?) or the source", err=True)
