"""vaddr on processes that exit, run another program, fork, stop or have little to monitor; on a real kernel."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from damond.core import Context, Target
from damond.errors import KdamondRunningError, NoSuchProcessError
from damond.units import PAGE_SIZE
from damond_accessbits import IdleFrames, Root
from damond_accessbits.drain import drain_lru_batches
from damond_accessbits.words import write_words
from damond_vaddr import Vaddr, VaddrOptions
from tests.kernel.kernel_damon import Plan, in_guest, monitor_by_kernel
from tests.kernel.rig import LIMIT_S, Toucher, frames_of, monitor, toucher, workload

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(LIMIT_S)]

MIB = 1 << 20


def page_idle(*, allow_kdamond: bool = False) -> Vaddr:
    return Vaddr(VaddrOptions(source="page_idle", allow_kdamond=allow_kdamond))


def started(*pids: int) -> tuple[Vaddr, Context]:
    primitive = page_idle()
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(pid) for pid in pids])
    primitive.init(ctx)
    return primitive, ctx


def accesses(primitive: Vaddr, ctx: Context, address: int, size: int, child: Toucher | None = None) -> tuple[int, int]:
    """Do one pass over regions of one page each; return how many were accessed, and how many unknown."""
    starts = range(address, address + size, PAGE_SIZE)
    ctx.targets[0].set_ranges([(start, start + PAGE_SIZE) for start in starts])
    ctx.unknown = 0
    primitive.prepare_access_checks(ctx)
    if child is not None:
        child.ask("touch", address, PAGE_SIZE, size // PAGE_SIZE // 2)
    primitive.check_accesses(ctx)
    return int(ctx.targets[0].regions.nr_accesses.sum()), ctx.unknown


def test_touched_half_is_exact() -> None:
    """Of 16 MiB of marked pages exactly the touched half is found accessed."""
    with toucher() as child:
        address = child.map(16 * MIB)
        primitive, ctx = started(child.pid)
        drain_lru_batches()
        assert accesses(primitive, ctx, address, 16 * MIB, child) == (2048, 0)
        first = ctx.targets[0].regions.nr_accesses[:2048]
        assert first.all()
        primitive.cleanup(ctx)


def test_pages_in_a_batch_are_unknown_until_they_are_drained() -> None:
    """Freshly faulted pages that can't be marked count as unknown, not as accessed; an update makes them markable."""
    with toucher() as child:
        child.map(4 * MIB)
        primitive, ctx = started(child.pid)
        drain_lru_batches()
        for _ in range(10):  # a batch that was nearly full, or a fork of somebody's, drains them before we look
            address = child.map(8 * PAGE_SIZE)
            accessed, unknown = accesses(primitive, ctx, address, 8 * PAGE_SIZE)
            assert accessed == 0
            if unknown:
                break
        assert unknown > 0
        primitive.update(ctx)
        assert accesses(primitive, ctx, address, 8 * PAGE_SIZE, child) == (4, 0)
        primitive.cleanup(ctx)


def test_pages_that_were_never_touched_are_not_accessed() -> None:
    """A page that is not in memory is not accessed: a definite answer, nothing unknown."""
    with toucher() as child:
        address = int(child.ask("map", MIB))
        primitive, ctx = started(child.pid)
        assert accesses(primitive, ctx, address, MIB) == (0, 0)
        primitive.cleanup(ctx)


def test_exit_ends_the_context_with_its_last_results() -> None:
    """When the only target ends, so does the monitoring, and every sample until then is in a snapshot."""
    with workload("steady_32_of_256") as load:
        seen: list[int] = []

        def kill_after_fifty() -> bool:
            seen.append(1)
            if len(seen) == 50:
                load.process.kill()
            return False

        snapshots, ctx, reason = monitor(page_idle(), [load.layout.pid], LIMIT_S, condition=kill_after_fifty)
    assert reason == "target_gone"
    assert sum(each.max_nr_accesses for each in snapshots) == ctx.passed_samples >= 49
    assert ctx.targets[0].pid == load.layout.pid


def test_one_target_ends_and_the_other_goes_on() -> None:
    """A target that has ended loses its regions once its last counts are out; the context lives on with the other."""
    with toucher() as first, toucher() as second:
        primitive, ctx = started(first.pid, second.pid)
        first.process.kill()
        first.process.wait(LIMIT_S)
        primitive.prepare_access_checks(ctx)
        primitive.check_accesses(ctx)
        assert len(ctx.targets[0].regions) > 0
        primitive.reset_aggregated(ctx)
        assert [len(each.regions) > 0 for each in ctx.targets] == [False, True]
        assert [primitive.target_valid(each) for each in ctx.targets] == [False, True]
        primitive.update(ctx)
        primitive.cleanup(ctx)


