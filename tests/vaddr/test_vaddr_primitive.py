"""The primitive vaddr: options, intervals, and passes over a tree of plain files with a real pid."""

import errno
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from damond.core import Attrs, Context, Target
from damond.errors import InvalidAttrsError, KdamondRunningError, SourceUnavailableError, UnknownNameError
from damond.plugin import Registry, parse_options
from damond_accessbits.pageflags import MMAP, UPTODATE
from damond_accessbits.pagemap import PRESENT
from damond_vaddr import Vaddr, VaddrOptions
from tests.accessbits.faketree import PAGE, USED, FakeTree

MAPS = (
    f"{0x1000 * PAGE:08x}-{0x1010 * PAGE:08x} rw-p 0 0 0 \n"
    f"{0x2000 * PAGE:08x}-{0x2008 * PAGE:08x} rw-p 0 0 0 \n"
    f"{0x3000 * PAGE:08x}-{0x3004 * PAGE:08x} rw-p 0 0 0 \n"
)
SMAPS = "".join(f"{line}\nReferenced:            0 kB\n" for line in MAPS.splitlines())
FIRST = 0x1000 * PAGE


@pytest.fixture
def pids() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Two processes whose pids the fake trees are about."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE) as first,
        subprocess.Popen(command, stdin=subprocess.PIPE) as second,
    ):
        yield [first, second]
        first.kill()
        second.kill()


@pytest.fixture
def tree(tmp_path: Path, pids: list["subprocess.Popen[bytes]"]) -> FakeTree:
    """Process one has its first 16 pages in frames 100 to 115; process two has nothing in memory."""
    tree = FakeTree(tmp_path)
    tree.page_idle(dict.fromkeys(range(100, 116), USED))
    tree.process(pids[0].pid, MAPS, {FIRST + n * PAGE: 100 + n for n in range(16)}, SMAPS)
    tree.process(pids[1].pid, MAPS, smaps=SMAPS)
    tree.text("proc/self/smaps", "")
    tree.text("proc/self/clear_refs", "")
    return tree


def started(tree: FakeTree, *processes: "subprocess.Popen[bytes]", **options: object) -> tuple[Vaddr, Context]:
    primitive = Vaddr(VaddrOptions(**options), tree.root)
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(each.pid) for each in processes])
    primitive.init(ctx)
    return primitive, ctx


def single_pages(ctx: Context) -> None:
    ctx.targets[0].set_ranges([(FIRST + n * PAGE, FIRST + (n + 1) * PAGE) for n in range(16)])


