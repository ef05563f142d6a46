"""``damond report wss``: the working-set size over time."""

from collections.abc import Iterator, Sequence
from typing import Final

import click
from rich.text import Text

from damond.cli.report import amounts, asking, figures, run
from damond.cli.report.chart import Chart, Level
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked
from damond.report.measures import wss
from damond.report.measures.wss import THRESHOLDS, WorkingSet
from damond.report.memory import Memory
from damond.report.timeline import Series
from damond.units import format_size

_PERCENT: Final = 100


@click.command("wss")
@asking.source
@click.option(
    "--at-least", "at_least", type=click.FloatRange(0, 100), multiple=True, metavar="PERCENT",
    help="Count regions accessed in at least so many per cent of the samples; 0 is any. May be repeated.  "
    "[default: 0, 10, 50]",
)  # fmt: skip
@asking.form
def command(asked: Asked, form: Form, at_least: tuple[float, ...]) -> None:
    """Show how much memory was in use, window by window, beside what the processes held.

    A region in which accesses were found counts whole. Percentiles are of the time. What was touched within the last
    second, minute, ... counts each byte once.
    """
    thresholds = [each / _PERCENT for each in at_least] or THRESHOLDS
    opened, found = run.measure(asked, lambda subject: wss.measure(subject, thresholds))
    emit(
        Page(
            kind="wss",
            title=f"{found.coverage.context}: working set",
            measured=found,
            coverage=found.coverage,
            body=lambda width, colours: _body(found, width, colours=colours),
            figure=lambda: figures.series(
                f"{found.coverage.context}: working set of a window",
                found.coverage,
                [(_name(each), series) for each, series in zip(found.thresholds, found.series, strict=True)],
                levels=levels(found.memory),
                label="bytes in regions with accesses",
            ),
            notes=run.notes(opened, found.coverage),
        ),
        form,
    )


def levels(memory: Memory) -> list[tuple[str, Series]]:
    """List what a working set is compared with."""
    return [("RSS", memory.rss.series)] if memory.rss is not None else []


def _name(threshold: float) -> str:
    return "any access" if threshold <= 0 else f"{_PERCENT * threshold:g} % or more"


def _body(found: WorkingSet, width: int, *, colours: bool) -> Iterator[Text]:
    compared = [Level(name, series) for name, series in levels(found.memory)]
    chart = Chart(
        name=f"working set of a window, {_name(found.thresholds[0])}",
        series=found.series[0],
        words=format_size,
        levels=compared,
    )
    yield from chart.lines(width, colours=colours)
    yield Text()
    yield from amounts.rows(_head(found.thresholds), _rows(found), width)
    yield Text()
    total = found.monitored_bytes[-1]
    yield from amounts.within(found.within_ns, [("touched (any access)", found.touched_bytes, total)], width)
    yield Text()
    yield from amounts.held(found.memory)


def _head(thresholds: Sequence[float]) -> list[str]:
    return ["of the time", *map(_name, thresholds), "monitored"]


def _rows(found: WorkingSet) -> list[list[str]]:
    columns = [*found.wss_bytes, found.monitored_bytes]
    return [
        [amounts.percentile_name(each), *(format_size(column[row]) for column in columns)]
        for row, each in enumerate(found.percentiles)
    ]
