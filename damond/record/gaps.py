"""What is missing between two neighbouring snapshots of a context."""

from dataclasses import replace
from typing import Final, NamedTuple

from damond.core import Origin, Snapshot
from damond.record.model import Gap, GapReason
from damond.units import NSEC_PER_USEC

SILENT_NS: Final = 1_000_000_000
"""A context that publishes nothing for longer than this beyond its interval was silent. Nanoseconds."""


class Last(NamedTuple):
    """The snapshot before.

    Attributes:
        epoch: Of its worker; 0 if there was none.
        seq: Its number.
        end_ns: End of its window. Nanoseconds.
    """

    epoch: int
    seq: int
    end_ns: int


def is_known(last: Last | None, snapshot: Snapshot) -> bool:
    """Say whether a snapshot is in the record already: what was replayed may come again."""
    origin = snapshot.origin
    return last is not None and origin is not None and origin.epoch == last.epoch and origin.seq <= last.seq


def mark(last: Last | None, snapshot: Snapshot) -> tuple[Snapshot, Gap | None]:
    """Tell in a snapshot's origin what was lost between it and the one before, and make a gap of it.

    By the numbers of what is in the record, whoever lost the rest: the stream, a recorder that did not run, a full
    disk. How many were lost at the end of an earlier worker can't be known.
    """
    origin = snapshot.origin or Origin(host="", epoch=0, seq=0)
    if last is None:
        return replace(snapshot, origin=replace(origin, missed=0, skipped=0, restarted=False)), None
    restarted = origin.epoch != last.epoch
    missed = max(0, origin.seq if restarted else origin.seq - last.seq - 1)
    marked = replace(snapshot, origin=replace(origin, missed=missed, skipped=0, restarted=restarted))
    reason = _reason(last, snapshot, missed=missed, restarted=restarted)
    if reason is None:
        return marked, None
    return marked, Gap(
        start_ns=last.end_ns, end_ns=snapshot.start_ns, missed=missed, restarted=restarted, reason=reason
    )


def _reason(last: Last, snapshot: Snapshot, *, missed: int, restarted: bool) -> GapReason | None:
    if restarted:
        return "restarted"
    if missed:
        return "lost"
    if snapshot.end_ns <= last.end_ns:
        return "clock"
    silent_ns = max(SILENT_NS, snapshot.aggr_us * NSEC_PER_USEC)
    return "silent" if snapshot.start_ns - last.end_ns > silent_ns else None
