"""Snapshots as they come over the stream."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from damond.core import Origin, Snapshot, TargetSnapshot

START_NS = 1_700_000_000_000_000_000
AGGR_NS = 100_000_000
HOST = "box"

Row = tuple[int, ...]
"""start, size, nr_accesses, age and, if it is known, nr_samples"""


def make_target(rows: Sequence[Row], target_id: int = 0, pid: int | None = None) -> TargetSnapshot:
    """Put rows into columns."""
    start, size, nr_accesses, age, *rest = (list(each) for each in zip(*rows, strict=True)) if rows else ([],) * 4
    return TargetSnapshot(
        target_id,
        pid,
        np.array(start, np.uint64),
        np.array(size, np.uint64),
        np.array(nr_accesses, np.uint32),
        np.array(age, np.uint32),
        *(np.array(nr_samples, np.uint32) for nr_samples in rest),
    )


def make_snapshot(
    number: int = 0, *targets: TargetSnapshot, epoch: int = 1, seq: int | None = None, **more: Any
) -> Snapshot:
    """Make the ``number``-th snapshot of a context, at its time."""
    given: dict[str, Any] = {
        "context": "web",
        "primitive": "synthetic",
        "start_ns": START_NS + number * AGGR_NS,
        "end_ns": START_NS + (number + 1) * AGGR_NS,
        "sample_us": 5_000,
        "aggr_us": 100_000,
        "update_us": 1_000_000,
        "min_nr_regions": 10,
        "max_nr_regions": 1000,
        "max_nr_accesses": 20,
        "granularity": 4096,
        "checks": 40,
        "unknown": 0,
        "cpu_us": 130,
        "overruns": 0,
        "partial": False,
        "targets": targets or (make_target([(4096, 8192, number % 21, number), (12288, 4096, 0, 0)]),),
        "origin": Origin(host=more.pop("host", HOST), epoch=epoch, seq=number if seq is None else seq),
    }
    return Snapshot(**(given | more))


def assert_same(one: Snapshot, other: Snapshot) -> None:
    """Compare two snapshots, columns included."""
    for name in Snapshot.__dataclass_fields__:
        if name != "targets":
            assert getattr(one, name) == getattr(other, name), name
    for mine, theirs in zip(one.targets, other.targets, strict=True):
        assert (mine.id, mine.pid) == (theirs.id, theirs.pid)
        for column in ("start", "size", "nr_accesses", "age", "nr_samples"):
            assert getattr(mine, column).dtype == getattr(theirs, column).dtype
            np.testing.assert_array_equal(getattr(mine, column), getattr(theirs, column))
