"""From a record, or from snapshots at hand, to what a report is about."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from damond.core import Snapshot
from damond.core.mappings import Mappings, MapsOverTime
from damond.record import Block, MappingsAt, MemoryAt, Record, RecordedContext
from damond.report.subject import Subject


def of_record(record: Record, context: RecordedContext, from_ns: int, to_ns: int) -> Subject:
    """Take a span of one context of a record.

    Args:
        record: The record.
        context: One of its contexts.
        from_ns: Begin of the span, Unix time; it is narrowed to what was recorded. Nanoseconds.
        to_ns: End of the span.
    """
    from_ns, to_ns = max(from_ns, context.first_ns), min(to_ns, context.last_ns)
    share = (to_ns - from_ns) / max(context.last_ns - context.first_ns, 1)
    return Subject(
        context=context.name,
        host=context.host,
        primitive=context.primitive,
        from_ns=from_ns,
        to_ns=to_ns,
        nr_windows=round(context.nr_snapshots * share),
        read=lambda first_ns, last_ns: record.blocks(context, first_ns, last_ns),
        maps=maps_over_time(record.mappings(context, from_ns, to_ns)),
        memory=tuple(record.memory(context, from_ns, to_ns)),
    )


def of_snapshots(
    snapshots: Sequence[Snapshot], mappings: Sequence[MappingsAt] = (), memory: Sequence[MemoryAt] = ()
) -> Subject:
    """Take snapshots of one context, in the order in which they came; at least one."""
    kinds = groupby(snapshots, key=lambda each: (each.primitive, each.policy))
    blocks = [Block.of(list(group)) for _, group in kinds]

    def read(from_ns: int, to_ns: int) -> Iterator[Block]:
        for block in blocks:
            wanted = (block.column("start_ns") < to_ns) & (block.column("end_ns") > from_ns)
            if wanted.any():
                yield block

    newest = snapshots[-1]
    return Subject(
        context=newest.context,
        host=newest.origin.host if newest.origin else "",
        primitive=newest.primitive,
        from_ns=min(each.start_ns for each in snapshots),
        to_ns=max(each.end_ns for each in snapshots),
        nr_windows=len(snapshots),
        read=read,
        maps=maps_over_time(mappings),
        memory=tuple(memory),
    )


def maps_over_time(found: Sequence[MappingsAt] | Iterator[MappingsAt]) -> MapsOverTime:
    """Sort mappings by target and time; those that could not be read are left out."""
    versions: dict[int, list[tuple[int, Mappings]]] = {}
    for each in sorted(found, key=lambda each: each.time_ns):
        if each.mappings:
            versions.setdefault(each.target_id, []).append((each.time_ns, Mappings.of(each.mappings)))
    return MapsOverTime(versions)
