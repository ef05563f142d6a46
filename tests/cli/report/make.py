"""Records to report on, of a process that does not run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from damond.core import Mapping, Origin, ProcessMemory, Snapshot, Summary
from damond.record import RecordWriter
from tests.report.synthetic import MIB

PID = 1234
BASE = 0x7F00_0000_0000


def as_process(snapshots: Sequence[Snapshot], pid: int = PID) -> list[Snapshot]:
    """Make the memory that of a process."""
    return [
        replace(each, targets=tuple(replace(part, id=pid, pid=pid, start=part.start + BASE) for part in each.targets))
        for each in snapshots
    ]


def write(path: Path, snapshots: Sequence[Snapshot], context: str = "web", host: str = "box", epoch: int = 1) -> Path:
    """Write snapshots into a record."""
    with RecordWriter(path) as writer:
        for seq, each in enumerate(snapshots):
            writer.add(replace(each, context=context, origin=Origin(host=host, epoch=epoch, seq=seq)))
    return path


def summary(snapshot: Snapshot, pid: int = PID) -> Summary:
    """Say what the process holds: 200 MiB, and three mappings."""
    mappings = (
        Mapping(BASE, BASE + 32 * MIB, "[heap]"),
        Mapping(BASE + 32 * MIB, BASE + 64 * MIB, "table.db"),
        Mapping(BASE + 64 * MIB, BASE + 128 * MIB, "anonymous"),
    )
    memory = ProcessMemory(
        target_id=pid, pid=pid, vsz_bytes=512 * MIB, rss_bytes=200 * MIB, pss_bytes=180 * MIB, limit_bytes=256 * MIB,
        mappings=mappings,
    )  # fmt: skip
    return Summary(
        context="web", end_ns=snapshot.end_ns, total_bytes=128 * MIB, accessed_bytes=20 * MIB, bandwidth_bps=1,
        nr_regions=20, checks_per_s=1.0, cpu_fraction=0.0, memory=(memory,),
        origin=Origin(host="box", epoch=1, seq=0),
    )  # fmt: skip
