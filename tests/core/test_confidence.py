"""What is said about cold, unseen and missed memory is right when held against truth."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Attrs, Context, Kdamond, Primitive, Snapshot, Target, TargetSnapshot, summarize
from damond.core.confidence import HOT_PER_S, Advice, advise, is_cold, smallest_found
from damond.core.policies.budget import BudgetPolicy
from damond.core.policies.kernel import KernelPolicy
from damond.core.policy import Policy
from damond.core.regions import AddrRange
from damond.units import Usec
from tests.core.conftest import Run, VirtualTime

PAGE = 4096
MIB, GIB = 1 << 20, 1 << 30


def u64(*values: int) -> Any:
    return np.array(values, np.uint64)


def u32(*values: int) -> Any:
    return np.array(values, np.uint32)


@pytest.mark.parametrize(
    ("size", "nr_accesses", "nr_samples", "cold"),
    [
        pytest.param(10, 0, 58, False, id="58 samples leave more than 5 %"),
        pytest.param(10, 0, 59, True, id="59 do not"),
        pytest.param(10, 1, 1000, False, id="an access is an access"),
        pytest.param(50, 0, 148, False, id="half of all: 2 % of it are 1 % of all"),
        pytest.param(50, 0, 149, True, id="which 149 leave"),
        pytest.param(10, 0, 0, False, id="nothing known"),
    ],
)
def test_cold(size: int, nr_accesses: int, nr_samples: int, cold: bool) -> None:
    """Cold: with 95 % certainty neither 5 % of the region nor 1 % of all is touched in a sampling interval."""
    assert is_cold(u64(size), u32(nr_accesses), u32(nr_samples), 100).tolist() == [cold]


@given(share=st.floats(0.051, 1), seed=st.integers(0, 1000))
def test_cold_is_seldom_wrong(share: float, seed: int) -> None:
    """Of regions of which more is touched than cold allows, at most one in twenty passes for cold."""
    rng = np.random.default_rng(seed)
    nr_samples = 59
    passed = (rng.random((2000, nr_samples)) >= share).all(axis=1)
    wrong = is_cold(np.full(2000, 10), (~passed).astype(np.uint32), np.full(2000, nr_samples), 10**9) & passed
    assert wrong.mean() < 0.065


def test_smallest_found() -> None:
    """By the chance that one of the samples of a minute hits the area, and finds it touched just then."""
    found = smallest_found(GIB, 100_000, PAGE)
    assert found is not None
    touched = 1 - math.exp(-HOT_PER_S * 0.1)
    assert 1 - (1 - touched * found / GIB) ** 600 == pytest.approx(0.95, abs=1e-4)
    assert smallest_found(2 * GIB, 100_000, PAGE) == pytest.approx(2 * found, abs=2)
    blocks = smallest_found(GIB, 100_000, 64 * PAGE)
    assert blocks == pytest.approx(found * touched, rel=0.01)
    assert smallest_found(PAGE * 100, 5_000, 64 * PAGE) == 64 * PAGE
    assert smallest_found(GIB, 100_000, PAGE // 4) == found  # written down where pages are smaller than here


@pytest.mark.parametrize(
    ("region", "sample_us", "granularity"),
    [
        pytest.param(GIB, 61_000_000, PAGE, id="no sample in a minute"),
        pytest.param(0, 5_000, PAGE, id="no region"),
        pytest.param(GIB, 100_000, 0, id="whole mappings"),
    ],
)
def test_no_answer(region: int, sample_us: int, granularity: int) -> None:
    """Where nothing can be said, nothing is."""
    assert smallest_found(region, sample_us, granularity) is None


@given(region=st.integers(PAGE, 1 << 47), sample_us=st.integers(1_000, 60_000_000), order=st.integers(0, 6))
def test_smallest_found_is_sane(region: int, sample_us: int, order: int) -> None:
    """At least what a check looks at, and no less in a region twice as large."""
    granularity = PAGE << order
    found, twice = (smallest_found(size, sample_us, granularity) for size in (region, 2 * region))
    assert found is not None
    assert twice is not None
    assert granularity <= found <= twice


def test_seldom_samples_find_what_spans_regions() -> None:
    """With two samples a minute an area must be larger than a region, and the formula goes on smoothly."""
    sizes = [smallest_found(GIB, sample_us, PAGE) or 0 for sample_us in (10_000_000, 20_000_000, 30_000_000)]
    assert sizes == sorted(sizes)
    assert sizes[-1] < 2 * GIB


def test_advice() -> None:
    """Short intervals: longer ones and more regions for the same cost. Long ones: shorter ones, for more."""
    assert advise(GIB, 5_000, PAGE, 1000) == Advice(
        sample_us=370_000, max_nr_regions=74_000, found_bytes=smallest_found(GIB // 74, 370_000, PAGE) or 0, cost=1.0
    )
    slow = advise(GIB, 7_400_000, PAGE, 1000)
    assert slow is not None
    assert (slow.sample_us, slow.max_nr_regions, slow.cost) == (370_000, 1000, 20.0)
    assert advise(GIB, 370_000, PAGE, 1000) is None
    assert advise(GIB, 500_000, PAGE, 1000) is None
    assert advise(0, 5_000, PAGE, 1000) is None


def snapshot(**changes: Any) -> Snapshot:
    starts, sizes = u64(0, 40 * MIB, 80 * MIB), u64(40 * MIB, 40 * MIB, 20 * MIB)
    target = TargetSnapshot(0, None, starts, sizes, u32(3, 0, 0), u32(0, 9, 0), u32(20, 200, 20))
    given = dict.fromkeys((name for name in Snapshot.__dataclass_fields__ if name != "origin"), 0)
    given |= {"context": "c", "primitive": "p", "targets": (target,), "budget": None, "origin": None}
    return Snapshot(**(given | {"sample_us": 5_000, "granularity": PAGE, "max_nr_regions": 10, "end_ns": 1} | changes))


def test_snapshot_sums_up() -> None:
    """Accessed, cold and unseen together are all; the largest region that was sampled says what was missed."""
    found = snapshot(sampled_bytes=20 * MIB)
    assert (found.accessed_bytes, found.cold_bytes, found.unseen_bytes) == (40 * MIB, 40 * MIB, 20 * MIB)
    assert found.smallest_found_bytes == smallest_found(20 * MIB, 5_000, PAGE)
    assert snapshot().smallest_found_bytes == smallest_found(40 * MIB, 5_000, PAGE)
    summary = summarize(found)
    assert (summary.cold_bytes, summary.unseen_bytes) == (40 * MIB, 20 * MIB)
    assert summary.smallest_found_bytes == found.smallest_found_bytes
    assert summary.advice == found.advice == advise(20 * MIB, 5_000, PAGE, 10)


class HotArea(Primitive):
    """Memory of which one area becomes hot after a while: each page of it is touched five times per second."""

    name = "hot_area"

    def __init__(self, area: AddrRange, since_us: int, rng: np.random.Generator) -> None:
        super().__init__(None)
        self.area, self._since_us, self._rng = area, since_us, rng

    def check_accesses(self, ctx: Context) -> int:
        regions = ctx.targets[0].regions
        at = regions.pick_sampling_addrs(self._rng)
        hit = (at >= self.area.start) & (at < self.area.end)
        if ctx.passed_samples * ctx.attrs.sample_interval < self._since_us:
            hit[:] = False
        touched = 1 - math.exp(-HOT_PER_S * ctx.attrs.sample_interval / 1e6)
        regions.nr_accesses += hit & (self._rng.random(len(hit)) < touched)
        ctx.checks += len(hit)
        return int(regions.nr_accesses.max(initial=0))


WARM_US = 40_000_000


def watch(size: int, sample_us: int, policy: Policy, seed: int, total: int = 64 * GIB) -> tuple[bool, list[Snapshot]]:
    """Watch a minute of an area of that size somewhere; say whether it was found, and what came before."""
    rng = np.random.default_rng(seed)
    start = int(rng.integers(0, (total - size) // PAGE)) * PAGE
    area = AddrRange(start, start + size)
    attrs = Attrs(sample_interval=Usec(sample_us), aggr_interval=Usec(20 * sample_us), max_nr_regions=200)
    ctx = Context(attrs=attrs, targets=[Target(0)], rng=rng, initial_nr_regions=100, strict_min_nr_regions=True)
    ctx.targets[0].set_ranges(ctx.initial_regions([AddrRange(0, total)]))
    time = VirtualTime((WARM_US + 60_000_000) // sample_us)
    run = Run(ctx, [], time)
    Kdamond(ctx, HotArea(area, WARM_US, rng), clock=time, stop=time, sink=run, policy=policy).run()
    begin_ns = run.snapshots[0].start_ns + WARM_US * 1000
    before = [each for each in run.snapshots if each.end_ns <= begin_ns]
    shown = [_shows(each, area) for each in run.snapshots if each.end_ns > begin_ns]
    return any(shown), before


def _shows(snapshot: Snapshot, area: AddrRange) -> bool:
    (target,) = snapshot.targets
    over = (target.start < area.end) & (target.start + target.size > area.start)
    return bool((over & (target.nr_accesses > 0)).any())


@pytest.mark.parametrize("policy", [KernelPolicy, BudgetPolicy])
@pytest.mark.parametrize("sample_us", [50_000, 400_000])
def test_found_as_promised(policy: type[Policy], sample_us: int) -> None:
    """Areas of the size that is promised are found 95 times in 100, much smaller ones are not."""
    _, before = watch(GIB, sample_us, policy(), 0)
    promised = before[-1].smallest_found_bytes
    assert promised is not None
    size = -(-promised // PAGE) * PAGE
    found = [watch(size, sample_us, policy(), seed)[0] for seed in range(1, 41)]
    assert sum(found) >= 36  # 40 times 95 %, less 1.5 standard deviations
    small = [watch(max(size // 20 // PAGE, 1) * PAGE, sample_us, policy(), seed)[0] for seed in range(1, 21)]
    assert sum(small) <= 14


def test_cold_memory_is_cold_soon(monitor: Any, recorder: Any, context: Any) -> None:
    """Idle memory is unseen at first, and cold after some aggregations; heat takes the word back at once."""
    attrs = Attrs(sample_interval=Usec(5_000), aggr_interval=Usec(100_000), min_nr_regions=3, max_nr_regions=20)
    run = monitor(
        recorder(lambda ctx, target: (target.regions.start < 40 * PAGE) & (ctx.passed_samples >= 1000)),
        context([(0, 400 * PAGE), (400 * PAGE, 800 * PAGE), (800 * PAGE, 1200 * PAGE)], attrs=attrs),
        samples=1100,
    )
    assert run.snapshots[0].unseen_bytes == 1200 * PAGE
    assert run.snapshots[48].cold_bytes == 1200 * PAGE
    hot = run.snapshots[51]
    assert hot.accessed_bytes > 0
    assert hot.accessed_bytes + hot.cold_bytes + hot.unseen_bytes == 1200 * PAGE
