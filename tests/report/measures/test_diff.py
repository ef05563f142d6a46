from dataclasses import replace
from typing import Any

import pytest

from damond.core import Mapping, Snapshot
from damond.record import MappingsAt
from damond.report.measures import diff
from damond.report.source import of_snapshots
from tests.report.synthetic import EPOCH_NS, MIB, monitor


def run(*tracks: Any, seed: int = 1) -> list[Snapshot]:
    return monitor({"size": 256 * MIB, "tracks": list(tracks)}, 15, seed=seed).snapshots


def test_what_became_hot_and_what_became_cold() -> None:
    """The same memory in two spans: one range cooled down, one warmed up, one stayed."""
    stays = {"start": 8 * MIB, "size": 32 * MIB}
    before = run(stays, {"start": 100 * MIB, "size": 20 * MIB})
    after = run(stays, {"start": 180 * MIB, "size": 40 * MIB}, seed=2)
    found = diff.measure(of_snapshots(before), of_snapshots(after))
    assert found.by == "address"
    warmer, colder = found.changes[:2]
    assert (warmer.start, warmer.end) == pytest.approx((180 * MIB, 220 * MIB), abs=2 * MIB)
    assert (warmer.before, warmer.after) == pytest.approx((0.0, 1.0), abs=0.05)
    assert (colder.start, colder.end) == pytest.approx((100 * MIB, 120 * MIB), abs=2 * MIB)
    assert colder.hot_bytes == pytest.approx(-20 * MIB, rel=0.1)
    assert all(each.end is not None and not 10 * MIB < each.end <= 38 * MIB for each in found.changes)
    assert found.after.wss_median_bytes == pytest.approx(72 * MIB, rel=0.1)


def _as_process(snapshots: list[Snapshot], pid: int, by: int) -> list[Snapshot]:
    """Move all addresses, as address space layout randomisation does, and give the target another id."""
    moved = []
    for each in snapshots:
        targets = tuple(replace(part, id=pid, pid=pid, start=part.start + by) for part in each.targets)
        moved.append(replace(each, targets=targets))
    return moved


def test_two_processes_are_compared_by_name() -> None:
    """Addresses of two processes say nothing about each other: what counts is what is mapped there."""
    base = 1 << 32
    before = _as_process(run({"start": 0, "size": 64 * MIB}), 10, base)
    after = _as_process(run({"start": 128 * MIB, "size": 64 * MIB}, seed=2), 20, 3 * base)

    def maps(pid: int, at: int) -> list[MappingsAt]:
        rows = (Mapping(at, at + 64 * MIB, "[heap]"), Mapping(at + 64 * MIB, at + 256 * MIB, "cache"))
        return [MappingsAt(EPOCH_NS, pid, pid, rows)]

    one, other = of_snapshots(before, maps(10, base)), of_snapshots(after, maps(20, 3 * base))
    found = diff.measure(one, other)
    assert found.by == "name"
    assert {each.name for each in found.changes} == {"[heap]", "cache"}
    heap = next(each for each in found.changes if each.name == "[heap]")
    assert (heap.before, heap.after) == pytest.approx((1.0, 0.0), abs=0.05)
    cache = next(each for each in found.changes if each.name == "cache")
    assert cache.after == pytest.approx(1 / 3, abs=0.05)


def test_without_names_two_processes_can_not_be_compared() -> None:
    """Nothing is made up: what is left are the totals."""
    before, after = run({"size": 64 * MIB}), _as_process(run({"size": 64 * MIB}), 20, 0)
    found = diff.measure(of_snapshots(before), of_snapshots(after))
    assert (found.by, found.changes) == ("nothing", ())
    assert found.before.wss_median_bytes == found.after.wss_median_bytes


def test_two_hosts_share_no_memory() -> None:
    """The same target of two machines is other memory."""
    snapshots = run({"size": 64 * MIB})
    one, other = of_snapshots(snapshots), replace(of_snapshots(snapshots), host="elsewhere")
    assert diff.measure(one, other).by == "nothing"
