from collections.abc import Callable, Sequence

import numpy as np
import pytest

from damond.core import Snapshot, TargetSnapshot

Region = tuple[int, int, int]
"""Start, end, nr_accesses of 20."""

SnapshotOf = Callable[..., Snapshot]


def _target(target_id: int, regions: Sequence[Region]) -> TargetSnapshot:
    start, end, nr_accesses = (np.array(column, np.uint64) for column in zip(*regions, strict=True))
    return TargetSnapshot(
        target_id, target_id, start, end - start, nr_accesses.astype(np.uint32), np.zeros(len(start), np.uint32)
    )


def _snapshot(
    regions: Sequence[Region] | dict[int, Sequence[Region]],
    start_ns: int = 0,
    end_ns: int = 100,
    nr_regions: tuple[int, int] = (10, 10),
) -> Snapshot:
    targets = regions if isinstance(regions, dict) else {1: regions}
    return Snapshot(
        context="web",
        primitive="vaddr",
        start_ns=start_ns,
        end_ns=end_ns,
        sample_us=5_000,
        aggr_us=100_000,
        update_us=1_000_000,
        min_nr_regions=nr_regions[0],
        max_nr_regions=nr_regions[1],
        max_nr_accesses=20,
        granularity=4096,
        checks=200,
        unknown=0,
        cpu_us=10,
        overruns=0,
        partial=False,
        targets=tuple(_target(target_id, rows) for target_id, rows in targets.items() if rows),
    )


@pytest.fixture(scope="session")
def snapshot_of() -> SnapshotOf:
    """Make a snapshot of regions (start, end, nr_accesses of 20); a dict gives them per target.

    Its attributes say that regions need no windows to adapt, unless ``nr_regions`` (least, greatest) is given.
    """
    return _snapshot
