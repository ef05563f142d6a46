"""The kernel's own DAMON, for comparison: only ever inside a guest kernel, which is thrown away afterwards."""

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from damond.core import AddrRange, Attrs, Snapshot, TargetSnapshot
from tests.kernel.guest import in_guest

__all__ = ["Plan", "in_guest", "monitor_by_kernel"]

_ADMIN = Path("/sys/kernel/mm/damon/admin/kdamonds")
_TRACING = Path("/sys/kernel/tracing")
_EVENT = re.compile(r" (\d+)\.(\d{6}): damon_aggregated: target_id=\d+ nr_regions=(\d+) (\d+)-(\d+): (\d+) (\d+)")


@dataclass(frozen=True)
class Plan:
    """What the kernel is to monitor.

    Attributes:
        attrs: How.
        pid: A process; physical memory if None.
        ranges: What of physical memory.
    """

    attrs: Attrs
    pid: int | None = None
    ranges: Sequence[AddrRange] = ()


def monitor_by_kernel(
    plan: Plan, seconds: float, *, meanwhile: Callable[[], None] = lambda: None
) -> tuple[list[Snapshot], int]:
    """Run the kernel's DAMON, do something meanwhile; return what it found, as snapshots, and its CPU time in us."""
    if not in_guest():
        raise AssertionError("not on a host: a kdamond there belongs to somebody else")
    _write(_TRACING / "trace_clock", "mono")
    _write(_TRACING / "buffer_size_kb", 16384)
    _write(_TRACING / "events/damon/damon_aggregated/enable", 1)
    try:
        _configure(plan)
        _write(_ADMIN / "0/state", "on")
        meanwhile()
        threading.Event().wait(seconds)
        cpu_us = kdamond_cpu_us()
        _write(_ADMIN / "0/state", "off")
        return _snapshots((_TRACING / "trace").read_text(), plan), cpu_us
    finally:
        _write(_TRACING / "events/damon/damon_aggregated/enable", 0)
        _write(_TRACING / "trace", "")
        _write(_ADMIN / "nr_kdamonds", 0)


def kdamond_cpu_us() -> int:
    """Return the CPU time of the first kdamond's thread; 0 if there is none."""
    try:
        pid = int((_ADMIN / "0/pid").read_text())
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) // 1000
    except FileNotFoundError:
        return 0


def _write(path: Path, value: object) -> None:
    path.write_text(f"{value}\n" if value != "" else "")


def _configure(plan: Plan) -> None:
    attrs = plan.attrs
    _write(_ADMIN / "nr_kdamonds", 1)
    _write(_ADMIN / "0/contexts/nr_contexts", 1)
    context = _ADMIN / "0/contexts/0"
    _write(context / "operations", "paddr" if plan.pid is None else "vaddr")
    intervals = context / "monitoring_attrs/intervals"
    _write(intervals / "sample_us", attrs.sample_interval)
    _write(intervals / "aggr_us", attrs.aggr_interval)
    _write(intervals / "update_us", attrs.primitive_update_interval)
    _write(context / "monitoring_attrs/nr_regions/min", attrs.min_nr_regions)
    _write(context / "monitoring_attrs/nr_regions/max", attrs.max_nr_regions)
    _write(context / "targets/nr_targets", 1)
    if plan.pid is not None:
        _write(context / "targets/0/pid_target", plan.pid)
    regions = context / "targets/0/regions"
    _write(regions / "nr_regions", len(plan.ranges))
    for number, each in enumerate(plan.ranges):
        _write(regions / f"{number}/start", each.start)
        _write(regions / f"{number}/end", each.end)


def _snapshots(trace: str, plan: Plan) -> list[Snapshot]:
    """Gather the events of one aggregation: they say how many regions there are, and come in one go."""
    to_unix = time.time_ns() - time.monotonic_ns()
    rows = [tuple(map(int, match)) for match in _EVENT.findall(trace)]
    snapshots: list[Snapshot] = []
    start_ns = at = 0
    while at < len(rows):
        group = rows[at : at + rows[at][2]]
        at += len(group)
        end_ns = (group[-1][0] * 1_000_000 + group[-1][1]) * 1000 + to_unix
        columns = np.array(group, np.uint64).T[3:]
        snapshots.append(snapshot_of(columns, start_ns or end_ns - plan.attrs.aggr_interval * 1000, end_ns, plan))
        start_ns = end_ns
    return snapshots


def snapshot_of(columns: np.ndarray, start_ns: int, end_ns: int, plan: Plan) -> Snapshot:
    """Make a snapshot of four columns: start and end of regions, accesses and age."""
    start, end, nr_accesses, age = columns
    attrs = plan.attrs
    return Snapshot(
        context="kernel",
        primitive="kdamond",
        start_ns=start_ns,
        end_ns=end_ns,
        sample_us=attrs.sample_interval,
        aggr_us=attrs.aggr_interval,
        update_us=attrs.primitive_update_interval,
        min_nr_regions=attrs.min_nr_regions,
        max_nr_regions=attrs.max_nr_regions,
        max_nr_accesses=attrs.samples_per_aggr,
        granularity=4096,
        checks=0,
        unknown=0,
        cpu_us=0,
        overruns=0,
        partial=False,
        targets=(TargetSnapshot(plan.pid or 0, plan.pid, start, end - start, nr_accesses, age),),
    )
