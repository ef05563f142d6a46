"""The policy that never stops splitting."""

import numpy as np
import pytest

from damond.core import Attrs, Context, Target
from damond.core.policies.fraction import FractionPolicy
from damond.core.policies.kernel import KernelPolicy

PAGE = 4096


def context(*counts: int, most: int, pages: int = 100) -> Context:
    """Make a context with targets of so many regions."""
    ctx = Context(attrs=Attrs(max_nr_regions=most), rng=np.random.default_rng(1))
    for number, count in enumerate(counts):
        target = Target(number)
        target.set_ranges([(i * pages * PAGE, (i + 1) * pages * PAGE) for i in range(count)])
        ctx.targets.append(target)
    return ctx


@pytest.mark.parametrize(
    "counts", [(760,), (1499,), (380, 380), (1000, 300, 5)], ids=["above half", "room for one", "two targets", "three"]
)
def test_above_half_it_goes_on(counts: tuple[int, ...]) -> None:
    """Above half of the limit the number still grows, and never beyond it (KUnit: 760 of 1500)."""
    ctx = context(*counts, most=1500)
    policy = FractionPolicy()
    policy.start(ctx)
    policy.split(ctx)
    assert sum(counts) < ctx.nr_regions <= 1500


def test_at_the_limit_nothing_is_cut() -> None:
    """There is no room."""
    ctx = context(1500, most=1500)
    policy = FractionPolicy()
    policy.start(ctx)
    policy.split(ctx)
    assert ctx.nr_regions == 1500


def test_below_half_it_is_the_kernels() -> None:
    """As long as there is room for cutting everything, the two cut alike."""
    cuts = []
    for policy in (KernelPolicy(), FractionPolicy()):
        ctx = context(40, most=100)
        policy.start(ctx)
        policy.split(ctx)
        cuts.append(ctx.targets[0].regions.start.tolist())
    assert cuts[0] == cuts[1]
    assert len(cuts[0]) == 80


def test_every_region_has_its_turn() -> None:
    """Within as many rounds as regions share a turn, each region has been cut."""
    policy, cut = FractionPolicy(), set()
    for _ in range(4):  # of 300 regions one in ceil(400 / 100) = 4 each time
        ctx = context(150, 150, most=400)
        policy.start(ctx)
        policy.split(ctx)
        assert ctx.nr_regions == 375
        for target in ctx.targets:
            starts = target.regions.start
            cut |= {(target.id, int(start) // (100 * PAGE)) for start in starts[starts % np.uint64(100 * PAGE) != 0]}
    assert len(cut) == 300
