"""``damond export``: a record in the format of other programs."""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

import click

from damond.cli.report.times import parse_moment
from damond.errors import RecordError
from damond.record import Record, RecordedContext
from damond.record.formats import damo, damo_beside, tables
from damond.record.formats.selection import Selection

Write = Callable[[Selection, IO[bytes]], list[str]]

_STREAMS: Final[dict[str, Write]] = {"damo": damo.write, "json": tables.write_json, "csv": tables.write_csv}
_BINARY: Final = {"damo": ".damon.data", "parquet": ".parquet"}
"""What is nothing to look at goes into a file beside the record."""


@click.command("export")
@click.option("--format", "kind", type=click.Choice(["damo", "parquet", "json", "csv"]), required=True, help="Format.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Where to; - is standard output.  [default: - for json and csv, else beside the record]",
)  # fmt: skip
@click.option("--context", multiple=True, help="Name of a context; NAME@HOST where two hosts have it.  [default: all]")
@click.option("--from", "begin", metavar="TIME", help="Begin: 02:00, 2026-11-24T02:00, or -2h (before the end).")
@click.option("--to", "end", metavar="TIME", help="End, in the same way.")
@click.argument("path", type=click.Path(path_type=Path), metavar="FILE")
def command(
    kind: str, output: Path | None, context: tuple[str, ...], begin: str | None, end: str | None, path: Path
) -> None:
    """Write a record for damo, or as Parquet, JSON (a snapshot per line) or CSV (a region per line).

    damo gets one context as 'damo report' reads it, zlib-compressed JSON, and beside it FILE.mem_footprint and
    FILE.vmas; windows that were not full are left out. 'damo report wss' passes over the first 20 snapshots, unless
    it is told --exclude_samples 0.
    """
    with Record.open(path) as record:
        selection = _selection(record, context, begin, end)
        if output is None:
            output = path.with_name(path.stem + _BINARY[kind]) if kind in _BINARY else Path("-")
            if output.exists():
                raise RecordError(f"{output} is there already", hint=f"to overwrite it: -o {output}")
        remarks = _write(kind, selection, output)
        remarks += [f"{each.missed} snapshots are damaged, and left out" for each in record.damaged]
    for each in remarks:
        click.echo(f"damond: note: {each}", err=True)
    if output != Path("-"):
        click.echo(f"written: {output}", err=True)


def _selection(record: Record, names: tuple[str, ...], begin: str | None, end: str | None) -> Selection:
    known = [record.context(each) for each in names] if names else list(record.contexts())
    if not known:
        raise RecordError(f"{record.path} holds no snapshot yet", hint="record something: damond record -o FILE PID")
    last_ns = max(each.last_ns for each in known)
    from_ns = None if begin is None else parse_moment(begin, last_ns)
    to_ns = None if end is None else parse_moment(end, last_ns, after_ns=from_ns)
    chosen = [each for each in known if _overlaps(each, from_ns, to_ns)]
    if not chosen:
        record.spanning(known[0], from_ns, to_ns)
    return Selection(record, chosen, from_ns, to_ns)


def _overlaps(context: RecordedContext, from_ns: int | None, to_ns: int | None) -> bool:
    return (from_ns is None or from_ns < context.last_ns) and (to_ns is None or to_ns > context.first_ns)


def _write(kind: str, selection: Selection, output: Path) -> list[str]:
    """Write it; a file appears as a whole or not at all."""
    if output == Path("-"):
        if kind == "parquet":
            raise RecordError("Parquet can't be written to a pipe", hint="name a file with -o")
        return _STREAMS[kind](selection, sys.stdout.buffer)
    try:
        if output.exists() and not output.is_file():
            return _write_through(kind, selection, output)
        target = output.resolve()  # a link stays one
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as file:
            new = Path(file.name)
            try:
                remarks = tables.write_parquet(selection, new) if kind == "parquet" else _STREAMS[kind](selection, file)
                file.flush()
                new.chmod(0o666 & ~_umask())
                new.replace(target)
                if kind == "damo":
                    damo_beside.write(selection, output)
            except BaseException:
                new.unlink(missing_ok=True)
                raise
    except (OSError, RuntimeError) as error:  # pathlib raises the latter for links in a circle
        why = error.strerror if isinstance(error, OSError) else error
        raise RecordError(f"{output} can't be written: {why}", hint="choose another with -o") from error
    return remarks


def _write_through(kind: str, selection: Selection, output: Path) -> list[str]:
    """Write into a pipe or a device, which can't be replaced."""
    if kind == "parquet":
        raise RecordError(f"{output} is no file, and Parquet needs one", hint="name a file with -o")
    with output.open("wb") as stream:
        return _STREAMS[kind](selection, stream)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
