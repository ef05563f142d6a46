"""Processes and memory of unusual kinds, on real kernels: none of them is an error, or each has an error of its own."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from damond.core import Context, Target
from damond.units import PAGE_SIZE
from damond_accessbits import IdleFrames, Root
from damond_accessbits.drain import drain_lru_batches
from damond_physical import Physical, PhysicalOptions
from damond_vaddr import Vaddr, VaddrOptions
from tests.kernel.elf32 import DATA, write_toucher
from tests.kernel.guest import in_guest
from tests.kernel.kernels import HOW
from tests.kernel.rig import LIMIT_S, frames_of, monitor, toucher

MIB = 1 << 20

pytestmark = pytest.mark.timeout(3 * LIMIT_S)

only_in_guest = pytest.mark.skipif(not in_guest(), reason=f"changes the machine: in a guest kernel only; {HOW}")


def one_pass(pid: int, address: int, nr_pages: int, touch: str, ask) -> tuple[int, int]:  # noqa: ANN001 - Toucher.ask
    """Check each page of a mapping once; return how many were accessed, and how many unknown."""
    primitive = Vaddr(VaddrOptions(source="page_idle"))
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(pid)])
    primitive.init(ctx)
    drain_lru_batches()
    ctx.targets[0].set_ranges([(address + n * PAGE_SIZE, address + (n + 1) * PAGE_SIZE) for n in range(nr_pages)])
    primitive.prepare_access_checks(ctx)
    if touch:
        ask(touch, address, PAGE_SIZE, nr_pages // 2)
    primitive.check_accesses(ctx)
    primitive.cleanup(ctx)
    return int(ctx.targets[0].regions.nr_accesses.sum()), ctx.unknown


@pytest.mark.kernel
def test_process_in_other_namespaces() -> None:
    """A process in a pid and mount namespace of its own is monitored under the pid that it has here."""
    prefix = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child"]
    with toucher(prefix) as child:
        (inner,) = psutil.Process(child.pid).children()
        assert Path(f"/proc/{inner.pid}/ns/pid").readlink() != Path("/proc/self/ns/pid").readlink()
        address = child.map(4 * MIB)
        assert one_pass(inner.pid, address, 1024, "touch", child.ask) == (512, 0)


@pytest.mark.kernel
def test_process_that_a_namespace_hides() -> None:
    """Seen from a pid namespace, a process outside is no process, and the error says just that."""
    script = (
        "import sys\nfrom damond.core import Context, Target\nfrom damond.errors import NoSuchProcessError\n"
        "from damond_vaddr import Vaddr, VaddrOptions\n"
        "try: Vaddr(VaddrOptions(source='page_idle')).init(Context(targets=[Target(int(sys.argv[1]))]))\n"
        "except NoSuchProcessError as error: print(error)"
    )
    with toucher() as child:
        command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script, str(child.pid)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert f"no process {child.pid}" in done.stdout


@pytest.mark.kernel
def test_locked_memory() -> None:
    """Memory that is locked, 256 MiB at once, can be marked and is seen as any other."""
    with toucher() as child:
        address = child.map(256 * MIB, "locked")
        assert "Locked:" in Path(f"/proc/{child.pid}/smaps").read_text()
        assert one_pass(child.pid, address, 65536, "touch", child.ask) == (32768, 0)


@pytest.mark.thp
def test_memory_of_hugetlbfs() -> None:
    """Huge pages of hugetlbfs are passed over and counted as unknown, page by page; the rest is monitored."""
    Path("/proc/sys/vm/nr_hugepages").write_text("4")
    try:
        with toucher() as child:
            huge = child.map(4 * MIB, "hugetlb")
            assert one_pass(child.pid, huge, 1024, "touch", child.ask) == (0, 1024)
            small = child.map(4 * MIB)
            assert one_pass(child.pid, small, 1024, "touch", child.ask) == (512, 0)
            given = {"sample_interval": 50_000, "aggr_interval": 500_000}
            snapshots, _, reason = monitor(Vaddr(VaddrOptions(source="page_idle")), [child.pid], 3, **given)
    finally:
        Path("/proc/sys/vm/nr_hugepages").write_text("0")
    assert reason == "requested"
    assert 0 < sum(each.unknown for each in snapshots) < sum(each.checks for each in snapshots)


@pytest.mark.kernel
def test_page_idle_that_is_not_there() -> None:
    """Where /sys is not mounted page_idle is missing: refused by name, and auto takes the other source."""
    script = (
        "from damond.errors import SourceUnavailableError\nfrom damond_accessbits import Root\n"
        "from damond_vaddr.sources import choose_source\n"
        "try: choose_source('page_idle', Root())\n"
        "except SourceUnavailableError as error: print(error)\n"
        "print(choose_source('auto', Root()))"
    )
    hidden = f'mount -t tmpfs none /sys && exec "{sys.executable}" -c "$0"'
    command = ["unshare", "--mount", "sh", "-c", hidden, script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT_S)
    refusal, chosen = done.stdout.splitlines()
    assert "CONFIG_IDLE_PAGE_TRACKING" in refusal
    assert chosen == "referenced"


@pytest.mark.thp
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        # pagemap passes over VM_PFNMAP (walk_page_test, mm/pagewalk.c, Linux 6.12).
        pytest.param("[vvar]", False, id="a device's: not there for pagemap"),
        pytest.param("[vdso]", True, id="the kernel's own pages: there, and on no LRU list"),
    ],
)
def test_mapping_of_no_ordinary_memory(name: str, shown: bool) -> None:
    """What is mapped of a device is not accessed, what is mapped of the kernel is unknown; neither is an error."""
    with toucher() as child:
        lines = Path(f"/proc/{child.pid}/maps").read_text().splitlines()
        (bounds,) = [line.split()[0] for line in lines if line.endswith(name)]
        start, end = (int(bound, 16) for bound in bounds.split("-"))
        nr_pages = (end - start) // PAGE_SIZE
        there = int(np.count_nonzero(frames_of(child.pid, start, nr_pages)))
        assert bool(there) == shown
        assert one_pass(child.pid, start, nr_pages, "", child.ask) == (0, there)


@pytest.mark.thp
def test_program_of_32_bits(tmp_path: Path) -> None:
    """The hot pages of a program of 32 bits are found."""
    write_toucher(tmp_path / "toucher32", 1024)
    try:
        process = subprocess.Popen([tmp_path / "toucher32"])
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        pytest.skip("this kernel runs no programs of 32 bits (CONFIG_IA32_EMULATION)")
    os.setpriority(os.PRIO_PROCESS, process.pid, 10)
    with process:
        try:
            given = {"sample_interval": 50_000, "aggr_interval": 500_000}
            snapshots, _, reason = monitor(Vaddr(VaddrOptions(source="page_idle")), [process.pid], 6, **given)
        finally:
            process.kill()
    assert reason == "requested"
    (target,) = snapshots[-2].targets
    end = target.start + target.size
    hot = target.nr_accesses * 2 >= snapshots[-2].max_nr_accesses
    covered = np.minimum(end[hot], DATA + 4 * MIB).astype(np.int64) - np.maximum(target.start[hot], DATA)
    assert covered[covered > 0].sum() >= 3 * MIB, snapshots[-2]


@contextmanager
def offline_block() -> Iterator[tuple[int, int]]:
    """Take a block of memory away from the running machine; yield its bounds in frames."""
    memory = Path("/sys/devices/system/memory")
    if not memory.exists():
        pytest.skip("this kernel can't take memory away (CONFIG_MEMORY_HOTREMOVE): 'make kernel' builds one that can")
    size = int((memory / "block_size_bytes").read_text(), 16)
    for block in sorted(memory.glob("memory[0-9]*"), key=lambda each: -int(each.name[6:])):
        try:
            (block / "state").write_text("offline")
        except OSError:
            continue
        try:
            first = int((block / "phys_index").read_text(), 16) * size // PAGE_SIZE
            yield first, first + size // PAGE_SIZE
        finally:
            (block / "state").write_text("online")
        return
    pytest.fail("no block of memory goes offline: boot with kernelcore=1G")


@only_in_guest
@pytest.mark.thp
def test_memory_that_goes_offline() -> None:
    """Frames that were taken away are unknown or free, never accessed, and physical monitors on, over them too."""
    with offline_block() as (first, last):
        frames = np.arange(first, last, 64, dtype=np.uint64)
        idle = IdleFrames(Root())
        idle.mark(frames)
        assert not idle.accessed().any()
        idle.close()
        given = {"sample_interval": 50_000, "aggr_interval": 500_000}
        snapshots, ctx, _ = monitor(Physical(PhysicalOptions()), [], 2, **given)
        assert snapshots[-1].checks > 0
        assert ctx.passed_samples > 10


@pytest.mark.kernel
def test_stopped_and_killed_in_the_middle() -> None:
    """A target that is stopped, goes on and is killed while it is monitored ends the context as gone, with results."""
    with toucher() as child:
        child.map(16 * MIB)
        script = [signal.SIGSTOP, signal.SIGCONT, signal.SIGKILL]
        seen: list[int] = []

        def act() -> bool:
            seen.append(1)
            if len(seen) % 30 == 0 and script:
                child.process.send_signal(script.pop(0))
            return False

        primitive = Vaddr(VaddrOptions(source="page_idle"))
        snapshots, _, reason = monitor(primitive, [child.pid], LIMIT_S, condition=act)
    assert reason == "target_gone"
    assert sum(each.max_nr_accesses for each in snapshots) >= 89


@pytest.mark.kernel
def test_exec_between_two_passes_keeps_the_context() -> None:
    """A target that has called execve(2) since the last pass ends nothing: the pass that notices counts no access."""
    with toucher() as child:
        address = child.map(4 * MIB)
        primitive = Vaddr(VaddrOptions(source="page_idle"))
        ctx = Context(attrs=primitive.attrs({}), targets=[Target(child.pid)])
        primitive.init(ctx)
        # More regions than will fit the memory of the new program.
        ctx.targets[0].set_ranges([(address + n * PAGE_SIZE, address + (n + 1) * PAGE_SIZE) for n in range(1024)])
        primitive.prepare_access_checks(ctx)
        primitive.check_accesses(ctx)
        child.ask("exec", 4 * MIB)
        primitive.prepare_access_checks(ctx)
        primitive.check_accesses(ctx)
        primitive.cleanup(ctx)
