"""The primitive physical, on a tree of plain files."""

from pathlib import Path

import numpy as np
import pytest

from damond.core import AddrRange, Context, Target
from damond.errors import KdamondRunningError, SourceUnavailableError, UsageError
from damond.plugin import Registry
from damond.units import USEC_PER_SEC
from damond_accessbits.pageflags import BUDDY
from damond_physical import Physical, PhysicalOptions
from tests.accessbits.faketree import PAGE, USED, FakeTree

FRAMES = range(256, 512)


@pytest.fixture
def tree(tmp_path: Path) -> FakeTree:
    """One MiB of memory from frame 256 on: a quarter in use, a quarter free, the rest the kernel's own."""
    tree = FakeTree(tmp_path)
    used, free = dict.fromkeys(FRAMES[:64], USED), dict.fromkeys(FRAMES[64:128], BUDDY)
    tree.page_idle(used | free)
    tree.text("proc/iomem", f"{256 * PAGE:08x}-{512 * PAGE - 1:08x} : System RAM\n")
    return tree


def started(tree: FakeTree, *targets: Target, **options: object) -> tuple[Physical, Context]:
    primitive = Physical(PhysicalOptions(**options), tree.root)
    ctx = Context(attrs=primitive.attrs({}), targets=list(targets))
    primitive.init(ctx)
    return primitive, ctx


def test_one_target_for_all_memory(tree: FakeTree) -> None:
    """The target 0 is made, of no process, with regions that cover System RAM."""
    primitive, ctx = started(tree)
    (target,) = ctx.targets
    assert (target.id, target.pid, target.regions.total_sz) == (0, None, 256 * PAGE)
    assert len(target.regions) == ctx.attrs.min_nr_regions
    assert ctx.attrs.primitive_update_interval == 60 * USEC_PER_SEC
    primitive.cleanup(ctx)


def test_pass_counts(tree: FakeTree) -> None:
    """Accessed frames are counted, free ones are not accessed, and nothing is known of the kernel's own."""
    primitive, ctx = started(tree)
    ctx.targets[0].set_ranges([(frame * PAGE, (frame + 1) * PAGE) for frame in FRAMES])
    primitive.prepare_access_checks(ctx)
    assert tree.marked() == set(FRAMES[:64])
    tree.access(260, 300, 400)
    assert primitive.check_accesses(ctx) == 1
    hit = [frame for frame, count in zip(FRAMES, ctx.targets[0].regions.nr_accesses.tolist(), strict=True) if count]
    assert hit == [260, 300]
    assert (ctx.checks, ctx.unknown) == (256, 128)
    assert int(ctx.targets[0].regions.nr_missed.sum()) == 128
    primitive.cleanup(ctx)


@pytest.mark.parametrize(
    "targets",
    [pytest.param([1], id="another id"), pytest.param([0, 1], id="two of them")],
)
def test_other_targets_are_refused(tree: FakeTree, targets: list[int]) -> None:
    """Physical memory is one target of id 0."""
    with pytest.raises(UsageError, match="id 0"):
        started(tree, *map(Target, targets))


def test_memory_that_comes_and_goes(tree: FakeTree) -> None:
    """An update follows memory that was plugged in; ranges and regions that the user gave stay."""
    primitive, ctx = started(tree)
    limited, limited_ctx = started(tree, ranges=(AddrRange(256 * PAGE, 300 * PAGE),))
    given = Target(0)
    given.set_ranges([(256 * PAGE, 258 * PAGE)])
    own, own_ctx = started(tree, given)
    tree.text("proc/iomem", f"{256 * PAGE:08x}-{1024 * PAGE - 1:08x} : System RAM\n")
    for each, each_ctx, pages in ((primitive, ctx, 768), (limited, limited_ctx, 44), (own, own_ctx, 2)):
        each.update(each_ctx)
        assert each_ctx.targets[0].regions.total_sz == pages * PAGE
        each.cleanup(each_ctx)


def test_kdamond_is_refused(tree: FakeTree) -> None:
    """Beside the kernel's DAMON it does not start, unless that is allowed."""
    tree.text("sys/module/damon_reclaim/parameters/enabled", "Y\n")
    with pytest.raises(KdamondRunningError, match="damon_reclaim"):
        started(tree)
    primitive, ctx = started(tree, allow_kdamond=True)
    primitive.cleanup(ctx)


def test_without_page_idle_there_is_a_reason(tmp_path: Path) -> None:
    """Without page_idle it is refused, with what would help, by init and by probe() alike."""
    tree = FakeTree(tmp_path)
    tree.text("proc/iomem", "")
    # To stop somebody's kdamond would be no help here, so that it is not asked for.
    tree.text("sys/module/damon_reclaim/parameters/enabled", "Y\n")
    with pytest.raises(SourceUnavailableError, match="CONFIG_IDLE_PAGE_TRACKING"):
        started(tree)
    probe = Physical.probe(tree.root)
    assert (probe.works, bool(probe.hint)) == (False, True)


def test_probe_where_it_works(tree: FakeTree) -> None:
    """probe() names page_idle and warns of what works against good results."""
    probe = Physical.probe(tree.root)
    assert (probe.works, probe.granularity, probe.sources[0].name) == (True, PAGE, "page_idle")
    assert "TLB" in probe.warnings[-1]


def test_plugin_is_found() -> None:
    """The installed plugin offers physical, and auto never chooses it."""
    assert Registry().primitive("physical") is Physical
    assert Physical.auto_rank is None


def test_blocks(tree: FakeTree) -> None:
    """A check looks at 64 frames at once; what it counts is still one access at most, and pages are counted each."""
    primitive, ctx = started(tree, block=64)
    assert primitive.granularity == 64 * PAGE
    ctx.targets[0].set_ranges([(256 * PAGE, 320 * PAGE), (320 * PAGE, 330 * PAGE), (330 * PAGE, 512 * PAGE)])
    primitive.prepare_access_checks(ctx)
    assert tree.marked() == set(FRAMES[:64])
    tree.access(260, 300)
    assert primitive.check_accesses(ctx) == 1
    assert ctx.targets[0].regions.nr_accesses.tolist() == [1, 0, 0]
    assert 64 + 10 < ctx.checks <= 64 + 10 + 64
    primitive.cleanup(ctx)


def test_blocks_of_frames_that_can_not_be_marked(tree: FakeTree) -> None:
    """Where half of a block can't be marked, half of the samples stand behind the region."""
    primitive, ctx = started(tree, block=64)
    ctx.rng = np.random.default_rng(1)
    ctx.targets[0].set_ranges([(256 * PAGE, 320 * PAGE)])
    for frame in FRAMES[1:64:2]:
        tree.flags(frame, 0)
    for _ in range(200):
        primitive.prepare_access_checks(ctx)
        primitive.check_accesses(ctx)
    assert (ctx.checks, ctx.unknown) == (200 * 64, 200 * 32)
    assert 200 - int(ctx.targets[0].regions.nr_missed[0]) == pytest.approx(100, abs=40)
    primitive.cleanup(ctx)
