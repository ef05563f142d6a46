"""Who can watch a workload, each in the same way: the kernel's DAMON by itself and by damo, damond's primitives."""

import itertools
import json
import os
import resource
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from damond.core import Attrs, Snapshot
from damond.plugin import Registry
from damond_accessbits import Root
from damond_physical.ram import system_ram
from tests.kernel.kernel_damon import Plan, kdamond_cpu_us, monitor_by_kernel, snapshot_of
from tests.kernel.rig import LIMIT_S, monitor

ATTRS: Final = Attrs(primitive_update_interval=1_000_000)  # type: ignore[arg-type]
"""What all of them are given where the workload says nothing else: 5 ms, 100 ms, 1 s, 10 to 1000 regions."""

WARM_UP_S: Final = 2


@dataclass(frozen=True)
class Watched:
    """What one of them found, and what it took.

    Attributes:
        snapshots: What it found after the warm-up.
        monitor_us: CPU time of processes for it.
        kernel_us: CPU time of the kernel's thread for it.
        overruns: Samples that began late, as far as anybody knows.
    """

    snapshots: list[Snapshot]
    monitor_us: int
    kernel_us: int
    overruns: int = 0


class Watcher(Protocol):
    """One way to watch.

    Attributes:
        name: What the table calls it.
    """

    name: str

    def watch(self, pid: int | None, seconds: float, attrs: Attrs = ATTRS) -> Watched:
        """Watch a process, or physical memory, after a warm-up."""


def warm(snapshots: Sequence[Snapshot], begin_ns: int) -> list[Snapshot]:
    """Leave out the warm-up, and what is unfinished."""
    first_ns = begin_ns + WARM_UP_S * 1_000_000_000
    return [each for each in snapshots if each.start_ns >= first_ns and not each.partial]


@dataclass(frozen=True)
class KernelDamon:
    """The kernel's DAMON, by sysfs and its tracepoint."""

    name: str = "kernel DAMON"

    def watch(self, pid: int | None, seconds: float, attrs: Attrs = ATTRS) -> Watched:
        begin_ns = time.time_ns()
        plan = Plan(attrs, pid, () if pid is not None else system_ram(Root()))
        snapshots, cpu_us = monitor_by_kernel(plan, WARM_UP_S + seconds)
        return Watched(warm(snapshots, begin_ns), 0, cpu_us)


@dataclass(frozen=True)
class ByPrimitive:
    """One of damond's primitives, found as a user's would be."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)

    def watch(self, pid: int | None, seconds: float, attrs: Attrs = ATTRS) -> Watched:
        primitive = Registry(offering=self.name).make(self.name, self.options)
        kernel_us = [0]

        def look() -> bool:
            kernel_us[0] = max(kernel_us[0], kdamond_cpu_us())
            return False

        begin_ns, before_us = time.time_ns(), time.process_time_ns() // 1000
        given = {
            "sample_interval": attrs.sample_interval,
            "aggr_interval": attrs.aggr_interval,
            "primitive_update_interval": attrs.primitive_update_interval,
        }
        condition = {"condition": look} if primitive.owns_regions else {}
        pids = [] if pid is None else [pid]
        snapshots, _, _ = monitor(primitive, pids, WARM_UP_S + seconds, **condition, **given)
        kept = warm(snapshots, begin_ns)
        late = sum(each.overruns for each in kept)
        return Watched(kept, time.process_time_ns() // 1000 - before_us, kernel_us[0], late)


@dataclass(frozen=True)
class Damo:
    """The kernel's DAMON as a user of damo sees it: ``damo start``, and snapshots by ``damo report access``."""

    program: str
    name: str = "damo"

    def watch(self, pid: int | None, seconds: float, attrs: Attrs = ATTRS) -> Watched:
        if pid is None:
            raise ValueError("not asked for")
        before = _children_us()
        intervals = [f"{us}us" for us in (attrs.sample_interval, attrs.aggr_interval, attrs.primitive_update_interval)]
        regions = [str(number) for number in (attrs.min_nr_regions, attrs.max_nr_regions)]
        limits = ["--monitoring_intervals", *intervals, "--monitoring_nr_regions_range", *regions]
        self._run("start", *limits, str(pid))
        begin_ns = time.time_ns()
        threading.Event().wait(WARM_UP_S)
        snapshots: list[Snapshot] = []
        while time.time_ns() < begin_ns + (WARM_UP_S + seconds) * 1_000_000_000:
            repeat = ["--repeat", "0.1", "5"]
            snapshots += _parse(self._run("report", "access", "--json", "--raw_number", *repeat), Plan(attrs, pid))
        kernel_us = kdamond_cpu_us()
        self._run("stop")
        Path("/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds").write_text("0\n")
        return Watched(snapshots, _children_us() - before, kernel_us)

    def _run(self, *words: str) -> str:
        # On the one CPU that there is, damo would hold up the workload that it is to report about.
        done = subprocess.run(
            ["nice", "-n", "19", self.program, *words],
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT_S,
            env=os.environ,
        )
        return done.stdout


def _children_us() -> int:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1_000_000)


def _parse(text: str, plan: Plan) -> list[Snapshot]:
    """Read one JSON list of records after the other; the numbers in them are written for people."""
    decoder, snapshots, at = json.JSONDecoder(), [], 0
    while (at := text.find("[", at)) >= 0:
        records, at = decoder.raw_decode(text, at)
        for found in itertools.chain.from_iterable(record["snapshots"] for record in records):
            rows = [
                (each["start"], each["end"], each["nr_accesses"]["samples"], each["age"]["aggr_intervals"])
                for each in found["regions"]
            ]
            columns = np.array(sorted(tuple(map(_number, row)) for row in rows), np.uint64).T
            snapshots.append(snapshot_of(columns, _number(found["start_time"]), _number(found["end_time"]), plan))
    return snapshots


def _number(word: object) -> int:
    return int(str(word).replace(",", ""))
