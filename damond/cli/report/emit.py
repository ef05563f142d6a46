"""Giving a report out: text, JSON, or a picture in a file."""

import importlib.util
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.text import Text

from damond.cli import output, ramp
from damond.cli.picture import BOLD, DIM
from damond.cli.report import based_on
from damond.cli.report.documents import document
from damond.cli.report.times import span_words
from damond.errors import NothingRecordedError, UsageError
from damond.report.coverage import Coverage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTE: Final = "note: "
_DPI: Final = 120
Body = Callable[[int, bool], Iterator[Text]]
"""Draws the report: width in characters, with colours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report, ready to be given out.

    Attributes:
        kind: Type of the report, as on the command line.
        title: What it is, for people.
        measured: What was measured, a dataclass: the JSON.
        coverage: What it is based on.
        body: Draws it as text.
        figure: Draws it for a file.
        notes: What the reader has to know.
        facts: Where, when and from how much; None is what the coverage says.
    """

    kind: str
    title: str
    measured: Any
    coverage: Coverage
    body: Body
    figure: "Callable[[], Figure]"
    notes: Sequence[str] = ()
    facts: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a report is given out: as text unless another form is asked for.

    Attributes:
        as_json: As JSON.
        png: Into this file.
        svg: Into this file.
    """

    as_json: bool = False
    png: Path | None = None
    svg: Path | None = None

    def check(self) -> None:
        """Refuse what can't be, before anything is read.

        Raises:
            UsageError: matplotlib is not installed.
        """
        if (self.png or self.svg) and importlib.util.find_spec("matplotlib") is None:
            raise UsageError("pictures in files need matplotlib", hint="pip install 'damond[report]'")


def emit(page: Page, form: Form) -> None:
    """Give a report out.

    Raises:
        NothingRecordedError: There is no window in it.
        UsageError: A file can't be written.
    """
    check_any(page.coverage)
    for path, kind in ((form.png, "png"), (form.svg, "svg")):
        if path is not None:
            _write(page.figure(), path, kind)
    if form.as_json:
        output.print_json(document(page.kind, page.measured, list(page.notes)))
    elif not (form.png or form.svg):
        print_page(output.console(), page)


def check_any(coverage: Coverage) -> None:
    """Refuse to report on nothing.

    Raises:
        NothingRecordedError: There is no window.
    """
    if not coverage.nr_windows:
        raise NothingRecordedError(
            f"{coverage.context}: there is no window from {span_words(coverage.from_ns, coverage.to_ns)}",
            hint="the record has a gap there: take another span, or record it: damond record NAME",
        )


def print_page(console: Console, page: Page) -> None:
    """Print a report as text."""
    facts = based_on.facts(page.coverage) if page.facts is None else page.facts
    lines = [Text(page.title, BOLD), *(Text(each, DIM) for each in facts), Text()]
    lines += page.body(console.width, ramp.has_colours(console))
    lines += [Text()] if page.notes else []
    for line in lines:
        console.print(line, no_wrap=True, overflow="crop", crop=True)
    for note in page.notes:
        console.print(Text(textwrap.fill(_NOTE + note, console.width, subsequent_indent=" " * len(_NOTE))))


def _write(figure: "Figure", path: Path, kind: str) -> None:
    try:
        figure.savefig(path, format=kind, dpi=_DPI)
    except OSError as error:
        raise UsageError(f"{path}: can't be written: {error.strerror}", hint="name another file") from error
    click.echo(f"written: {path}", err=True)
