"""The source referenced on real processes: it works on every kernel, and without privilege for one's own."""

import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from damond.core import Context, Target
from damond.units import PAGE_SIZE
from damond_vaddr import Vaddr, VaddrOptions
from tests.kernel.rig import LIMIT_S, monitor, toucher, workload

MIB = 1 << 20
SAMPLES = 20
RAN_NS = 10 * 10**6
"""More than it takes to touch one page of what is hot. Nanoseconds."""


def started(pid: int) -> tuple[Vaddr, Context]:
    primitive = Vaddr(VaddrOptions(source="referenced"))
    ctx = Context(attrs=primitive.attrs({}), targets=[Target(pid)])
    primitive.init(ctx)
    return primitive, ctx


def test_touched_mapping_is_told_from_an_untouched_one() -> None:
    """One byte touched makes its whole mapping accessed and no other one; what was never mapped is not accessed."""
    with toucher() as child:
        # Mapped as files: two anonymous mappings side by side would be one.
        touched, untouched = child.map(4 * MIB, "file"), child.map(4 * MIB, "file")
        primitive, ctx = started(child.pid)
        ranges = sorted([(touched, touched + 4 * MIB), (untouched, untouched + 4 * MIB), (PAGE_SIZE, 2 * PAGE_SIZE)])
        ctx.targets[0].set_ranges(ranges)
        primitive.prepare_access_checks(ctx)
        child.ask("touch", touched + MIB, PAGE_SIZE, 1)
        assert primitive.check_accesses(ctx) == 1
        assert ctx.targets[0].regions.nr_accesses.tolist() == [start == touched for start, _ in ranges]
        primitive.cleanup(ctx)


def test_memory_only_read_from_the_page_of_zeros_counts_nothing() -> None:
    """Memory that was mapped and read but never written is the shared page of zeros, which smaps leaves out."""
    with toucher() as child:
        address = int(child.ask("map", 4 * MIB, "readonly"))
        primitive, ctx = started(child.pid)
        ctx.targets[0].set_ranges([(address, address + 4 * MIB)])
        primitive.prepare_access_checks(ctx)
        child.ask("touch", address, PAGE_SIZE, 1024)
        primitive.check_accesses(ctx)
        assert ctx.targets[0].regions.nr_accesses.tolist() == [0]
        primitive.cleanup(ctx)


def as_nobody_monitor_a_child() -> str:
    """Change the user, and do one pass over a child of our own; say what was found."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    # A program of its own: after a mere fork() the change of user would still protect it from being looked at.
    # It says when it is loaded: what the loader unmaps in between can't be looked at.
    command = ["sh", "-c", "echo loaded; read line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        primitive, ctx = started(process.pid)
        primitive.prepare_access_checks(ctx)
        primitive.check_accesses(ctx)
        process.kill()
        return f"{ctx.checks == len(ctx.targets[0].regions) > 0} {ctx.unknown}"


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user: run as root")
def test_no_privilege_is_needed_for_own_processes() -> None:
    """A user without any privilege monitors a process of their own; every check has an answer."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, as_nobody_monitor_a_child().encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    with os.fdopen(reader) as answer:
        assert answer.read() == "True 0"


def ran_ns(pid: int) -> int:
    """Time for which a process has run (/proc/PID/schedstat). Nanoseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def wait_until_it_ran(pid: int) -> None:
    """Wait until a process has run for long enough to touch a page that is hot, with a limit."""
    until_ns, deadline_s = ran_ns(pid) + RAN_NS, time.monotonic() + LIMIT_S
    while ran_ns(pid) < until_ns:
        assert time.monotonic() < deadline_s, "it does not run"
        time.sleep(0.001)


def test_hot_mapping_of_a_running_process() -> None:
    """A busy process has an access in every sample in which it ran: of some it may get none, on a busy machine."""
    with workload("steady_32_of_256") as load:
        primitive, ctx = started(load.layout.pid)
        for _ in range(SAMPLES):
            primitive.prepare_access_checks(ctx)
            wait_until_it_ran(load.layout.pid)
            primitive.check_accesses(ctx)
        regions = ctx.targets[0].regions
        row = np.searchsorted(regions.start, np.uint64(load.layout.address + MIB), side="right") - 1
        assert regions.nr_accesses[row] == SAMPLES
        primitive.cleanup(ctx)


def test_pace_and_warning(caplog: pytest.LogCaptureFixture) -> None:
    """At most one sample per 100 ms, of whole mappings, and a warning of the cost."""
    with workload("steady_32_of_256") as load:
        before = time.monotonic()
        snapshots, ctx, _ = monitor(Vaddr(VaddrOptions(source="referenced")), [load.layout.pid], 2)
        samples = sum(each.max_nr_accesses for each in snapshots)
        assert 0 < samples <= (time.monotonic() - before) / 0.1
    assert max(each.targets[0].nr_accesses.max() for each in snapshots) > 0
    assert snapshots[0].granularity == 0
    assert "whole mapping" in caplog.text
    assert ctx.targets[0].pid == load.layout.pid
