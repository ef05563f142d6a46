"""From the words of the command line to the subject of a report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from damond.cli.report.times import date_and_clock, parse_moment, span_words
from damond.client import Client
from damond.core import Snapshot, Summary
from damond.core.context import check_name
from damond.errors import NothingRecordedError, UnknownNameError, UsageError
from damond.record import MappingsAt, MemoryAt, Record, RecordedContext
from damond.report.source import of_record, of_snapshots
from damond.report.subject import Subject

LIVE: Final = "live"
"""Instead of a file: what a running service still has."""

_NOTHING: Final = "record something: damond record -o FILE PID, or damond record -o FILE -- COMMAND"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which context, and which span of it.

    Attributes:
        source: A record, or ``live``.
        context: Name of the context, or ``name@host``; None is the only one.
        begin: Begin of the span as it was written; None is that of the record.
        end: End of the span as it was written; None is that of the record.
        runtime_dir: Of the running service; None is the default one.
    """

    source: str
    context: str | None = None
    begin: str | None = None
    end: str | None = None
    runtime_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """What was found.

    Attributes:
        subject: What the report is about.
        record: The record it comes from; None if it comes from a running service.
        remarks: What the reader has to know, of what was asked for and is not there.
    """

    subject: Subject
    record: Record | None
    remarks: tuple[str, ...] = ()


def open_subject(asked: Asked) -> Opened:
    """Find what a report is asked about.

    Raises:
        RecordError: The file is no record.
        UnknownNameError: There is no such context.
        UsageError: There are several contexts and none is named, or the span is none.
        NothingRecordedError: Nothing is there, or nothing in that span.
        UnreachableError: No service runs.
    """
    if asked.source == LIVE:
        subject = _live(asked)
        begin_ns, end_ns, remarks = _span(asked, subject.from_ns, subject.to_ns)
        return Opened(replace(subject, from_ns=begin_ns, to_ns=end_ns), None, remarks)
    record = Record.open(asked.source)
    found = _chosen(record, asked)
    begin_ns, end_ns, remarks = _span(asked, found.first_ns, found.last_ns)
    return Opened(of_record(record, found, begin_ns, end_ns), record, remarks)


def _span(asked: Asked, first_ns: int, last_ns: int) -> tuple[int, int, tuple[str, ...]]:
    """Read the span that was asked for, and narrow it to what is there; say so if there is less."""
    begin_ns = first_ns if asked.begin is None else parse_moment(asked.begin, last_ns)
    after_ns = None if asked.begin is None else begin_ns
    end_ns = last_ns if asked.end is None else parse_moment(asked.end, last_ns, after_ns=after_ns)
    if begin_ns >= end_ns and asked.begin is not None and asked.end is not None:
        raise UsageError(
            f"the span ends ({date_and_clock(end_ns)}) before it begins ({date_and_clock(begin_ns)})",
            hint=f"there is something from {span_words(first_ns, last_ns)}",
        )
    if begin_ns >= last_ns or end_ns <= first_ns:
        span = f"from {span_words(begin_ns, end_ns)}"
        span = f"before {date_and_clock(end_ns)}" if asked.begin is None else span
        span = f"after {date_and_clock(begin_ns)}" if asked.end is None else span
        raise NothingRecordedError(
            f"there is nothing {span}",
            hint=f"there is something from {span_words(first_ns, last_ns)}",
        )
    remarks = []
    if begin_ns < first_ns:
        remarks.append(f"there is nothing before {date_and_clock(first_ns)}")
    if end_ns > last_ns:
        remarks.append(f"there is nothing after {date_and_clock(last_ns)}")
    return max(begin_ns, first_ns), min(end_ns, last_ns), tuple(remarks)


def _chosen(record: Record, asked: Asked) -> RecordedContext:
    """Choose a context of a record: the one that is named, or the only one."""
    known = record.contexts()
    if not known:
        raise NothingRecordedError(f"{asked.source} holds no snapshot yet", hint=_NOTHING)
    if asked.context is not None:
        return record.context(asked.context)
    if len(known) > 1:
        raise UsageError(f"{asked.source} holds {len(known)} contexts", hint=_choose([str(each) for each in known]))
    return known[0]


def _choose(names: Sequence[str]) -> str:
    return f"choose one with --context: {', '.join(names)}"


def _live(asked: Asked) -> Subject:
    """Fetch what the service keeps of a context: the snapshots of its worker, and its newest summary."""
    with Client(asked.runtime_dir) as client:
        names = [each["name"] for each in client.contexts()]
        if not names:
            raise NothingRecordedError("the service has no contexts", hint="start one: damond start NAME")
        if asked.context is None and len(names) > 1:
            raise UsageError(f"the service has {len(names)} contexts", hint=_choose(names))
        name = names[0] if asked.context is None else check_name(asked.context)
        if name not in names:
            raise UnknownNameError("context", name, names)
        newest = client.snapshot(name)
        if not isinstance(newest, Snapshot) or newest.origin is None:
            raise NothingRecordedError(f"{name} has delivered nothing yet", hint="'damond status' says how it is")
        kept = [each for each in client.replay(name, newest.origin.epoch) if isinstance(each, Snapshot)]
        summary = client.snapshot(name, "summary")
    found = kept or [newest]
    mappings, memory = _of_summary(summary) if isinstance(summary, Summary) else ([], [])
    return of_snapshots(found, mappings, memory)


def _of_summary(summary: Summary) -> tuple[list[MappingsAt], list[MemoryAt]]:
    """Take what a summary tells of the processes: it is of now, and says nothing of earlier times."""
    mappings = [
        MappingsAt(summary.end_ns, each.pid, each.target_id, each.mappings) for each in summary.memory if each.mappings
    ]
    memory = [
        MemoryAt(
            time_ns=summary.end_ns,
            pid=each.pid,
            target_id=each.target_id,
            vsz_bytes=each.vsz_bytes,
            rss_bytes=each.rss_bytes,
            pss_bytes=each.pss_bytes,
            limit_bytes=each.limit_bytes,
        )
        for each in summary.memory
    ]
    return mappings, memory
