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

    No bound of it: memory that is accessed more than once between two checks counts once, and one byte that is touched
    counts as its page (with the source referenced as its whole mapping). The figure depends on the sampling interval:
    compare it only with figures of the same one.
    """
    opened, found = run.measure(asked, bandwidth.measure)
    emit(
        Page(
            kind="bandwidth",
            title=f"{found.coverage.context}: memory traffic, an estimate",
            measured=found,
            coverage=found.coverage,
            body=lambda width, colours: _body(found, width, colours=colours),
            figure=lambda: figures.series(
                f"{found.coverage.context}: memory traffic, an estimate",
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
    intervals = [sample for sample, _ in found.coverage.intervals]
    sampled = " to ".join(format_interval(each) for each in dict.fromkeys((min(intervals), max(intervals))))
    page = "mapping" if 0 in found.coverage.granularities else "page"
    yield (
        f"an estimate: what is accessed counts once per sampling interval ({sampled}), however often it is; "
        f"a byte that is touched counts as its whole {page}"
    )
