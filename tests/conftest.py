"""What all tests share."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from damond.core import Snapshot, TargetSnapshot

# A BLAS nobody calls would start threads in every process that a test starts.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What a property takes on a busy machine says nothing about it.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")

FIRST = ("tests/kernel/test_guest.py", "tests/systemd/test_boot.py")
"""Take minutes on one CPU: what is begun first does not keep the others waiting at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; the rest comes in an order of chance."""
    items.sort(key=lambda item: not item.nodeid.startswith(FIRST))


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that other users may enter; those of pytest are private, and are made so again by every run of it."""
    with tempfile.TemporaryDirectory(prefix="damond-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory with a path short enough for sockets."""
    directory = tmp_path / "run"
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    return directory


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
