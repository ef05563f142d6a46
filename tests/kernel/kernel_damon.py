"""The kernel's own DAMON, for comparison: only ever inside a guest kernel, which is thrown away afterwards."""

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from damond.core import Attrs, Snapshot, TargetSnapshot

_ADMIN = Path("/sys/kernel/mm/damon/admin/kdamonds")
_TRACING = Path("/sys/kernel/tracing")
_EVENT = re.compile(r" (\d+)\.(\d{6}): damon_aggregated: target_id=\d+ nr_regions=(\d+) (\d+)-(\d+): (\d+) (\d+)")


def in_guest() -> bool:
    """Say whether this is one of the guest kernels: their command lines name a job, or a root that is the host's."""
    words = Path("/proc/cmdline").read_text().split()
    return any(word.startswith("job=") or word == "root=root9p" for word in words)


def monitor_by_kernel(
    pid: int, attrs: Attrs, seconds: float, *, meanwhile: Callable[[], None] = lambda: None
) -> list[Snapshot]:
    """Run the kernel's DAMON on a process, do something meanwhile, and return what it found, as snapshots."""
    if not in_guest():
        raise AssertionError("not on a host: a kdamond there belongs to somebody else")
    _write(_TRACING / "trace_clock", "mono")
    _write(_TRACING / "buffer_size_kb", 16384)
    _write(_TRACING / "events/damon/damon_aggregated/enable", 1)
    try:
        _configure(pid, attrs)
        _write(_ADMIN / "0/state", "on")
        meanwhile()
        threading.Event().wait(seconds)
        _write(_ADMIN / "0/state", "off")
        return _snapshots((_TRACING / "trace").read_text(), attrs, pid)
    finally:
        _write(_TRACING / "events/damon/damon_aggregated/enable", 0)
        _write(_TRACING / "trace", "")
        _write(_ADMIN / "nr_kdamonds", 0)


def _write(path: Path, value: object) -> None:
    path.write_text(f"{value}\n" if value != "" else "")


def _configure(pid: int, attrs: Attrs) -> None:
    _write(_ADMIN / "nr_kdamonds", 1)
    _write(_ADMIN / "0/contexts/nr_contexts", 1)
    context = _ADMIN / "0/contexts/0"
    _write(context / "operations", "vaddr")
    intervals = context / "monitoring_attrs/intervals"
    _write(intervals / "sample_us", attrs.sample_interval)
    _write(intervals / "aggr_us", attrs.aggr_interval)
    _write(intervals / "update_us", attrs.primitive_update_interval)
    _write(context / "monitoring_attrs/nr_regions/min", attrs.min_nr_regions)
    _write(context / "monitoring_attrs/nr_regions/max", attrs.max_nr_regions)
    _write(context / "targets/nr_targets", 1)
    _write(context / "targets/0/pid_target", pid)


def _snapshots(trace: str, attrs: Attrs, pid: int) -> list[Snapshot]:
    """Gather the events of one aggregation: they say how many regions there are, and come in one go."""
    to_unix = time.time_ns() - time.monotonic_ns()
    rows = [tuple(map(int, match)) for match in _EVENT.findall(trace)]
    snapshots: list[Snapshot] = []
    start_ns = 0
    while rows:
        nr_regions = rows[0][2]
        group, rows = rows[:nr_regions], rows[nr_regions:]
        end_ns = (group[-1][0] * 1_000_000 + group[-1][1]) * 1000 + to_unix
        snapshots.append(_snapshot(group, start_ns or end_ns - attrs.aggr_interval * 1000, end_ns, attrs, pid))
        start_ns = end_ns
    return snapshots


def _snapshot(group: list[tuple[int, ...]], start_ns: int, end_ns: int, attrs: Attrs, pid: int) -> Snapshot:
    _, _, _, start, end, nr_accesses, age = np.array(group, np.uint64).T
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
        targets=(TargetSnapshot(pid, pid, start, end - start, nr_accesses, age),),
    )
