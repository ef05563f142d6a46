"""The policy that spends checks where they tell most."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Attrs, Budget, Context, Region, Regions, Target
from damond.core.policies.budget import BudgetOptions, BudgetPolicy

PAGE = 4096
SAMPLES = 20


def context(*targets: list[tuple[int, int]], most: int = 100, gap: int = 0) -> Context:
    """Make a context; each target is a list of regions: pages, nr_accesses."""
    ctx = Context(attrs=Attrs(min_nr_regions=3, max_nr_regions=most), rng=np.random.default_rng(1))
    ctx.window_samples = SAMPLES
    for number, rows in enumerate(targets):
        made, at = [], 0
        for pages, nr in rows:
            made.append(Region(at, at + pages * PAGE, nr))
            at += (pages + gap) * PAGE
        ctx.targets.append(Target(number, Regions(made)))
    return ctx


def adapt(ctx: Context, policy: BudgetPolicy | None = None, sz_limit: int = 1 << 60) -> None:
    """Do what the loop does after an aggregation."""
    policy = policy or BudgetPolicy()
    highest = max(int(target.regions.nr_accesses.max(initial=0)) for target in ctx.targets)
    policy.merge(ctx, highest, sz_limit)
    for target in ctx.targets:
        regions = target.regions
        regions.last_nr_accesses, regions.nr_accesses = regions.nr_accesses, np.zeros_like(regions.nr_accesses)
    policy.split(ctx)


ROWS = st.lists(st.tuples(st.integers(1, 1 << 20), st.integers(0, SAMPLES)), min_size=1, max_size=60)


@given(targets=st.lists(ROWS, min_size=1, max_size=3), most=st.integers(3, 120), gap=st.integers(0, 1))
def test_no_address_is_lost(targets: list[list[tuple[int, int]]], most: int, gap: int) -> None:
    """The same addresses, sorted, aligned and disjoint; no more regions than allowed where fewer are possible."""
    ctx = context(*targets, most=most, gap=gap)
    before = [target.regions.copy() for target in ctx.targets]
    adapt(ctx)
    for old, target in zip(before, ctx.targets, strict=True):
        regions = target.regions
        assert (regions.start[1:] >= regions.end[:-1]).all()
        assert (regions.start < regions.end).all()
        assert not (regions.start % PAGE).any()
        assert regions.total_sz == old.total_sz
        assert set(regions.start.tolist()) >= {
            start for start in old.start.tolist() if start - PAGE * gap not in old.end
        }
        assert len({len(getattr(regions, name)) for name in Regions.COLUMNS}) == 1
    assert ctx.nr_regions <= max(most, sum(map(len, before)) if gap else len(targets))


@given(rows=ROWS)
def test_merging_invents_no_access(rows: list[tuple[int, int]]) -> None:
    """What is joined has the average of its parts, to the rounding; accessed memory stays accessed."""
    ctx = context(rows, most=1000)
    sizes, counts = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    BudgetPolicy().merge(ctx, int(counts.max()), 1 << 60)
    for region in ctx.targets[0].regions:
        inside = (starts[:-1] * PAGE >= region.start) & (starts[1:] * PAGE <= region.end)
        assert abs(float((sizes * counts)[inside].sum() / sizes[inside].sum()) - region.nr_accesses) <= 0.5 + 1e-6
        assert (counts[inside] > 0).all() if region.nr_accesses else not counts[inside].any()


def test_a_border_is_narrowed_down() -> None:
    """Beside a border the pieces are small, to 1/64 of the smaller side; far from it they are not."""
    ctx = context([(1 << 20, 0), (1 << 16, 15), (1 << 20, 0)], most=1000)
    adapt(ctx, BudgetPolicy(BudgetOptions(watch=0.0)))
    regions = ctx.targets[0].regions
    for border in (1 << 20, (1 << 20) + (1 << 16)):
        beside = np.flatnonzero(regions.start == border * PAGE)[0]
        assert regions.size[beside] <= (1 << 16) / 32 * PAGE
        assert regions.size[beside - 1] <= (1 << 16) / 32 * PAGE
    assert len(regions) < 60
    assert regions.size.max() > (1 << 18) * PAGE


def test_all_memory_is_watched() -> None:
    """A quarter of the regions lies evenly over idle memory, however large a region was."""
    ctx = context([(1 << 30, 0)], most=400)
    adapt(ctx)
    size = ctx.targets[0].regions.size
    assert len(size) == pytest.approx(100, abs=2)
    assert size.max() <= (1 << 30) * PAGE / 100 + PAGE


def test_idle_memory_is_watched_by_all_that_may_be_paid_for() -> None:
    """Where a budget bounds the cost and nothing is found, most of the regions look for something; not afterwards."""
    ctx, policy = context([(1 << 30, 0)], most=400), BudgetPolicy()
    ctx.budget = Budget(max_cpu=0.01)
    adapt(ctx, policy)
    assert len(ctx.targets[0].regions) == pytest.approx(320, abs=4)
    ctx.targets[0].regions.nr_accesses[7] = SAMPLES
    adapt(ctx, policy)
    assert ctx.targets[0].regions.size.max() == pytest.approx((1 << 30) * PAGE / 100, rel=0.05)


def test_what_could_not_be_looked_at_stays_apart() -> None:
    """It takes nothing of what is known from the idle memory beside it; where there are too many regions it may."""
    ctx = context([(1 << 20, 0)] * 6, most=400)
    regions = ctx.targets[0].regions
    regions.nr_missed[2:4] = SAMPLES
    BudgetPolicy().merge(ctx, 0, 1 << 60)
    assert regions.start.tolist() == [0, 2 * PAGE << 20, 4 * PAGE << 20]
    assert regions.nr_samples.tolist() == [2 * SAMPLES, 0, 2 * SAMPLES]
    few = context([(1 << 20, 0)] * 6, most=3)
    few.targets[0].regions.nr_missed[1::2] = SAMPLES
    BudgetPolicy().merge(few, 0, 1 << 60)
    assert few.nr_regions <= 3


def test_watching_moves() -> None:
    """Memory is cut at other places each time: nothing can hide at a fixed border."""
    policy, ctx = BudgetPolicy(), context([(1 << 20, 0)], most=400)
    adapt(ctx, policy)
    first = set(ctx.targets[0].regions.start.tolist())
    adapt(ctx, policy)
    assert len(first & set(ctx.targets[0].regions.start.tolist())) < 10


def test_pairs_of_pages_are_not_told_apart_without_a_reason() -> None:
    """As in the kernel, two pages are one region until they differ from a neighbour."""
    ctx = context([(2, 5)] * 10, most=1000)
    adapt(ctx, sz_limit=2 * PAGE)
    assert len(ctx.targets[0].regions) == 10
    ctx = context([(2, 0), (2, 15)], most=1000)
    adapt(ctx, sz_limit=2 * PAGE)
    assert len(ctx.targets[0].regions) == 4


def test_what_there_is_no_room_for_is_joined() -> None:
    """More regions than allowed: limits widen until they fit, and even idle memory is joined with accessed memory."""
    ctx = context([(4, 0), (4, 20)] * 100, most=30)
    BudgetPolicy().merge(ctx, 20, 1 << 60)
    assert ctx.nr_regions <= 30


def test_targets_share_the_room() -> None:
    """Cuts go to the target where they tell most, and all targets are watched."""
    ctx = context([(1 << 16, 0)], [(1 << 16, 0), (1 << 10, 12)], most=60)
    adapt(ctx)
    idle, busy = (len(target.regions) for target in ctx.targets)
    assert 5 <= idle < busy
    assert ctx.nr_regions <= 60


def test_age_is_not_restarted_by_chance() -> None:
    """Ten accesses of twenty after thirteen is about the same; three is not."""
    ctx = context([(16, 13), (16, 13)], most=100)
    regions = ctx.targets[0].regions
    regions.last_nr_accesses, regions.age = np.array([10, 3], np.uint32), np.array([7, 7], np.uint32)
    BudgetPolicy().merge(ctx, 13, PAGE)
    assert regions.age.tolist() == [8, 0]


@pytest.mark.parametrize(
    "make",
    [lambda: BudgetOptions(watch=1.1), lambda: BudgetOptions(watch=-0.1), lambda: BudgetOptions(deviations=-1.0)],
    ids=["more than all", "less than none", "no deviation"],
)
def test_impossible_options(make: Callable[[], BudgetOptions]) -> None:
    """Options say what they must be."""
    with pytest.raises(ValueError, match="must "):
        make()
