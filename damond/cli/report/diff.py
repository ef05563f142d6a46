"""``damond report diff``: what became hot and what became cold."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import click
from rich.text import Text

from damond.cli import table
from damond.cli.picture import DIM
from damond.cli.report import amounts, asking, bars, progress, run
from damond.cli.report.based_on import facts
from damond.cli.report.emit import Form, Page, check_any, emit
from damond.cli.report.opening import Asked, Opened, open_subject
from damond.cli.table import Column
from damond.cli.words import address, percent, shortened
from damond.errors import UsageError
from damond.report.measures import diff
from damond.report.measures.diff import Change, Diff, Side
from damond.units import format_size

_TOP: Final = 16
_NAME: Final = 20
_NAMES: Final = ("before", "after")
_NO_CHANGE: Final = "no piece of memory became hotter or colder by 5 % of the samples"
_NOT_COMPARED: Final = "other processes, and it is not known what they had mapped: only totals compare"


@click.command("diff")
@asking.source
@click.argument("other", metavar="[FILE]", required=False)
@click.option("--before", metavar="FROM..TO", help="The earlier span, e.g. 02:00..03:00.")
@click.option("--after", metavar="FROM..TO", help="The later span.")
@click.option("--top", type=click.IntRange(min=1), default=_TOP, show_default=True, help="So many changes.")
@asking.form
def command(asked: Asked, form: Form, other: str | None, before: str | None, after: str | None, top: int) -> None:
    """Compare two spans of a record, or two records: what became hot, and what became cold.

    Two files are compared as they are (--from and --to hold for both). Of one file the spans --before and --after are,
    or without these its first and its second half. Memory of different processes is compared by the names of mappings.
    """
    sides = _sides(asked, other, before, after)
    with progress.shown(*(each.subject for each in sides)) as (earlier, later):
        found = diff.measure(earlier, later)
    measured = (found.before, found.after)
    for side in measured:
        check_any(side.coverage)
    title = f"{found.after.coverage.context}: what became hot or cold"
    emit(
        Page(
            kind="diff",
            title=title,
            measured=found,
            coverage=found.after.coverage,
            facts=list(_facts(found)),
            body=lambda width, colours: _body(found, top, width),  # noqa: ARG005 - a table has no colours
            figure=lambda: bars.changes(title, found, top),
            notes=[*_of_sides(sides, found), *_notes(found)],
        ),
        form,
    )


def _sides(asked: Asked, other: str | None, before: str | None, after: str | None) -> tuple[Opened, Opened]:
    """Open the two sides: two files, two spans, or two halves.

    Raises:
        UsageError: Spans and two files, or one span only.
    """
    if other is not None:
        if before or after:
            raise UsageError("two files, and spans of one", hint="--from and --to hold for both files")
        return open_subject(asked), open_subject(replace(asked, source=other))
    if before and after:
        return open_subject(_within(asked, before)), open_subject(_within(asked, after))
    if before or after:
        raise UsageError("one span only", hint="give --before FROM..TO and --after FROM..TO")
    whole = open_subject(asked)
    middle_ns = (whole.subject.from_ns + whole.subject.to_ns) // 2
    halves = replace(whole.subject, to_ns=middle_ns), replace(whole.subject, from_ns=middle_ns)
    earlier, later = (replace(each, nr_windows=each.nr_windows // 2) for each in halves)
    return replace(whole, subject=earlier), replace(whole, subject=later)


def _within(asked: Asked, span: str) -> Asked:
    begin, dots, end = span.partition("..")
    if not (begin and dots and end):
        raise UsageError(f"{span!r} is not FROM..TO", hint="write 02:00..03:00 or -2h..-1h")
    return replace(asked, begin=begin, end=end)


def _body(found: Diff, top: int, width: int) -> Iterator[Text]:
    yield from amounts.rows(["", *_NAMES], _totals(found.before, found.after), width)
    yield Text()
    if not found.changes:
        yield Text(_NOT_COMPARED if found.by == "nothing" else _NO_CHANGE)
        return
    several = len({each.target_id for each in found.changes}) > 1
    by_name, named = found.by == "name", any(each.name for each in found.changes)
    columns = [
        Column("mapping" if by_name else "address"),
        Column("size", right=True),
        Column("before", right=True),
        Column("after", right=True),
        Column("hot bytes", right=True),
        *([Column("target", right=True, rank=1)] if several else []),
        *([Column("mapping")] if named and not by_name else []),
    ]
    rows = [_row(each, by_name=by_name, several=several, named=named) for each in found.changes[:top]]
    yield from table.lines(columns, rows, width)
    rest = found.changes[top:]
    if rest:
        yield Text(f"{len(rest)} smaller change{'s'[: len(rest) != 1]}: --top shows more", DIM)
    yield Text()
    yield Text("before, after: share of samples that found an access; hot bytes: size times it", DIM)


def _facts(found: Diff) -> Iterator[str]:
    for name, side in zip(_NAMES, (found.before, found.after), strict=True):
        when, how = facts(side.coverage)
        yield f"{name + ':':<8}{when}"
        yield f"{'':8}{how}"


def _totals(before: Side, after: Side) -> list[list[str]]:
    def amount(size: int | None) -> str:
        return "" if size is None else format_size(size)

    rows = [
        ["working set, median", amount(before.wss_median_bytes), amount(after.wss_median_bytes)],
        ["working set, p99", amount(before.wss_p99_bytes), amount(after.wss_p99_bytes)],
        ["traffic, estimated", f"{amount(before.bandwidth_bps)}/s", f"{amount(after.bandwidth_bps)}/s"],
    ]
    if before.memory.rss is not None and after.memory.rss is not None:
        rows.append(["RSS at the end", amount(before.memory.rss.newest), amount(after.memory.rss.newest)])
    return rows


def _row(change: Change, *, by_name: bool, several: bool, named: bool) -> list[Text]:
    name = Text(shortened(change.name, _NAME))
    return [
        name if by_name else Text(address(change.start or 0)),
        Text(format_size(change.size)),
        Text(_heat(change.before)),
        Text(_heat(change.after)),
        Text(f"{'+' if change.hot_bytes >= 0 else '-'}{format_size(abs(change.hot_bytes))}"),
        *([Text(str(change.target_id))] if several else []),
        *([name] if named and not by_name else []),
    ]


def _heat(heat: float | None) -> str:
    return "not there" if heat is None else percent(heat)


def _of_sides(sides: tuple[Opened, Opened], found: Diff) -> Iterator[str]:
    """Say what is to be known of both, then of one."""
    earlier, later = (
        run.notes(opened, side.coverage) for opened, side in zip(sides, (found.before, found.after), strict=True)
    )
    yield from (note for note in earlier if note in later)
    yield from (f"before: {note}" for note in earlier if note not in later)
    yield from (f"after: {note}" for note in later if note not in earlier)


def _notes(found: Diff) -> Iterator[str]:
    if found.by == "name":
        yield "different processes: memory is compared by the name of what is mapped there"
    samples = [{sample for sample, _ in side.coverage.intervals} for side in (found.before, found.after)]
    if samples[0] != samples[1]:
        yield "sampling intervals differ: longer ones find more memory accessed, and less traffic"
