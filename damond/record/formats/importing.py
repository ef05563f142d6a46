"""Making a record of one of damo's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from damond.core import Origin, Snapshot
from damond.errors import RecordError
from damond.record.formats import damo_json, perf_script
from damond.record.formats.foreign import (
    HINT,
    Intervals,
    Remarks,
    TargetRecord,
    Window,
    intervals_of,
    to_target,
)
from damond.record.writer import RecordWriter

_NSEC_PER_USEC: Final = 1_000
_FLUSH_EVERY: Final = 600
_MAX_ID: Final = 2**63

_MIN_NR_REGIONS: Final = 10
_MAX_NR_REGIONS: Final = 1000
"""DAMON's defaults: damo's files do not have them."""

_GRANULARITY: Final = 4096
_MAGIC: Final = {b"PERFILE2": "perf script", b"\x1f\x8b": "gunzip", b"\x28\xb5\x2f\xfd": "unzstd"}
"""What can't be read here, and what turns it into what can."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file.

    Attributes:
        contexts: Names of the contexts.
        nr_snapshots: Of all of them.
        remarks: What was not in the file, or not as it should be.
    """

    contexts: tuple[str, ...]
    nr_snapshots: int
    remarks: tuple[str, ...]


def import_damo(path: Path, into: Path, name: str, given: Mapping[str, int]) -> Imported:
    """Read a file of damo and append it to a record, or begin one.

    Args:
        path: JSON, packed or plain, or the text of ``perf script``.
        into: The record.
        name: Of the context; of several the others get a number.
        given: Intervals that the file does not have, or has wrong: ``sample_us``, ``aggr_us``.

    Raises:
        RecordError: It can't be read, or lacks something: which, and where.
    """
    records = _read(path)
    groups = [list(each) for _, each in groupby(sorted(records, key=_group), _group)]
    remarks = Remarks()
    # All of it is checked before anything is written.
    names = [f"{name}-{number}" if number else name for number in range(len(groups))]
    contexts = {each: list(_snapshots(each, group, given, remarks)) for each, group in zip(names, groups, strict=True)}
    snapshots = [snapshot for each in contexts.values() for snapshot in each]
    if not any(each.nr_regions for each in snapshots):
        raise RecordError(f"{path}: no snapshot in it has a region", hint="there is nothing to look at in it")
    with RecordWriter(into) as writer:
        for number, each in enumerate(snapshots):
            writer.add(each)
            if number % _FLUSH_EVERY == _FLUSH_EVERY - 1:
                writer.flush()
                writer.seal_one()
    return Imported(tuple(contexts), len(snapshots), tuple(remarks.words))


def _group(record: TargetRecord) -> str:
    return str(record.group)


def _read(path: Path) -> list[TargetRecord]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}", hint="name a file that 'damo record' wrote") from error
    for magic, tool in _MAGIC.items():
        if raw.startswith(magic):
            raise RecordError(f"{path} can't be read as it is", hint=f"make a text of it first: {tool}")
    if raw.startswith(b"SQLite format 3\0"):
        raise RecordError(f"{path} is no file of damo", hint="records of damond need no import: damond report")
    try:
        if raw[:1] in (b"\x78", b"[", b"{") or raw.lstrip()[:1] in (b"[", b"{"):
            records = damo_json.read(raw)
        else:
            records = perf_script.read(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise RecordError(f"{path} is neither JSON nor text", hint=HINT) from None
    except RecordError as error:
        raise RecordError(f"{path}: {error.message}", hint=error.hint) from error
    if not any(record.windows for record in records):
        raise RecordError(f"{path}: there is no snapshot in it", hint=HINT)
    return [record for record in records if record.windows]


class _Part(NamedTuple):
    """A window of one target.

    Attributes:
        window: The window.
        target_id: The target.
    """

    window: Window
    target_id: int


def _snapshots(
    name: str, records: list[TargetRecord], given: Mapping[str, int], remarks: Remarks
) -> Iterator[Snapshot]:
    """Put the targets of a context together, window by window."""
    intervals = intervals_of(records, dict(given), remarks)
    ids = _ids(records, remarks)
    parts = [
        _Part(_with_length(window, intervals.aggr_us), target_id)
        for record, target_id in zip(records, ids, strict=True)
        for window in record.windows
    ]
    parts.sort(key=lambda each: (each.window.end_ns, each.target_id))
    for seq, group in enumerate(_grouped(parts)):
        sample_us = given.get("sample_us") or _sample_us(group[0].window, intervals)
        snapshot = _snapshot(name, group, replace(intervals, sample_us=sample_us), seq, remarks)
        yield replace(snapshot, origin=Origin(host="", epoch=parts[0].window.start_ns, seq=seq))


def _sample_us(window: Window, intervals: Intervals) -> int:
    """Take a window's own interval; damo 3.4.3 writes nanoseconds as microseconds when it converts a record."""
    sample_us = window.sample_us or intervals.sample_us
    return sample_us if sample_us <= intervals.aggr_us else max(sample_us // _NSEC_PER_USEC, 1)


def _ids(records: list[TargetRecord], remarks: Remarks) -> list[int]:
    """Take the targets' ids, if they are numbers that are used once; else count. Linux 5.15 shows pointers."""
    ids = [each.target_id for each in records]
    if all(isinstance(each, int) and 0 <= each < _MAX_ID for each in ids) and len(set(ids)) == len(ids):
        return [int(each) for each in ids]
    remarks.add(f"targets {', '.join(map(str, ids[:4]))} are counted from 0")
    return list(range(len(ids)))


def _with_length(window: Window, aggr_us: int) -> Window:
    if window.start_ns < window.end_ns:
        return window
    return replace(window, start_ns=window.end_ns - aggr_us * _NSEC_PER_USEC)


def _grouped(parts: list[_Part]) -> Iterator[list[_Part]]:
    """Group windows of several targets that are of the same time: no target twice, and all overlap."""
    group: list[_Part] = []
    for each in parts:
        apart = group and each.window.start_ns >= min(part.window.end_ns for part in group)
        if apart or any(each.target_id == part.target_id for part in group):
            yield group
            group = []
        group.append(each)
    if group:
        yield group


def _snapshot(name: str, group: list[_Part], intervals: Intervals, seq: int, remarks: Remarks) -> Snapshot:
    samples = intervals.max_nr_accesses
    try:
        targets = [to_target(part.window, part.target_id, samples, remarks) for part in group]
    except RecordError as error:
        raise RecordError(f"snapshot {seq}: {error.message}", hint=error.hint) from error
    highest = max(int(target.nr_accesses.max(initial=0)) for target in targets)
    if highest > samples:
        remarks.add(
            f"regions have up to {highest} accesses where the intervals make {samples} samples: that many are taken"
        )
    return Snapshot(
        context=name,
        primitive="damo",
        start_ns=min(part.window.start_ns for part in group),
        end_ns=max(part.window.end_ns for part in group),
        sample_us=intervals.sample_us,
        aggr_us=intervals.aggr_us,
        update_us=intervals.update_us,
        min_nr_regions=_MIN_NR_REGIONS,
        max_nr_regions=_MAX_NR_REGIONS,
        max_nr_accesses=max(samples, highest),
        granularity=_GRANULARITY,
        checks=0,
        unknown=0,
        cpu_us=0,
        overruns=0,
        partial=False,
        targets=tuple(sorted(targets, key=lambda each: each.id)),
    )
