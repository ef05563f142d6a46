"""What is worked out ahead is what each sample finds when its time comes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from damond.core import Attrs, Context, Target
from damond.units import Usec
from damond_synthetic import Synthetic, SyntheticOptions

GIB = 1024**3
TRACKS = (
    {"size": "256MiB", "probability": 0.5},
    {"start": "128MiB", "size": "512MiB", "spatial": "gaussian", "temporal": "sine", "period": "90ms"},
    {"start": "512MiB", "size": "64MiB", "move": "bounce", "move_period": "200ms", "begin": "33ms", "until": "150ms"},
)


def begin(nr_regions: int = 20, block: int = 1) -> tuple[Synthetic, Context]:
    """Make a primitive, and a context of two targets that it has begun with."""
    primitive = Synthetic(SyntheticOptions(size=GIB, tracks=TRACKS, block=block))
    attrs = Attrs(min_nr_regions=nr_regions, max_nr_regions=nr_regions)
    ctx = Context(attrs=attrs, targets=[Target(1), Target(2)], rng=np.random.default_rng(1))
    primitive.init(ctx)
    return primitive, ctx


def found_alone(primitive: Synthetic, ctx: Context) -> list[list[int]]:
    """Look at the addresses of the sample under way with a primitive that knows of no other sample."""
    options: Any = primitive.options
    alone = Synthetic(options)
    other = Context(attrs=ctx.attrs, targets=[Target(target.id) for target in ctx.targets])
    other.passed_samples = ctx.passed_samples
    alone._since_us = primitive.time_us(ctx) - ctx.passed_samples * ctx.attrs.sample_interval
    for target, mine in zip(other.targets, ctx.targets, strict=True):
        target.set_ranges(mine.regions.ranges())
        target.regions.sampling_addr = mine.regions.sampling_addr.copy()
    alone.check_accesses(other)
    return [target.regions.nr_accesses.tolist() for target in other.targets]


def sample(primitive: Synthetic, ctx: Context) -> list[list[int]]:
    """Do what the loop does in a sample, held against one that is worked out by itself."""
    primitive.prepare_access_checks(ctx)
    before = [target.regions.nr_accesses.astype(int) for target in ctx.targets]
    wanted = found_alone(primitive, ctx)
    primitive.check_accesses(ctx)
    ctx.passed_samples += 1
    ctx.window_samples = (ctx.window_samples + 1) % ctx.attrs.samples_per_aggr
    now = [target.regions.nr_accesses.astype(int) for target in ctx.targets]
    found = [(after - earlier).tolist() for after, earlier in zip(now, before, strict=True)]
    assert found == wanted
    return found


@pytest.mark.parametrize(("nr_regions", "block"), [(20, 1), (3000, 1), (20, 16), (700, 64)])
def test_each_sample_is_as_if_alone(nr_regions: int, block: int) -> None:
    """However many samples are worked out at once: two aggregations and a half, page by page and by blocks."""
    primitive, ctx = begin(nr_regions, block)
    found = [each for _ in range(50) for target in sample(primitive, ctx) for each in target]
    assert 0 < sum(found) < len(found)
    assert ctx.checks >= 50 * 2 * nr_regions


def _tuned(primitive: Synthetic, ctx: Context) -> None:
    ctx.attrs = primitive.tune(ctx, Attrs(sample_interval=Usec(3_000), min_nr_regions=20))


def _other_regions(_: Synthetic, ctx: Context) -> None:
    ctx.targets[1].set_ranges([(0, GIB // 2), (GIB // 2, GIB)])


def _one_target_less(_: Synthetic, ctx: Context) -> None:
    del ctx.targets[1]


def _one_target_more(primitive: Synthetic, ctx: Context) -> None:
    ctx.targets.append(Target(3))
    ctx.targets[2].set_ranges([(0, GIB)])


def _no_target(_: Synthetic, ctx: Context) -> None:
    ctx.targets.clear()


@pytest.mark.parametrize("change", [_tuned, _other_regions, _one_target_less, _one_target_more, _no_target])
def test_what_changes_in_between_is_worked_out_anew(change: Callable[[Synthetic, Context], None]) -> None:
    """Attributes, regions and targets change within an aggregation: nothing of before is counted."""
    primitive, ctx = begin()
    for _ in range(7):
        sample(primitive, ctx)
    change(primitive, ctx)
    for _ in range(30):
        assert len(sample(primitive, ctx)) == len(ctx.targets)
