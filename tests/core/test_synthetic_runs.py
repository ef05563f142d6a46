"""The whole loop over scripted memory: repeatable to the bit, and right about what is hot."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from damond.core import AddrRange, Attrs, Snapshot
from damond.plugin import Registry

GIB = 1024**3
ATTRS = Attrs(min_nr_regions=10, max_nr_regions=1000)


@pytest.fixture(scope="module")
def registry() -> Registry:
    """Find primitives as everybody does: by entry point."""
    return Registry(offering="synthetic")


def columns(snapshots: Sequence[Snapshot]) -> list[list[list[int]]]:
    return [
        [getattr(target, name).tolist() for name in ("start", "size", "nr_accesses", "age")]
        for snapshot in snapshots
        for target in snapshot.targets
    ]


def watch(monitor: Any, context: Any, primitive: Any, samples: int, seed: int = 1, attrs: Attrs = ATTRS) -> Any:
    return monitor(primitive, context((), attrs=attrs, targets=[], rng=np.random.default_rng(seed)), samples=samples)


@pytest.mark.parametrize("preset", ["demo", "zipf", "five_tracks"])
def test_same_seed_same_snapshots(monitor: Any, context: Any, registry: Registry, preset: str) -> None:
    """Same seed and same memory: the same snapshots, column by column and byte by byte."""
    options = {"preset": preset, "seed": 7}
    first, second = (
        watch(monitor, context, registry.make("synthetic", options), samples=410).snapshots for _ in range(2)
    )
    assert len(first) == 21
    assert columns(first) == columns(second)
    assert [each.checks for each in first] == [each.checks for each in second]


@pytest.mark.parametrize(
    ("options", "seed"), [({"seed": 8}, 1), ({"seed": 7}, 2)], ids=["another memory", "another choice of addresses"]
)
def test_another_seed_is_another_run(
    monitor: Any, context: Any, registry: Registry, options: dict[str, Any], seed: int
) -> None:
    """Both seeds matter: that of the memory, and that of the context."""
    base = watch(monitor, context, registry.make("synthetic", {"seed": 7}), samples=200)
    other = watch(monitor, context, registry.make("synthetic", options), samples=200, seed=seed)
    assert columns(base.snapshots) != columns(other.snapshots)


def overlap(left: Sequence[AddrRange], right: Sequence[AddrRange]) -> int:
    return sum(max(0, min(a.end, b.end) - max(a.start, b.start)) for a in left for b in right)


def f1_score(snapshot: Snapshot, truth: Sequence[AddrRange]) -> float:
    """Weigh by pages: regions accessed in at least half of the samples, against the ranges that are hot."""
    (target,) = snapshot.targets
    hot = target.nr_accesses * 2 >= snapshot.max_nr_accesses
    rows = zip(target.start[hot].tolist(), target.size[hot].tolist(), strict=True)
    found = [AddrRange(start, start + size) for start, size in rows]
    both = overlap(found, truth)
    return 2 * both / (sum(each.size for each in found) + sum(each.size for each in truth))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("size", "hot"),
    [
        pytest.param(GIB, (0.40, 0.50), id="1 GiB"),
        pytest.param(64 * GIB, (0.071, 0.213), id="64 GiB"),
        pytest.param(GIB, (0.0, 0.1), id="at the begin"),
    ],
)
def test_finds_a_constant_hot_range(
    monitor: Any, context: Any, registry: Registry, size: int, hot: tuple[float, float], seed: int
) -> None:
    """After ten seconds the hot range is found: F1 by pages of at least 0.95, the median of the last 20 windows."""
    start, end = (int(size * each) // 4096 * 4096 for each in hot)
    track = {"start": start, "size": end - start}
    primitive: Any = registry.make("synthetic", {"size": size, "tracks": [track], "seed": seed})
    run = watch(monitor, context, primitive, samples=2000, seed=seed)
    truth = primitive.memory.at(0, ATTRS.sample_interval).hot_ranges(at_least=0.5)
    assert truth == [AddrRange(start, end)]
    assert np.median([f1_score(each, truth) for each in run.snapshots[-20:]]) >= 0.95
    assert max(each.nr_regions for each in run.snapshots) <= ATTRS.max_nr_regions


def test_follows_a_range_that_moves(monitor: Any, context: Any, registry: Registry) -> None:
    """A hot range that hops every two seconds is found again each time, before it hops on."""
    options = {"tracks": [{"size": GIB // 8, "move": "hop", "move_period": "16s"}]}
    primitive: Any = registry.make("synthetic", options)
    run = watch(monitor, context, primitive, samples=3200)
    scores = []
    for snapshot in run.snapshots[19::20]:
        begin_us = (snapshot.start_ns - run.snapshots[0].start_ns) // 1000
        scores.append(f1_score(snapshot, primitive.memory.at(begin_us, 5000).hot_ranges(at_least=0.5)))
    assert len(scores) == 8
    assert np.median(scores) >= 0.9


def test_cold_memory_is_cold(monitor: Any, context: Any, registry: Registry) -> None:
    """Where nothing is accessed, nothing is found, and age grows with every window."""
    primitive = registry.make("synthetic", {"tracks": [{"probability": 0.0}]})
    run = watch(monitor, context, primitive, samples=200)
    assert [each.accessed_bytes for each in run.snapshots] == [0] * 10
    assert run.snapshots[-1].targets[0].age.tolist() == [10] * run.snapshots[-1].nr_regions
