"""How well vaddr finds the hot pages of known workloads, on a kernel with page_idle, beside the kernel's own DAMON."""

import statistics
from dataclasses import replace

import pytest

from damond_physical import Physical, PhysicalOptions
from damond_vaddr import Vaddr, VaddrOptions
from tests.kernel.evaluate import Score, overlap, score, total
from tests.kernel.kernel_damon import Plan, in_guest, monitor_by_kernel
from tests.kernel.rig import check_cost, frames_of, monitor, workload

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(120)]

BAR = 0.95
"""What is asked for: the kernel's own DAMON reaches 0.98 to 1.00 on these in the same guest."""

SECONDS = 10


def page_idle() -> Vaddr:
    return Vaddr(VaddrOptions(source="page_idle"))


def report(name: str, who: str, result: Score, settled: Score, cost: str = "") -> None:
    print(f"\n{name}, {who}: {result}; {SETTLE_S} s after moves left out: {settled.f1:.3f}; {cost}")


SETTLE_S = 1


@pytest.mark.parametrize(
    "name", ["steady_32_of_256", "small_2_of_512", "moving_16_of_256", "stripes_8x2_of_256", "halves_64_by_turns"]
)
def test_hot_pages_are_found(name: str) -> None:
    """At 5 ms, 100 ms, 1 s and 10 to 1000 regions F1 is at least 0.95; right after a move the regions must settle."""
    with workload(name) as load:
        snapshots, _, _ = monitor(page_idle(), [load.layout.pid], SECONDS)
        load.stop()
    result = score(snapshots, load.layout, load.stalls)
    settled = score(snapshots, load.layout, load.stalls, settle_s=SETTLE_S)
    report(name, "damond", result, settled, check_cost(snapshots))
    assert settled.windows >= 10, f"the machine was too busy to judge: {settled}"
    assert settled.f1 >= BAR, str(settled)
    assert result.f1 >= BAR - 0.05, str(result)


@pytest.mark.skipif(not in_guest(), reason="starts the kernel's DAMON: in a guest kernel only (see test_guest.py)")
def test_as_good_as_the_kernel() -> None:
    """On the workload that moves, F1 is at most 0.04 below that of the kernel's DAMON at the intervals damond kept.

    System calls of user-mode Linux are slow: windows take 110 to 190 ms there instead of 100, and as many of them
    follow each move. That is no matter of accuracy.
    """
    attrs = page_idle().attrs({})
    with workload("moving_16_of_256") as load:
        found = monitor(page_idle(), [load.layout.pid], SECONDS)[0]
        load.stop()
    damond = score(found, load.layout, load.stalls)
    kept = statistics.fmean((each.end_ns - each.start_ns) / 1000 / each.aggr_us for each in found if not each.partial)
    slower = replace(
        attrs, sample_interval=int(attrs.sample_interval * kept), aggr_interval=int(attrs.aggr_interval * kept)
    )
    with workload("moving_16_of_256") as load:
        by_kernel, _ = monitor_by_kernel(Plan(slower, load.layout.pid), SECONDS)
        load.stop()
    kernel = score(by_kernel, load.layout, load.stalls, warm_up=round(20 / kept))
    print(f"\nmoving_16_of_256, windows {kept:.2f} times as long: {damond} against {kernel}")
    assert damond.f1 >= kernel.f1 - 0.04, f"{damond} against {kernel}"


def test_physical_finds_the_frames_of_a_process() -> None:
    """Of the frames behind a hot mapping most are found hot by physical, and little else is."""
    with workload("steady_32_of_256") as load:
        layout = load.layout
        snapshots, _, _ = monitor(Physical(PhysicalOptions()), [], SECONDS)
        frames = frames_of(layout.pid, layout.address, layout.pattern.size // 4096).tolist()
    hot = sorted((frame * 4096, (frame + 1) * 4096) for frame in frames[: len(frames) // 8])
    (target,) = snapshots[-2].targets
    rows = target.nr_accesses * 4 >= snapshots[-2].max_nr_accesses
    called = [(a, a + b) for a, b in zip(target.start[rows].tolist(), target.size[rows].tolist(), strict=True)]
    both = overlap(called, hot)
    print(f"\nphysical: recall {both / total(hot):.3f}, precision {both / total(called):.3f}, {check_cost(snapshots)}")
    assert both >= 0.8 * total(hot)
    assert total(called) <= 3 * total(hot)
