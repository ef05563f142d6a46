"""``damond report idle``: for how long memory has been idle."""

from collections.abc import Iterator

import click
import numpy as np
from rich.text import Text

from damond.cli.report import amounts, asking, figures, run
from damond.cli.report.based_on import seconds_words
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked
from damond.cli.words import percent, share_of
from damond.report.measures import idle
from damond.report.measures.idle import Idle
from damond.report.windows import Floats
from damond.units import NSEC_PER_USEC, format_size


@click.command("idle")
@asking.source
@asking.form
def command(asked: Asked, form: Form) -> None:
    """Show for how long memory has been idle, and the tail of what is cold.

    Idle time is told by the age of regions: it may reach back to before the span. "Not touched in the record" needs
    no age: no window within that time found any access there.
    """
    opened, found = run.measure(asked, idle.measure)
    emit(
        Page(
            kind="idle",
            title=f"{found.coverage.context}: idle memory",
            measured=found,
            coverage=found.coverage,
            body=lambda width, colours: _body(found, width),  # noqa: ARG005 - a table has no colours
            figure=lambda: figures.stack(
                f"{found.coverage.context}: memory by idle time",
                found.coverage,
                found.time_ns,
                _layers(found),
                label="bytes",
            ),
            notes=run.notes(opened, found.coverage, confidence=True),
        ),
        form,
    )


def _layers(found: Idle) -> list[tuple[str, Floats]]:
    """Name the classes that have any memory, the hottest first."""
    names = ["accessed", f"idle for less than {seconds_words(found.at_least_ns[0])}"]
    names += [f"idle for {seconds_words(each)} or more" for each in found.at_least_ns]
    layers = [(name, found.class_bytes[:, row]) for row, name in enumerate(names)]
    return [(name, amount) for name, amount in layers if np.nansum(amount) > 0]


def _body(found: Idle, width: int) -> Iterator[Text]:
    yield from amounts.rows(["idle for at least", "at the end", "", "on average", ""], _tail(found), width)
    yield Text()
    yield Text("not touched in the record, of what was monitored at the end:")
    total = found.monitored_bytes
    yield from amounts.within(found.within_ns, [("untouched", found.untouched_bytes, total)], width)
    yield Text()
    if found.idle_us:
        yield Text("percentiles of the memory, at the end:")
        yield from amounts.rows(["of the bytes", "idle for"], _percentiles(found), width)
        yield Text()
    yield from amounts.held(found.memory)


def _tail(found: Idle) -> list[list[str]]:
    """List the idle times that any memory has; what was accessed comes first."""
    total = found.monitored_bytes

    def amount(size: int) -> list[str]:
        return [format_size(size), percent(share_of(size, total))]

    rows = [["(accessed)", *amount(found.accessed_bytes), "", ""]]
    if found.unseen_bytes:
        rows.append(["(unseen)", *amount(found.unseen_bytes), "", ""])
    for each_ns, newest, mean in zip(found.at_least_ns, found.newest_bytes, found.mean_bytes, strict=True):
        if newest or mean:
            rows.append([seconds_words(each_ns), *amount(newest), *amount(mean)])
    return rows


def _percentiles(found: Idle) -> list[list[str]]:
    rows = []
    for percentile, idle_us in zip(found.percentiles, found.idle_us, strict=True):
        words = seconds_words(abs(idle_us) * NSEC_PER_USEC)
        rows.append([f"p{percentile}", words if idle_us >= 0 else f"in use for {words}"])
    return rows