def test_exec_is_followed() -> None:
    """After execve(2) the next pass notices that the memory is another one, and the one after sees it."""
    with toucher() as child:
        child.map(4 * MIB)
        primitive, ctx = started(child.pid)
        address = int(child.ask("exec", 4 * MIB))
        child.ask("write", address, PAGE_SIZE, 1024)
        primitive.prepare_access_checks(ctx)
        regions = ctx.targets[0].regions
        assert any(a <= address < b for a, b in zip(regions.start.tolist(), regions.end.tolist(), strict=True))
        drain_lru_batches()
        assert accesses(primitive, ctx, address, 4 * MIB, child) == (512, 0)
        primitive.cleanup(ctx)


def test_fork_does_not_mix_the_processes_up() -> None:
    """A child that shares the pages of the target changes nothing in what is found of the target."""
    with toucher() as child:
        address = child.map(4 * MIB)
        grandchild = int(child.ask("fork"))
        primitive, ctx = started(child.pid)
        drain_lru_batches()
        assert accesses(primitive, ctx, address, 4 * MIB, child) == (512, 0)
        primitive.cleanup(ctx)
        os.kill(grandchild, signal.SIGKILL)


def test_stopped_process_reads_as_idle() -> None:
    """A process under SIGSTOP stays valid and accesses nothing."""
    with toucher() as child:
        address = child.map(4 * MIB)
        primitive, ctx = started(child.pid)
        drain_lru_batches()
        child.process.send_signal(signal.SIGSTOP)
        os.waitpid(child.pid, os.WUNTRACED)
        assert accesses(primitive, ctx, address, 4 * MIB) == (0, 0)
        assert primitive.target_valid(ctx.targets[0])
        child.process.send_signal(signal.SIGCONT)
        primitive.cleanup(ctx)


def test_hundreds_of_mappings() -> None:
    """A process with hundreds of small mappings is monitored as any other."""
    with toucher() as child:
        child.ask("holes", 500)
        snapshots, _, _ = monitor(page_idle(), [child.pid], 1)
        assert snapshots[-1].nr_regions >= 3


def test_kernel_thread_is_refused() -> None:
    """A kernel thread has no address space, and the error says so."""
    with pytest.raises(NoSuchProcessError, match="kernel thread"):
        started(2)


def test_zombie_is_refused() -> None:
    """A process that has ended and was not waited for yet is refused as ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(NoSuchProcessError, match="has ended"):
            started(process.pid)


@pytest.mark.skipif(not in_guest(), reason="starts the kernel's DAMON: in a guest kernel only (see test_guest.py)")
def test_kdamond_beside_us_is_refused() -> None:
    """Where the kernel's DAMON runs, init names it and how to stop it, unless allow_kdamond is given."""
    with toucher() as child:
        refused: list[str] = []

        def try_both() -> None:
            try:
                started(child.pid)
            except KdamondRunningError as error:
                refused.append(str(error))
            allowed = page_idle(allow_kdamond=True)
            ctx = Context(targets=[Target(child.pid)])
            allowed.init(ctx)
            allowed.cleanup(ctx)

        monitor_by_kernel(Plan(page_idle().attrs({}), child.pid), 0.2, meanwhile=try_both)
        assert len(refused) == 1
        assert "kdamonds (vaddr)" in refused[0]
        assert "echo off" in refused[0]
        assert "allow_kdamond" in refused[0]
        assert "referenced" in refused[0]


def test_frames_behind_the_last_are_unknown() -> None:
    """A frame behind the end of memory is unknown: page_idle takes no mark for it (ENXIO), kpageflags knows it not."""
    beyond = np.array([1 << 40], np.uint64)
    frames = IdleFrames(Root())
    frames.mark(beyond)
    assert frames.unknown.tolist() == [True]
    assert frames.accessed().tolist() == [False]
    assert write_words(frames._fd, np.array([1 << 34], np.uint64), np.array([1], np.uint64)).tolist() == [0]
    frames.close()


def test_hidden_frames_are_an_error_of_their_own() -> None:
    """Without CAP_SYS_ADMIN pagemap hides frame numbers: that is told apart from memory that is not there."""
    script = (
        "from damond.errors import SourceUnavailableError\n"
        "from damond_vaddr.sources import choose_source\n"
        "from damond_accessbits import Root\n"
        "try: choose_source('page_idle', Root())\n"
        "except SourceUnavailableError as error: print(error)\n"
        "print(choose_source('auto', Root()))"
    )
    command = ["setpriv", "--bounding-set", "-sys_admin", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    refusal, chosen = done.stdout.splitlines()
    assert "CAP_SYS_ADMIN" in refusal
    assert chosen == "referenced"


def test_frames_of_a_file_mapping_are_seen() -> None:
    """Pages of a file are monitored as anonymous ones are."""
    with toucher() as child:
        address = child.map(4 * MIB, "file")
        assert frames_of(child.pid, address, 1024).all()
        primitive, ctx = started(child.pid)
        drain_lru_batches()
        accessed, unknown = accesses(primitive, ctx, address, 4 * MIB, child)
        assert (accessed >= 512, unknown) == (True, 0)
        primitive.cleanup(ctx)