def test_initial_regions_cover_the_mappings(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """The three regions are cut into pieces of a tenth of the total; regions that the user gave are kept."""
    primitive, ctx = started(tree, pids[0])
    assert ctx.targets[0].pid == pids[0].pid
    assert ctx.targets[0].regions.total_sz == 28 * PAGE
    assert len(ctx.targets[0].regions) == 8  # 16, 8 and 4 pages in pieces of 2.8: 5, 2 and 1 of them
    primitive.cleanup(ctx)

    given = Context(targets=[Target(pids[0].pid)])
    given.targets[0].set_ranges([(FIRST, FIRST + PAGE)])
    primitive.init(given)
    assert len(given.targets[0].regions) == 1
    primitive.cleanup(given)


def test_pass_counts_accesses_checks_and_what_is_unknown(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Accessed pages are counted, each region is one check, and a page that can't be marked is unknown."""
    primitive, ctx = started(tree, *pids)
    single_pages(ctx)
    tree.flags(115, MMAP | UPTODATE)
    checks = sum(len(each.regions) for each in ctx.targets)
    for expected_max in (1, 2):
        primitive.prepare_access_checks(ctx)
        tree.access(100, 107, 115)
        assert primitive.check_accesses(ctx) == expected_max
    regions = ctx.targets[0].regions
    assert [n for n, count in enumerate(regions.nr_accesses.tolist()) if count == 2] == [0, 7]
    assert int(regions.nr_accesses.sum()) == 4
    assert (ctx.checks, ctx.unknown) == (2 * checks, 2)
    assert sorted(regions.nr_missed.tolist())[-2:] == [0, 2]
    primitive.cleanup(ctx)


def test_hidden_frames_end_the_context(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Frame numbers that are hidden are an error, not memory that nobody accesses."""
    primitive, ctx = started(tree, pids[0])
    single_pages(ctx)
    tree.word(f"proc/{pids[0].pid}/pagemap", FIRST // PAGE, PRESENT)
    with pytest.raises(SourceUnavailableError, match="CAP_SYS_ADMIN"):
        primitive.prepare_access_checks(ctx)
    primitive.cleanup(ctx)


def test_update_follows_the_mappings(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """A mapping that grew is covered after an update; one that has become unreadable leaves the regions alone."""
    primitive, ctx = started(tree, pids[0])
    tree.text(f"proc/{pids[0].pid}/maps", MAPS.replace(f"{0x3004 * PAGE:08x}", f"{0x3100 * PAGE:08x}"))
    primitive.update(ctx)
    assert ctx.targets[0].regions.total_sz == (24 + 0x100) * PAGE
    tree.text(f"proc/{pids[0].pid}/maps", "")
    primitive.update(ctx)
    assert ctx.targets[0].regions.total_sz == (24 + 0x100) * PAGE
    primitive.cleanup(ctx)


def test_update_without_a_change(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Where the mappings are what they were, nothing is done; but regions that the user gave are fitted once."""
    primitive, ctx = started(tree, pids[0])
    regions = ctx.targets[0].regions
    before = regions.start
    primitive.update(ctx)
    assert regions.start is before
    primitive.cleanup(ctx)
    given = Target(pids[0].pid)
    given.set_ranges([(FIRST, FIRST + PAGE)])
    primitive, ctx = Vaddr(VaddrOptions(), tree.root), Context(targets=[given])
    primitive.init(ctx)
    assert given.regions.total_sz == PAGE
    primitive.update(ctx)
    assert given.regions.total_sz == 28 * PAGE
    primitive.cleanup(ctx)


def test_process_without_three_regions_waits_for_them(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """A process that can't be covered by three regions yet is monitored from the update on that finds them."""
    tree.text(f"proc/{pids[0].pid}/maps", MAPS.splitlines(keepends=True)[0])
    primitive, ctx = started(tree, pids[0])
    assert len(ctx.targets[0].regions) == 0
    primitive.prepare_access_checks(ctx)
    assert primitive.check_accesses(ctx) == 0
    tree.text(f"proc/{pids[0].pid}/maps", MAPS)
    primitive.update(ctx)
    assert len(ctx.targets[0].regions) == 3
    primitive.cleanup(ctx)


@pytest.mark.parametrize("source", ["page_idle", "referenced"])
def test_unreadable_target_is_unknown_not_an_error(
    tree: FakeTree,
    pids: list["subprocess.Popen[bytes]"],
    source: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A target that may not be read in a pass (it calls execve) counts as unknown; the log says so once."""
    primitive, ctx = started(tree, *pids, source=source)

    def refuse(name: str, flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(primitive._processes[pids[0].pid], "_open", refuse)
    for _ in range(2):
        primitive.prepare_access_checks(ctx)
        primitive.check_accesses(ctx)
    assert ctx.unknown == 2 * len(ctx.targets[0].regions)
    assert ctx.checks == 2 * sum(len(each.regions) for each in ctx.targets)
    assert caplog.text.count("can't be read now") == 1
    primitive.cleanup(ctx)


@pytest.mark.parametrize("source", ["page_idle", "referenced"])
def test_target_that_goes_in_mid_pass_is_left_out(
    tree: FakeTree, pids: list["subprocess.Popen[bytes]"], source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target whose files return ESRCH in the middle of a pass is left out of it; the other one counts."""
    primitive, ctx = started(tree, *pids, source=source)

    def gone(name: str, flags: int) -> int:
        raise ProcessLookupError(errno.ESRCH, "No such process", name)

    monkeypatch.setattr(primitive._processes[pids[0].pid], "_open", gone)
    primitive.prepare_access_checks(ctx)
    primitive.check_accesses(ctx)
    assert (ctx.checks, ctx.unknown) == (len(ctx.targets[1].regions), 0)
    primitive.cleanup(ctx)


def test_new_memory_is_followed_at_once(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """A pagemap that has nothing to say any more (after execve) is opened anew, with the regions of the new memory."""
    primitive, ctx = started(tree, pids[0])
    pagemap = tree.base / f"proc/{pids[0].pid}/pagemap"
    os.truncate(pagemap, 0)
    pagemap.rename(pagemap.with_name("old"))
    tree.process(pids[0].pid, MAPS.replace("rw-p", "r--p"), {FIRST: 100})
    primitive.prepare_access_checks(ctx)
    assert primitive.check_accesses(ctx) == 0
    single_pages(ctx)
    primitive.prepare_access_checks(ctx)
    tree.access(100)
    assert primitive.check_accesses(ctx) == 1
    primitive.cleanup(ctx)


def test_ended_target_counts_no_more(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """An ended target is invalid, keeps its last counts until they are delivered, and then has no regions."""
    primitive, ctx = started(tree, *pids)
    assert all(map(primitive.target_valid, ctx.targets))
    pids[0].stdin.close()
    pids[0].wait(30)
    assert [primitive.target_valid(each) for each in ctx.targets] == [False, True]
    primitive.prepare_access_checks(ctx)
    primitive.check_accesses(ctx)
    assert ctx.checks == len(ctx.targets[1].regions)
    assert len(ctx.targets[0].regions) > 0
    primitive.reset_aggregated(ctx)
    assert len(ctx.targets[0].regions) == 0
    primitive.cleanup(ctx)


def test_cleanup_closes_everything(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Nothing stays open: after a run, after a cleanup done twice, and after an init that failed half-way."""

    def open_files() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    gc.collect()  # what other tests have left open
    before = open_files()
    primitive, ctx = started(tree, *pids)
    primitive.prepare_access_checks(ctx)
    primitive.cleanup(ctx)
    primitive.cleanup(ctx)
    assert open_files() == before
    ctx.targets.append(Target(2**22 + 1))
    with pytest.raises(LookupError):
        primitive.init(ctx)
    primitive.cleanup(ctx)
    assert open_files() == before


def test_kdamond_is_refused_with_both_ways_out(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Asked for by name, page_idle is refused beside a kdamond; allow_kdamond and referenced go."""
    tree.text("sys/module/damon_stat/parameters/enabled", "Y\n")
    with pytest.raises(KdamondRunningError, match="damon_stat") as info:
        started(tree, pids[0], source="page_idle")
    assert "allow_kdamond = true" in info.value.hint
    assert 'source = "referenced"' in info.value.hint
    for options in ({"source": "page_idle", "allow_kdamond": True}, {"source": "referenced"}):
        primitive, ctx = started(tree, pids[0], **options)
        primitive.cleanup(ctx)


def test_auto_leaves_page_idle_out_beside_a_kdamond(
    tree: FakeTree, pids: list["subprocess.Popen[bytes]"], caplog: pytest.LogCaptureFixture
) -> None:
    """With source auto, referenced is taken while a kdamond runs, and the log says why; allow_kdamond insists."""
    tree.text("sys/module/damon_stat/parameters/enabled", "Y\n")
    primitive, ctx = started(tree, pids[0], source="auto")
    assert primitive.granularity == 0
    assert "damon_stat" in caplog.text
    primitive.cleanup(ctx)
    primitive, ctx = started(tree, pids[0], source="auto", allow_kdamond=True)
    assert primitive.granularity == 4096
    primitive.cleanup(ctx)


def test_referenced_on_files(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Referenced writes 1 to clear_refs and counts the regions of referenced mappings, at granularity 0."""
    primitive, ctx = started(tree, pids[0], source="referenced")
    assert primitive.granularity == 0
    primitive.prepare_access_checks(ctx)
    assert (tree.base / f"proc/{pids[0].pid}/clear_refs").read_text() == "1"
    first, *rest = MAPS.splitlines()
    smaps = [f"{first}\nReferenced: 4 kB\n", *(f"{each}\nReferenced: 0 kB\n" for each in rest)]
    tree.text(f"proc/{pids[0].pid}/smaps", "".join(smaps))
    assert primitive.check_accesses(ctx) == 1
    regions = ctx.targets[0].regions
    expected = [1 if start < 0x1010 * PAGE else 0 for start in regions.start.tolist()]
    assert regions.nr_accesses.tolist() == expected
    assert (ctx.checks, ctx.unknown) == (len(regions), 0)
    primitive.cleanup(ctx)


@pytest.mark.parametrize(
    ("missing", "wanted", "expected"),
    [
        pytest.param([], "auto", "page_idle", id="page by page where it works"),
        pytest.param(["sys/kernel/mm/page_idle/bitmap"], "auto", "referenced", id="by mapping where it does not"),
        pytest.param([], "referenced", "referenced", id="by mapping where it is asked for"),
    ],
)
def test_source_is_chosen(tree: FakeTree, missing: list[str], wanted: str, expected: str) -> None:
    """Auto takes the first source that works, and a name takes that one."""
    for each in missing:
        (tree.base / each).unlink()
    assert Vaddr(VaddrOptions(source=wanted), tree.root).source == expected


@pytest.mark.parametrize("wanted", ["auto", "page_idle"])
def test_no_source_says_why(tmp_path: Path, wanted: str) -> None:
    """Where nothing works, or not what was asked for, the error says why, for each that was tried."""
    with pytest.raises(SourceUnavailableError, match="CONFIG_IDLE_PAGE_TRACKING") as info:
        Vaddr(VaddrOptions(source=wanted), FakeTree(tmp_path).root).attrs({})
    assert ("clear_refs" in info.value.message) == (wanted == "auto")
    assert info.value.hint


MS = 1000


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        pytest.param("page_idle", {}, (5, 100, 1000), id="page_idle: as damo"),
        pytest.param("page_idle", {"sample_interval": 10 * MS}, (10, 100, 1000), id="page_idle: still ten samples"),
        pytest.param("page_idle", {"sample_interval": 50 * MS}, (50, 500, 1000), id="page_idle: ten samples"),
        pytest.param("page_idle", {"primitive_update_interval": 60_000 * MS}, (5, 100, 60_000), id="update as given"),
        pytest.param("referenced", {}, (100, 1000, 1000), id="referenced: slower"),
        pytest.param(
            "referenced",
            {"sample_interval": 5 * MS, "aggr_interval": 100 * MS},
            (100, 2000, 1000),
            id="referenced: stretched, with as many samples",
        ),
        pytest.param("referenced", {"sample_interval": 5 * MS}, (100, 1000, 1000), id="referenced: ten samples"),
        pytest.param("referenced", {"aggr_interval": 5000 * MS}, (100, 5000, 1000), id="referenced: longer windows"),
        pytest.param("referenced", {"aggr_interval": 20 * MS}, (100, 100, 1000), id="referenced: at least a sample"),
        pytest.param(
            "referenced",
            {"sample_interval": 200 * MS, "aggr_interval": 1000 * MS},
            (200, 1000, 1000),
            id="referenced: slow enough already",
        ),
    ],
)
def test_intervals(tree: FakeTree, source: str, given: dict[str, int], expected: tuple[int, int, int]) -> None:
    """Each source has intervals that it can keep."""
    attrs = Vaddr(VaddrOptions(source=source), tree.root).attrs(given)
    assert (attrs.sample_interval, attrs.aggr_interval, attrs.primitive_update_interval) == tuple(
        MS * each for each in expected
    )
    assert (attrs.min_nr_regions, attrs.max_nr_regions) == (Attrs().min_nr_regions, Attrs().max_nr_regions)


def test_contradiction_is_not_stretched_away(tree: FakeTree) -> None:
    """An aggregation shorter than its samples is refused, whatever the source."""
    for source in ("page_idle", "referenced"):
        with pytest.raises(InvalidAttrsError, match="aggr_interval"):
            Vaddr(VaddrOptions(source=source), tree.root).attrs({"sample_interval": 50 * MS, "aggr_interval": 20 * MS})


def test_options_have_a_schema() -> None:
    """Words from a command line become options, and an unknown source is answered with those there are."""
    options = parse_options("vaddr", VaddrOptions, {"source": "page_idle", "allow_kdamond": "yes"})
    assert options == VaddrOptions(source="page_idle", allow_kdamond=True)
    with pytest.raises(UnknownNameError, match="page_idle"):
        parse_options("vaddr", VaddrOptions, {"source": "page_idel"})


def test_plugin_is_found() -> None:
    """The installed plugin offers vaddr, for processes, and auto may choose it."""
    vaddr = Registry().primitive("vaddr")
    assert vaddr is Vaddr
    assert (vaddr.process_targets, vaddr.auto_rank) == (True, 20)


def test_probe_tells_both_sources_apart(tree: FakeTree) -> None:
    """probe() names both sources with their granularity, and warns of kdamonds and of the TLB."""
    tree.text("sys/module/damon_stat/parameters/enabled", "Y\n")
    probe = Vaddr.probe(tree.root)
    assert [(each.name, each.works, each.granularity) for each in probe.sources] == [
        ("page_idle", True, PAGE),
        ("referenced", True, 0),
    ]
    assert "damon_stat" in probe.warnings[0]
    assert "TLB" in probe.warnings[-1]
    (tree.base / "sys/kernel/mm/page_idle/bitmap").unlink()
    assert "Debian" in Vaddr.probe(tree.root).hint
    assert not any("TLB" in each for each in Vaddr.probe(tree.root).warnings)


def test_probe_without_any_source(tmp_path: Path) -> None:
    """Where no source works, probe() says why and what would help."""
    probe = Vaddr.probe(FakeTree(tmp_path).root)
    assert not probe.works
    assert "clear_refs" in probe.reason
    assert probe.hint


def test_blocks(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """A check looks at all pages of a block within its region, and counts one access at most."""
    primitive, ctx = started(tree, pids[0], block=8)
    assert primitive.granularity == 8 * PAGE
    # Pages 0 to 7 are one aligned block, 8 to 15 the next; the regions cut them at 3, 8 and 12.
    assert FIRST // PAGE % 8 == 0
    bounds = [(0, 3), (3, 8), (8, 12), (12, 16)]
    ctx.targets[0].set_ranges([(FIRST + a * PAGE, FIRST + b * PAGE) for a, b in bounds])
    tree.flags(109, MMAP | UPTODATE)
    primitive.prepare_access_checks(ctx)
    assert tree.marked() == set(range(100, 116)) - {109}
    tree.access(101, 102, 109, 115)
    assert primitive.check_accesses(ctx) == 1
    assert ctx.targets[0].regions.nr_accesses.tolist() == [1, 0, 0, 1]
    assert (ctx.checks, ctx.unknown) == (16, 1)
    primitive.cleanup(ctx)


def test_blocks_of_pages_that_can_not_be_marked(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Where one page of eight can be marked, one sample of eight stands behind the region, whatever that page says."""
    primitive, ctx = started(tree, pids[0], block=8)
    ctx.rng = np.random.default_rng(1)
    ctx.targets[0].set_ranges([(FIRST, FIRST + 16 * PAGE)])
    for frame in (each for each in range(100, 116) if each % 8 != 4):
        tree.flags(frame, MMAP | UPTODATE)
    for _ in range(400):
        primitive.prepare_access_checks(ctx)
        primitive.check_accesses(ctx)
    assert (ctx.checks, ctx.unknown) == (400 * 8, 400 * 7)
    assert 400 - int(ctx.targets[0].regions.nr_missed[0]) == pytest.approx(50, abs=25)
    primitive.cleanup(ctx)


def test_block_within_a_region(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Of a region of many blocks one is looked at, wholly; the next pass may look at another."""
    primitive, ctx = started(tree, pids[0], block=4)
    ctx.rng = np.random.default_rng(1)
    ctx.targets[0].set_ranges([(FIRST, FIRST + 16 * PAGE)])
    seen = set()
    for _ in range(40):
        tree.page_idle(dict.fromkeys(range(100, 116), USED))
        primitive.prepare_access_checks(ctx)
        marked = tree.marked()
        assert len(marked) == 4
        assert min(marked) % 4 == 0
        seen |= marked
        primitive.check_accesses(ctx)
    assert seen == set(range(100, 116))
    assert ctx.checks == 40 * 4
    primitive.cleanup(ctx)


def test_blocks_of_absent_pages(tree: FakeTree, pids: list["subprocess.Popen[bytes]"]) -> None:
    """Pages that are not in memory are looked at, and nothing is marked or unknown for them."""
    primitive, ctx = started(tree, pids[0], block=64)
    ctx.targets[0].set_ranges([(FIRST + 12 * PAGE, FIRST + 24 * PAGE)])
    primitive.prepare_access_checks(ctx)
    assert tree.marked() == set(range(112, 116))
    tree.access(113)
    assert primitive.check_accesses(ctx) == 1
    assert (ctx.checks, ctx.unknown) == (12, 0)
    primitive.cleanup(ctx)
