"""``damond report bandwidth``: an estimate of the memory traffic."""

from collections.abc import Iterator

import click
from rich.text import Text

from damond.cli.report import amounts, asking, figures, run
from damond.cli.report.chart import Chart
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked
from damond.report.measures import bandwidth
from damond.report.measures.bandwidth import Bandwidth
from damond.units import format_interval, format_size


@click.command("bandwidth")
@asking.source
@asking.form
def command(asked: Asked, form: Form) -> None:
    """Estimate the memory traffic, as the kernel's DAMON_STAT does: size times accesses found, per second.

    Memory that is accessed more than once between two checks counts once: the figure is a lower bound, and depends on
    the sampling interval. Compare it only with figures of the same interval.
    """
    opened, found = run.measure(asked, bandwidth.measure)
    emit(
        Page(
            kind="bandwidth",
            title=f"{found.coverage.context}: memory traffic, at least",
            measured=found,
            coverage=found.coverage,
            body=lambda width, colours: _body(found, width, colours=colours),
            figure=lambda: figures.series(
                f"{found.coverage.context}: memory traffic, at least",
                found.coverage,
                [("estimated traffic", found.series)],
                label="bytes per second",
                words=_rate,
            ),
            notes=[*run.notes(opened, found.coverage), *_notes(found)],
        ),
        form,
    )


def _rate(bps: float) -> str:
    return f"{format_size(bps)}/s"


def _body(found: Bandwidth, width: int, *, colours: bool) -> Iterator[Text]:
    chart = Chart(name="estimated traffic", series=found.series, words=_rate)
    yield from chart.lines(width, colours=colours)
    yield Text()
    cells = [
        [amounts.percentile_name(each), _rate(bps)] for each, bps in zip(found.percentiles, found.bps, strict=True)
    ]
    yield from amounts.rows(["of the time", "traffic"], [*cells, ["average", _rate(found.mean_bps)]], width)


def _notes(found: Bandwidth) -> Iterator[str]:
    sampled = ", ".join(
        format_interval(each) for each in dict.fromkeys(sample for sample, _ in found.coverage.intervals)
    )
    yield f"counted at most once per sampling interval ({sampled}): the real traffic may be far more"
