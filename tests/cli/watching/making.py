"""Snapshots whose every number is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from damond.core import Origin, Snapshot, TargetSnapshot

MIB = 1 << 20
WINDOW_NS = 100_000_000
BEGIN_NS = 1_700_000_000 * 10**9
"""A Tuesday in November 2023, 22:13:20 UTC. Every time is counted from here."""

Region = tuple[int, int, int, int]
"""Start, end (MiB), nr_accesses of 20, age."""


def target(regions: Sequence[Region], target_id: int = 0, pid: int | None = None) -> TargetSnapshot:
    start, end, nr_accesses, age = (np.array(column, np.uint64) for column in zip(*regions, strict=True))
    columns = (start * np.uint64(MIB), (end - start) * np.uint64(MIB))
    counts = (each.astype(np.uint32) for each in (nr_accesses, age, 20 * (age + np.uint64(1))))
    return TargetSnapshot(target_id, pid, *columns, *counts)


def snapshot(
    number: int, regions: Sequence[Region], context: str = "web", *, missed: int = 0, epoch: int = BEGIN_NS
) -> Snapshot:
    """The window of this number since the begin."""
    return Snapshot(
        context=context,
        primitive="synthetic",
        start_ns=BEGIN_NS + number * WINDOW_NS,
        end_ns=BEGIN_NS + (number + 1) * WINDOW_NS,
        sample_us=5_000,
        aggr_us=100_000,
        update_us=1_000_000,
        min_nr_regions=10,
        max_nr_regions=1000,
        max_nr_accesses=20,
        granularity=4096,
        checks=20 * len(regions),
        unknown=0,
        cpu_us=1_500,
        overruns=0,
        partial=False,
        targets=(target(regions),),
        origin=Origin(host="test", epoch=epoch, seq=number, missed=missed),
    )


def moving(number: int, context: str = "web") -> Snapshot:
    """512 MiB of which 64 are hot, 64 further every 5 s, and 32 MiB at the end lukewarm."""
    hot = number // 50 % 7 * 64
    cold = [(0, hot, 0, number), (hot + 64, 480, 0, number)]
    rows = [cold[0], (hot, hot + 64, 20, number % 50), cold[1], (480, 512, 10, 7)]
    return snapshot(number, [row for row in rows if row[0] < row[1]], context)


def with_targets(found: Snapshot, *targets: TargetSnapshot) -> Snapshot:
    return replace(found, targets=targets)
