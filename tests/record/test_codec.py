"""Packed snapshots come out as they went in."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import BudgetUse, Snapshot, TargetSnapshot
from damond.errors import RecordError
from damond.record import Block, codec
from tests.record.make import HOST, assert_same, make_snapshot, make_target

U32 = st.integers(0, 2**32 - 1)
U64_BELOW = 2**64 - 1


@st.composite
def targets(draw: st.DrawFn) -> TargetSnapshot:
    """Sorted, disjoint regions anywhere in 64 bits, page aligned or not."""
    unit = draw(st.sampled_from([1, 8, 4096, 2**21]))
    bounds = sorted(draw(st.lists(st.integers(0, U64_BELOW // unit), max_size=12, unique=True)))
    pairs = list(zip(bounds[::2], bounds[1::2], strict=False))
    rows = [(start * unit, (end - start) * unit, draw(U32), draw(U32), draw(U32)) for start, end in pairs]
    return make_target(rows, draw(st.integers(0, 2**62)), draw(st.none() | st.integers(1, 2**22)))


@st.composite
def budgets(draw: st.DrawFn) -> BudgetUse:
    """What a worker may say, to as many digits as are kept."""
    return BudgetUse(
        max_cpu=draw(st.none() | st.integers(1, 10**10).map(lambda ppb: ppb / 1e9)),
        max_checks_per_s=draw(st.none() | st.integers(1, 10**12).map(lambda milli: milli / 1e3)),
        cpu=draw(st.integers(0, 10**8)) / 1e6,
        wanted_cpu=draw(st.integers(0, 10**8)) / 1e6,
        wanted_checks_per_s=float(draw(st.integers(0, 10**9))),
        stretched=draw(st.integers(1000, 10**7)) / 1e3,
        max_nr_regions=draw(st.integers(0, 10**5)),
    )


@st.composite
def runs(draw: st.DrawFn) -> list[Snapshot]:
    """Snapshots of one primitive, with whatever clock."""
    times = draw(st.lists(st.integers(0, 2**62), min_size=1, max_size=6))
    return [
        make_snapshot(
            number,
            *draw(st.lists(targets(), min_size=1, max_size=3)),
            epoch=draw(st.integers(0, 2**62)),
            start_ns=start_ns,
            end_ns=start_ns + draw(st.integers(0, 2**40)),
            checks=draw(st.integers(0, 2**40)),
            partial=draw(st.booleans()),
            sampled_bytes=draw(st.integers(0, 2**47)),
            policy="fraction",
            budget=draw(st.none() | budgets()),
        )
        for number, start_ns in enumerate(times)
    ]


@given(run=runs())
def test_what_is_packed_comes_back(run: Sequence[Snapshot]) -> None:
    """Every number of every snapshot, whatever the addresses, clocks and counts."""
    block = codec.unpack(codec.pack(Block.of(run)))
    for row, snapshot in enumerate(run):
        assert_same(block.snapshot(row, "web", HOST), snapshot)


@given(run=runs(), data=st.data())
def test_blocks_can_be_cut_and_joined(run: Sequence[Snapshot], data: st.DataObject) -> None:
    """What is packed in pieces and joined is the same as what was packed at once; rows cut out are those rows."""
    cut = data.draw(st.integers(0, len(run)))
    pieces = [codec.unpack(codec.pack(Block.of(piece))) for piece in (run[:cut], run[cut:]) if piece]
    joined = Block.join(pieces)
    assert joined.nr_snapshots == len(run)
    assert_same(joined.snapshot(len(run) - 1, "web", HOST), run[-1])
    if cut < len(run):
        assert_same(joined.rows(cut, len(run)).snapshot(0, "web", HOST), run[cut])


def test_regions_can_be_told_by_snapshot_and_target() -> None:
    """A block knows of which snapshot and target each region is, and can be cut to one target."""
    one, two = make_target([(0, 4096, 1, 1), (8192, 4096, 2, 2)], 7, pid=7), make_target([(0, 8192, 3, 3)], 8)
    block = Block.of([make_snapshot(0, one, two), make_snapshot(1, make_target([], 7), two)])
    assert block.region_snapshot().tolist() == [0, 0, 0, 1]
    assert block.part_target[block.region_part()].tolist() == [7, 7, 8, 8]
    only = block.of_target(8)
    assert only.nr_snapshots == 2
    assert only.region_snapshot().tolist() == [0, 1]
    assert only.nr_accesses.tolist() == [3, 3]


@pytest.mark.parametrize("at", range(0, 300, 7))
def test_damage_is_told(at: int) -> None:
    """A body that is cut, or in which a byte has changed, is refused: never a wrong picture."""
    raw = codec.pack(Block.of([make_snapshot(number) for number in range(20)]))
    at %= len(raw)
    with pytest.raises(RecordError, match="damaged"):
        codec.unpack(raw[:at])
    changed = bytearray(raw)
    changed[at] ^= 0x10
    with pytest.raises(RecordError, match="damaged"):
        codec.unpack(bytes(changed))


def test_neighbours_cost_little() -> None:
    """A hundred regions that live on cost less than a byte each and snapshot: ages and addresses repeat."""
    rows = [(number * 2**20, 2**20, 20 * (number % 2), 0) for number in range(100)]
    run = [
        make_snapshot(number, make_target([(start, size, hits, number) for start, size, hits, _ in rows]))
        for number in range(600)
    ]
    assert len(codec.pack(Block.of(run))) < 100 * len(run)
    assert np.ptp([len(each.targets[0].start) for each in run]) == 0


def test_numbers_that_another_release_has_are_no_damage() -> None:
    """One that is not there is 0, one that is not known is passed over; an address is neither."""
    raw = codec.pack(Block.of([make_snapshot(number) for number in range(3)]))
    body = codec.inflate(raw)
    body["columns"]["colour"] = body["columns"].pop("overruns")
    found = codec.unpack(codec.deflate(body))
    assert_same(found.snapshot(2, "web", HOST), make_snapshot(2))
    del body["columns"]["size"]
    with pytest.raises(RecordError, match="damaged"):
        codec.unpack(codec.deflate(body))


def test_a_record_of_before_is_read_without_what_it_lacks() -> None:
    """Samples behind regions, policy and budget were not kept once: they are 0, "" and None then."""
    rows = [(4096, 8192, 3, 5, 120), (12288, 4096, 0, 7, 160)]
    run = [make_snapshot(number, make_target(rows), budget=BudgetUse(max_cpu=0.01)) for number in range(3)]
    body = codec.inflate(codec.pack(Block.of(run)))
    del body["policy"]
    kept = body["columns"]
    body["columns"] = {name: kept[name] for name in kept if name != "nr_samples" and not name.startswith("budget")}
    found = codec.unpack(codec.deflate(body)).snapshot(2, "web", HOST)
    assert (found.policy, found.budget, found.targets[0].nr_samples.tolist()) == ("", None, [0, 0])
    assert found.targets[0].age.tolist() == [5, 7]


def test_a_budget_is_rounded_to_what_is_kept() -> None:
    """CPU to millionths, checks to whole ones; a bound never becomes none."""
    used = BudgetUse(max_cpu=1e-12, cpu=0.0123456789, wanted_checks_per_s=1234.5678, stretched=1.00049)
    block = codec.unpack(codec.pack(Block.of([make_snapshot(budget=used)])))
    assert block.snapshot(0, "web", HOST).budget == BudgetUse(
        max_cpu=1e-9, cpu=0.012346, wanted_checks_per_s=1235.0, stretched=1.0
    )
