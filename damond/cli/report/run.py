"""Reading a subject and measuring it, with progress, and what is to be said about both."""

from collections.abc import Callable
from typing import TypeVar

from damond.cli.report import based_on, progress
from damond.cli.report.opening import Asked, Opened, open_subject
from damond.report.coverage import Coverage
from damond.report.subject import Subject

Measured = TypeVar("Measured")


def measure(asked: Asked, how: Callable[[Subject], Measured]) -> tuple[Opened, Measured]:
    """Open what is asked about, and measure it."""
    opened = open_subject(asked)
    with progress.shown(opened.subject) as (subject,):
        return opened, how(subject)


def notes(opened: Opened, coverage: Coverage, *, adapting_left_out: bool = True, confidence: bool = False) -> list[str]:
    """Gather all that the reader has to know.

    Args:
        opened: What was opened.
        coverage: What the report is based on.
        adapting_left_out: As in :func:`damond.cli.report.based_on.notes`.
        confidence: Say how sure it is that memory is cold, as well.
    """
    found = [*opened.remarks, *based_on.notes(coverage, adapting_left_out=adapting_left_out)]
    if confidence:
        found += based_on.confidence(coverage)
    damaged = opened.record.damaged if opened.record is not None else []
    if damaged:
        lost = sum(each.missed for each in {each.start_ns: each for each in damaged}.values())
        found.append(f"{lost:,} windows can't be read any more: the file is damaged")
    return found
