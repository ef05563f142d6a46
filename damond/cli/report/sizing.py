"""``damond report sizing``: how much memory is needed."""

import textwrap
from collections.abc import Iterator
from typing import Final

import click
from rich.text import Text

from damond.cli.picture import BOLD
from damond.cli.report import amounts, asking, figures, run
from damond.cli.report.based_on import seconds_words
from damond.cli.report.chart import Chart, Level
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked
from damond.cli.report.wss import levels
from damond.report.measures import sizing
from damond.report.measures.sizing import Sizing
from damond.units import format_size

_NSEC_PER_SEC: Final = 1_000_000_000
_MINUTE: Final = 60 * _NSEC_PER_SEC
_HOUR: Final = 60 * _MINUTE
_HEADLINE: Final = 99
_PERIODS: Final = {_NSEC_PER_SEC: ("second", "seconds"), _MINUTE: ("minute", "minutes")}


@click.command("sizing")
@asking.source
@asking.form
def command(asked: Asked, form: Form) -> None:
    """Say how much memory a program touched, and how much of what it holds was idle.

    What was touched counts each byte once per minute (in short records per ten seconds or second). A region in which
    any access was found counts whole: whoever sizes by it gives enough. "Hot all over" is the lower bound.
    """
    opened, found = run.measure(asked, sizing.measure)
    emit(
        Page(
            kind="sizing",
            title=f"{found.coverage.context}: memory needed",
            measured=found,
            coverage=found.coverage,
            body=lambda width, colours: _body(found, width, colours=colours),
            figure=lambda: figures.series(
                "; ".join([f"{found.coverage.context}: touched per {_period(found, 1)}", *answer(found)]),
                found.coverage,
                [(f"touched in a {_period(found, 1)}", found.series)],
                levels=levels(found.memory),
                label="bytes, each counted once",
            ),
            notes=[*run.notes(opened, found.coverage, confidence=True), *_notes(found)],
        ),
        form,
    )


def answer(found: Sizing) -> Iterator[str]:
    """Give the answer in a sentence or two."""
    if not found.touched_bytes:
        return
    name = found.coverage.context
    by_percentile = dict(zip(found.percentiles, found.touched_bytes, strict=True))
    span = seconds_words(found.coverage.to_ns - found.coverage.from_ns)
    yield (
        f"{name} was found to touch {format_size(by_percentile[_HEADLINE])} in {_HEADLINE} % of the "
        f"{_period(found, 2)}, {format_size(found.all_bytes)} in all ({span})."
    )
    if found.memory.rss is not None:
        yield f"Its RSS is {format_size(found.memory.rss.newest)}: {_idle(found, span)}"


def _idle(found: Sizing, span: str) -> str:
    idle = found.idle_bytes[-1]
    unseen = min(found.unseen_bytes, idle)
    if unseen:
        return (
            f"at least {format_size(idle - unseen)} were idle for over {span}; {format_size(unseen)} more are merely"
            " unseen: too little was looked at to call them cold."
        )
    if idle:
        return f"at least {format_size(idle)} were idle for over {span}."
    return f"none of it is known to have been idle for {span}."


def _period(found: Sizing, number: int) -> str:
    known = _PERIODS.get(found.period_ns)
    if known is not None:
        return known[number != 1]
    return f"period{'s'[: number != 1]} of {seconds_words(found.period_ns)}"


def _body(found: Sizing, width: int, *, colours: bool) -> Iterator[Text]:
    if not found.touched_bytes:
        yield Text(f"Of no {_period(found, 1)} enough was recorded to size by: record for longer.", BOLD)
        return
    for sentence in answer(found):
        yield from (Text(line, BOLD) for line in textwrap.wrap(sentence, width))
    yield Text()
    compared = [Level(name, series) for name, series in levels(found.memory)]
    chart = Chart(name=f"touched in a {_period(found, 1)}", series=found.series, words=format_size, levels=compared)
    yield from chart.lines(width, colours=colours)
    yield Text()
    head = [f"of the {_period(found, 2)}", "touched (any access)", *(["hot all over"] if found.sure_bytes else [])]
    yield from amounts.rows(head, _rows(found), width)
    yield Text()
    columns = [("touched (any access)", found.recent_bytes, found.monitored_bytes)]
    if found.memory.rss is not None:
        columns.append(("idle RSS, at least", found.idle_bytes, found.memory.rss.newest))
    yield from amounts.within(found.within_ns, columns, width)
    yield Text()
    yield from amounts.held(found.memory)


def _rows(found: Sizing) -> list[list[str]]:
    names = [*map(amounts.percentile_name, found.percentiles), "in all"]
    columns = [[*found.touched_bytes, found.all_bytes]]
    if found.sure_bytes and found.all_sure_bytes is not None:
        columns.append([*found.sure_bytes, found.all_sure_bytes])
    return [[name, *map(format_size, row)] for name, *row in zip(names, *columns, strict=True)]


def _notes(found: Sizing) -> Iterator[str]:
    span_ns = found.coverage.to_ns - found.coverage.from_ns
    if span_ns < _HOUR:
        yield (
            f"{seconds_words(span_ns)} are little to size by: record at least the busiest hour, better a day"
            f" ({found.nr_periods} {_period(found, found.nr_periods)} here)"
        )
    if found.nr_short:
        yield f"{found.nr_short} {_period(found, found.nr_short)} left out: less than half of each was recorded"
