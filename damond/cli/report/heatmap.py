"""``damond report heatmap``: what was hot when."""

from collections.abc import Iterator
from typing import Final

import click
from rich.text import Text

from damond.cli import output
from damond.cli.report import asking, figures, heat_text, run
from damond.cli.report.emit import Form, Page, emit
from damond.cli.report.opening import Asked, Opened
from damond.core.mappings import Mappings
from damond.errors import UnknownNameError
from damond.report.measures import heat
from damond.report.measures.heat import Canvas, Heat, Unit
from damond.report.subject import Subject

_TEXT_LINES: Final = 24
_FURNITURE: Final = 14
"""Lines of a terminal that are not heat: what is drawn, folds, axis, legend, notes, the prompt."""

_LEAST_LINES: Final = 8
_MOST_LINES: Final = 40
_FIGURE_TIMES: Final = 600
"""Cells of a picture in a file, in time."""


@click.command("heatmap")
@asking.source
@click.option("--target", type=int, help="Id of the target, e.g. a pid.  [default: the one with the most accesses]")
@click.option("--whole", is_flag=True, help="Draw all that was monitored, not just the hottest addresses.")
@click.option(
    "--unit", type=click.Choice(["share", "rate"]), default="share", show_default=True,
    help="Heat as share of samples that found an access, or as accesses per second of a page.",
)  # fmt: skip
@asking.form
def command(asked: Asked, form: Form, target: int | None, unit: str, *, whole: bool) -> None:
    """Draw what was hot when: time to the right, addresses downwards (in a file: upwards).

    A cell is the share of samples that found an access, averaged over its bytes and its time. Addresses between what
    is drawn are folded, and the fold says how many they are.
    """

    def measure(subject: Subject) -> Heat:
        cells = (_FIGURE_TIMES, figures.CELLS) if form.png or form.svg else _cells(names=bool(subject.maps.versions))
        return heat.measure(
            subject,
            Canvas(
                nr_times=cells[0],
                nr_addrs=cells[1],
                everything=whole,
                target_id=target,
                unit=Unit[unit.upper()],
            ),
        )

    opened, found = run.measure(asked, measure)
    if target is not None and target not in found.target_ids and found.target_ids:
        raise UnknownNameError("target", str(target), [str(each) for each in found.target_ids])
    mappings = _mappings(opened, found)
    emit(
        Page(
            kind="heatmap",
            title=f"{found.coverage.context}: heat map",
            measured=found,
            coverage=found.coverage,
            body=lambda width, colours: _body(found, mappings, width, colours=colours),
            figure=lambda: figures.heatmap(found, mappings),
            notes=[*run.notes(opened, found.coverage, adapting_left_out=False, confidence=True), *_others(found)],
        ),
        form,
    )


def _cells(*, names: bool) -> tuple[int, int]:
    """Count the cells that fit: into the terminal, or into the 80 columns of a file."""
    console = output.console()
    nr_lines = min(max(console.height - _FURNITURE, _LEAST_LINES), _MOST_LINES)
    nr_times = max(console.width - heat_text.margin(console.width, names=names), 1)
    return nr_times, nr_lines if console.is_terminal else _TEXT_LINES


def _mappings(opened: Opened, found: Heat) -> Mappings | None:
    if found.heatmap is None:
        return None
    return opened.subject.maps.newest(opened.subject.to_ns).get(found.heatmap.target_id)


def _body(found: Heat, mappings: Mappings | None, width: int, *, colours: bool) -> Iterator[Text]:
    if found.heatmap is None:
        yield Text("nothing was monitored in this time: no region, of no target")
        return
    yield from heat_text.lines(found, found.heatmap, mappings, width, colours=colours)


def _others(found: Heat) -> Iterator[str]:
    if found.heatmap is not None and len(found.target_ids) > 1:
        others = [str(each) for each in found.target_ids if each != found.heatmap.target_id]
        shown = ", ".join(others[:8]) + (", ..." if len(others) > 8 else "")  # noqa: PLR2004 - as fit into a line
        yield f"one of {len(found.target_ids)} targets is drawn; --target ID draws another: {shown}"
