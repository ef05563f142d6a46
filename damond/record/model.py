"""What a record holds, as values."""

from dataclasses import dataclass
from typing import Literal

from damond.core import Mapping as Mapping  # noqa: PLC0414 - a part of what a record holds

GapReason = Literal["lost", "restarted", "silent", "clock", "damaged"]


@dataclass(frozen=True, slots=True)
class RecordedContext:
    """A context of one host in a record.

    Attributes:
        name: Name of the context.
        host: Name of the machine that it ran on.
        primitive: Name of the primitive of its newest snapshot.
        first_ns: Begin of its first window, Unix time. Nanoseconds.
        last_ns: End of its last window, Unix time. Nanoseconds.
        nr_snapshots: Snapshots of it.
    """

    name: str
    host: str
    primitive: str
    first_ns: int
    last_ns: int
    nr_snapshots: int

    def __str__(self) -> str:
        return f"{self.name}@{self.host}" if self.host else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A stretch of time about which the record says nothing, or less than it could.

    Attributes:
        start_ns: End of the last window before it, Unix time. Nanoseconds.
        end_ns: Begin of the first window behind it; before ``start_ns`` if Unix time was set back. Nanoseconds.
        missed: Snapshots that are known to be lost in it.
        restarted: Whether the worker was started anew in it.
        reason: ``lost`` (on the way, while nobody recorded, or because the disk was full), ``restarted``, ``silent``
            (nothing is lost: the context was paused, the machine slept, or Unix time was set forward), ``clock``
            (Unix time was set back) or ``damaged`` (what was recorded can't be read any more).
    """

    start_ns: int
    end_ns: int
    missed: int
    restarted: bool
    reason: GapReason


@dataclass(frozen=True, slots=True)
class MappingsAt:
    """What a process had mapped from some time on.

    Attributes:
        time_ns: From when on it is known, until the next of this target. Unix time. Nanoseconds.
        pid: The process.
        target_id: The target.
        mappings: Sorted by address, disjoint.
    """

    time_ns: int
    pid: int
    target_id: int
    mappings: tuple[Mapping, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryAt:
    """How much memory a process had at some time.

    Attributes:
        time_ns: When, Unix time. Nanoseconds.
        pid: The process.
        target_id: The target.
        vsz_bytes: As in :class:`damond.core.ProcessMemory`, and so are the others. Bytes.
        rss_bytes: Bytes.
        pss_bytes: Bytes, or None.
        limit_bytes: Bytes, or None.
    """

    time_ns: int
    pid: int
    target_id: int
    vsz_bytes: int
    rss_bytes: int
    pss_bytes: int | None
    limit_bytes: int | None
