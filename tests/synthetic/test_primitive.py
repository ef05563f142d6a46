"""The primitive itself, sample by sample."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from damond.core import AddrRange, Attrs, Context, Target
from damond.plugin import API_VERSION, Registry
from damond.units import Usec
from damond_synthetic import Synthetic, SyntheticOptions, damond_api_version

GIB = 1024**3
PAGE = 4096


def make(attrs: Attrs | None = None, targets: list[Target] | None = None, **options: Any) -> tuple[Synthetic, Context]:
    """Make a primitive and a context that it has begun with."""
    primitive = Synthetic(SyntheticOptions(**options))
    rng = np.random.default_rng(1)
    ctx = Context(attrs=attrs or Attrs(), targets=[] if targets is None else targets, rng=rng)
    primitive.init(ctx)
    return primitive, ctx


def sample(primitive: Synthetic, ctx: Context, times: int = 1) -> int:
    """Do what the loop does in a sample."""
    highest = 0
    for _ in range(times):
        primitive.prepare_access_checks(ctx)
        highest = primitive.check_accesses(ctx)
        ctx.passed_samples += 1
    return highest


def test_is_found_by_name() -> None:
    """It is offered through its entry point, for this version of the contract, and never chosen by itself."""
    registry = Registry(offering="synthetic")
    assert registry.primitive("synthetic") is Synthetic
    assert damond_api_version == API_VERSION
    assert Synthetic.auto_rank is None
    assert not Synthetic.process_targets


def test_probe_says_what_it_is() -> None:
    """It works everywhere, page by page, and says that the accesses are none of this machine."""
    probe = Synthetic.probe()
    assert (probe.works, probe.granularity) == (True, PAGE)
    assert "scripted" in probe.reason


def test_init_makes_a_target() -> None:
    """A context without targets gets one of the id 0 with min_nr_regions regions over the memory."""
    _, ctx = make(preset="demo")
    (target,) = ctx.targets
    assert (target.id, target.pid, len(target.regions)) == (0, None, 10)
    assert (target.regions[0].start, target.regions[-1].end) == (0, GIB)


def test_init_leaves_gaps() -> None:
    """Regions cover the areas and not what is between them."""
    areas = ({"start": 0, "size": GIB}, {"start": 8 * GIB, "size": 3 * GIB})
    _, ctx = make(areas=areas, preset="demo")
    regions = ctx.targets[0].regions
    assert regions.total_sz == 4 * GIB
    assert not any(each.start < 8 * GIB and each.end > GIB for each in regions.ranges())


def test_init_keeps_what_is_there() -> None:
    """Targets and regions of the user stay; only a target without regions gets them."""
    mine, other = Target(3), Target(5)
    mine.set_ranges([(0, 8192)])
    _, ctx = make(targets=[mine, other])
    assert [each.id for each in ctx.targets] == [3, 5]
    assert mine.regions.ranges() == [AddrRange(0, 8192)]
    assert len(other.regions) == 10


def test_counts_accesses() -> None:
    """A page that is surely accessed counts in every sample, another in none; checks are counted."""
    primitive, ctx = make(
        Attrs(min_nr_regions=4), size=4 * PAGE, tracks=({"start": PAGE, "size": 2 * PAGE, "probability": 1.0},)
    )
    assert sample(primitive, ctx, times=7) == 7
    assert ctx.targets[0].regions.nr_accesses.tolist() == [0, 7, 7, 0]
    assert (ctx.checks, ctx.unknown) == (28, 0)


def test_counts_follow_the_probability() -> None:
    """A page of probability 0.3 is accessed in 30 % of 4000 samples, within five sigma."""
    primitive, ctx = make(Attrs(min_nr_regions=3), size=3 * PAGE, tracks=({"probability": 0.3},))
    sample(primitive, ctx, times=4000)
    # Binomial, n = 4000, p = 0.3: mean 1200, sigma 29.
    assert (np.abs(ctx.targets[0].regions.nr_accesses.astype(int) - 1200) < 5 * 29).all()


def test_counts_follow_the_truth() -> None:
    """The chance of a hit in a region is the mean over its pages that the memory tells, within five sigma."""
    primitive, ctx = make(Attrs(min_nr_regions=20), size=GIB, tracks=({"spatial": "gaussian", "probability": 0.8},))
    times = 2000
    sample(primitive, ctx, times=times)
    moment = primitive.memory.at(0, ctx.attrs.sample_interval)
    for region in ctx.targets[0].regions:
        mean = moment.mean_touch_probability(region.ar)
        sigma = np.sqrt(mean * (1 - mean) / times)
        assert abs(region.nr_accesses / times - mean) <= 5 * sigma + 1e-3


@pytest.mark.parametrize("interval", [1_000, 5_000, 20_000])
def test_time_is_virtual(interval: int) -> None:
    """Time is the number of samples: what pulses every second does so in samples, however fast they come."""
    attrs = Attrs(sample_interval=Usec(interval), aggr_interval=Usec(interval), min_nr_regions=3)
    primitive, ctx = make(attrs, size=3 * PAGE, tracks=({"temporal": "square", "period": "1s"},))
    half = 500_000 // interval
    seen = []
    for _ in range(4):
        ctx.targets[0].regions.nr_accesses[:] = 0
        sample(primitive, ctx, times=half)
        seen.append(ctx.targets[0].regions.nr_accesses.tolist())
    assert seen == [[half] * 3, [0] * 3] * 2


def test_time_goes_on_when_intervals_change() -> None:
    """A new sampling interval does not move what has been: time goes on from where it is."""
    primitive, ctx = make(Attrs(min_nr_regions=3), size=GIB, preset="demo")
    sample(primitive, ctx, times=100)
    assert primitive.time_us(ctx) == 500_000
    ctx.attrs = primitive.tune(ctx, Attrs(sample_interval=Usec(20_000), min_nr_regions=3))
    assert primitive.time_us(ctx) == 500_000
    sample(primitive, ctx, times=10)
    assert primitive.time_us(ctx) == 700_000


def test_one_page_has_one_result_per_sample() -> None:
    """Two regions that look at the same page in one sample see the same; another sample is another draw."""
    primitive, ctx = make(targets=[Target(1), Target(1)], size=GIB, tracks=({"probability": 0.5},))
    seen = set()
    for _ in range(20):
        for target in ctx.targets:
            target.regions.nr_accesses[:] = 0
            target.regions.sampling_addr = target.regions.start + np.uint64(12_345)
        primitive.check_accesses(ctx)
        ctx.passed_samples += 1
        first, second = (target.regions.nr_accesses.tolist() for target in ctx.targets)
        assert first == second
        seen.add(tuple(first))
    assert len(seen) > 10


def test_targets_are_independent() -> None:
    """Each target has a chance of its own over the same script."""
    primitive, ctx = make(targets=[Target(1), Target(2)], size=GIB, tracks=({"probability": 0.5},))
    for target in ctx.targets:
        target.regions.sampling_addr = target.regions.start.copy()
    for _ in range(20):
        primitive.check_accesses(ctx)
        ctx.passed_samples += 1
    first, second = (target.regions.nr_accesses.tolist() for target in ctx.targets)
    assert first != second


def test_no_regions_no_accesses() -> None:
    """Targets whose regions are gone make no checks and no failure."""
    primitive, ctx = make(size=GIB)
    ctx.targets[0].set_ranges([])
    assert sample(primitive, ctx, times=3) == 0
    assert ctx.checks == 0


def test_memory_of_any_size_takes_none() -> None:
    """Sampling 128 TiB in 1000 regions allocates as little as sampling 1 GiB: some columns."""
    peaks = []
    for size in (GIB, 2**47):
        primitive, ctx = make(Attrs(min_nr_regions=1000), size=size, preset="demo")
        sample(primitive, ctx)
        tracemalloc.start()
        sample(primitive, ctx, times=3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert max(peaks) < 500_000
    assert peaks[1] < 1.2 * peaks[0]


def test_counts_add_to_what_is_there() -> None:
    """Counts keep the type of the column; within an aggregation they can be replaced, and not be written to."""
    primitive, ctx = make(Attrs(min_nr_regions=3), size=3 * PAGE, tracks=({"probability": 1.0},))
    ctx.targets[0].regions.nr_accesses[:] = [1, 2, 3]
    assert sample(primitive, ctx) == 4
    assert ctx.targets[0].regions.nr_accesses.tolist() == [2, 3, 4]
    regions = ctx.targets[0].regions
    assert regions.nr_accesses.dtype == np.uint32
    with pytest.raises(ValueError, match="read-only"):
        regions.nr_accesses[:] = 10
    regions.nr_accesses = np.array([10, 20, 30], np.uint32)
    assert sample(primitive, ctx) == 31
    assert regions.nr_accesses.tolist() == [11, 21, 31]


def test_a_block_is_accessed_if_any_page_of_it_is() -> None:
    """One check of 64 pages finds what 64 checks of a page in the same sample would: one access is enough."""
    tracks = ({"rate": 500_000.0},)
    page, block = (Synthetic(SyntheticOptions(size=1 << 30, tracks=tracks, block=each, seed=3)) for each in (1, 64))
    ctx, other = Context(rng=np.random.default_rng(1)), Context(rng=np.random.default_rng(1))
    block.init(ctx)
    block.prepare_access_checks(ctx)
    block.check_accesses(ctx)
    page.init(other)
    regions = ctx.targets[0].regions
    for start, found in zip((regions.sampling_addr >> 18 << 18).tolist(), regions.nr_accesses.tolist(), strict=True):
        other.targets[0].set_ranges([(at, at + 4096) for at in range(start, start + (64 << 12), 4096)])
        other.targets[0].regions.sampling_addr = other.targets[0].regions.start.copy()
        page.check_accesses(other)
        assert found == other.targets[0].regions.nr_accesses.max()
    assert (block.granularity, ctx.checks) == (64 * 4096, 640)
    assert 0 < regions.nr_accesses.sum() < 10


def test_the_true_rate_of_each_page() -> None:
    """Accesses per second by page: those of all tracks added up."""
    tracks = ({"size": "8KiB", "rate": 10.0}, {"spatial": "together", "size": "4KiB", "rate": 3.0, "arrivals": "even"})
    memory = Synthetic(SyntheticOptions(size=16384, tracks=tracks)).memory
    assert memory.access_rates(np.arange(4, dtype=np.uint64), 0, 500_000) == pytest.approx([8, 5, 0, 0])
