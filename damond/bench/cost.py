"""What real workers cost on this machine: CPU and memory, by number of regions and by size of memory."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psutil

from damond.bench.progress import Tell, counted, untold
from damond.bench.result import Column, Result
from damond.bench.setting import Setting
from damond.core import Primitive, Snapshot
from damond.errors import DamondError
from damond.plugin import Registry
from damond.service.embedded import EmbeddedSupervisor
from damond.service.pace import DEFAULT_MAX_CPU, as_plain
from damond.service.spec import ContextSpec, TargetSpec
from damond.stream.subscriber import Subscriber
from damond.units import PAGE_SIZE, USEC_PER_SEC, parse_size

_log = logging.getLogger(__name__)

NSEC_PER_SEC: Final = 1_000_000_000

NR_REGIONS: Final = (10, 100, 1000, 10_000)
SIZES: Final = ("1GiB", "64GiB", "1TiB", "16TiB")

_SAMPLE_US: Final = 20_000
"""Long enough for a pass over 10,000 regions of most primitives, short enough to measure in seconds."""

_SETTLING_S: Final = 3.0
_SPAN_S: Final = 6.0
_BY_SIZE_S: Final = 30.0

_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {"synthetic": {"size": "100GiB"}}

_AT: Final = 1000
"""Regions at which the cost of a check is a figure."""

REGIONS_COLUMNS: Final = (
    Column("primitive", "primitive"),
    Column("nr_regions", "regions", ",.0f"),
    Column("us_per_pass", "us/pass", ",.0f"),
    Column("us_per_check", "us/check", ".1f"),
    Column("cpu_percent", "CPU %", ".2f"),
    Column("checks_per_s", "pages/s", ",.0f"),
    Column("late", "late", ".0%"),
    Column("pss_mib", "memory MiB", ".1f"),
)

SIZES_COLUMNS: Final = (
    Column("memory", "memory"),
    Column("nr_regions", "regions", ",.0f"),
    Column("cpu_percent", "CPU %", ".2f"),
    Column("checks_per_s", "pages/s", ",.0f"),
    Column("sample_us", "sample us", ",d"),
    Column("pss_mib", "memory MiB", ".1f"),
)

REMARKS: Final = (
    "Real workers, 20 ms / 400 ms, a fixed number of regions, one subscriber; memory is the proportional set size.",
    "us/pass: CPU time of a pass, with its part of aggregation and publication. late: samples that began late.",
)


@contextmanager
def _watched_process() -> Iterator[int]:
    """Run a program with 160 MiB of memory, some of it hot."""
    line = [sys.executable, "-m", "damond.demo", "--size", "10", "--for", "600"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def run(specs: Sequence[ContextSpec], settling_s: float, span_s: float) -> list[dict[str, Any]]:
    """Run contexts side by side for a while; give what each cost after it had settled.

    Raises:
        DamondError: One does not run here.
    """
    names = [each.name for each in specs]
    with (
        EmbeddedSupervisor(on_stderr=_log_as_debug) as supervisor,
        Subscriber(supervisor.endpoints.stream, names, ("snapshot",)) as reader,
    ):
        supervisor.start(specs)
        _receive(reader, settling_s)
        pids = {each["name"]: each["pid"] for each in supervisor.status()["contexts"]}
        workers = [psutil.Process(pids[name]) for name in names]
        before_s, begin_s = [_cpu_s(each) for each in workers], time.monotonic()
        snapshots = _receive(reader, span_s)
        span_s = time.monotonic() - begin_s
        return [
            _row([each for each in snapshots if each.context == name], worker, _cpu_s(worker) - cpu_s, span_s)
            for name, worker, cpu_s in zip(names, workers, before_s, strict=True)
        ]


def _row(snapshots: Sequence[Snapshot], worker: psutil.Process, cpu_s: float, span_s: float) -> dict[str, Any]:
    passes = sum(each.max_nr_accesses for each in snapshots)
    row: dict[str, Any] = {"cpu_percent": cpu_s / span_s * 100, "pss_mib": worker.memory_full_info().pss / (1 << 20)}
    if not passes:
        return row
    checks = sum(each.checks for each in snapshots)
    seen_s = sum(each.end_ns - each.start_ns for each in snapshots) / NSEC_PER_SEC
    per_pass_s = cpu_s / span_s * seen_s / passes
    return row | {
        "nr_regions": checks / passes,
        "checks_per_s": checks / seen_s,
        "us_per_pass": per_pass_s * USEC_PER_SEC,
        "us_per_check": per_pass_s * passes / max(checks, 1) * USEC_PER_SEC,
        "late": sum(each.overruns for each in snapshots) / passes,
        "sample_us": snapshots[-1].sample_us,
    }


def _cpu_s(worker: psutil.Process) -> float:
    return sum(worker.cpu_times()[:2])


def _log_as_debug(lines: bytes) -> None:
    _log.debug("%s", lines.decode(errors="replace"))


def _receive(reader: Subscriber, span_s: float) -> list[Snapshot]:
    end_s, found = time.monotonic() + span_s, []
    while (left_s := end_s - time.monotonic()) > 0:
        message = reader.receive(left_s)
        if isinstance(message, Snapshot) and not message.partial:
            found.append(message)
    return found


def _fixed(primitive: str, nr_regions: int, pid: int) -> ContextSpec:
    bounds = {"min_nr_regions": nr_regions, "max_nr_regions": nr_regions}
    return ContextSpec(
        name="cost",
        primitive=primitive,
        options=_OPTIONS.get(primitive, {}),
        attrs={"sample_interval": _SAMPLE_US, "aggr_interval": 20 * _SAMPLE_US, **bounds},
        targets=(TargetSpec(pid),) if pid else (),
        seed=1,
        strict_min_nr_regions=True,
    )


def primitives() -> list[tuple[str, type[Primitive]]]:
    """List what can be measured here, as people know it. The kernel's own DAMON is left alone: it may be in use."""
    found = []
    for each in Registry().primitives.values():
        probe = each.probe()
        if probe.works and not each.owns_regions:
            source = next((source.name for source in probe.sources if source.works), "")
            found.append((f"{each.name}, {source}" if source else each.name, each))
    return sorted(found, key=lambda pair: pair[0])


def by_regions(numbers: Sequence[int], span_s: float, tell: Tell = untold) -> Iterator[dict[str, Any]]:
    """Measure every primitive with every number of regions."""
    cases = [(label, primitive, number) for label, primitive in primitives() for number in numbers]
    with _watched_process() as pid:
        for label, primitive, number in counted(cases, tell, lambda case: f"{case[0]}, {case[2]:,d} regions"):
            row: dict[str, Any] = {"primitive": label, "asked_nr_regions": number}
            spec = _fixed(primitive.name, number, pid if primitive.process_targets else 0)
            try:
                (cost,) = run([spec], span_s / 2, span_s)
                row |= cost
            except DamondError as error:
                row["error"] = str(error)
            yield row


def shipped(size: str) -> ContextSpec:
    """Describe a context with the defaults of the service, over memory of a size."""
    setting = Setting.shipped()
    return ContextSpec(
        name=f"of-{size}",
        primitive="synthetic",
        options={"size": size, "tracks": [{"size": _tenth(size), "rate": 1e6}]},
        intervals_goal=as_plain(setting.goal) if setting.goal else None,
        max_cpu=DEFAULT_MAX_CPU,
        initial_nr_regions=setting.initial_nr_regions,
        strict_min_nr_regions=setting.strict_min_nr_regions,
        policy=setting.policy,
        seed=1,
    )


def _tenth(size: str) -> int:
    return parse_size(size) // 10 // PAGE_SIZE * PAGE_SIZE


def by_size(sizes: Sequence[str], settling_s: float, span_s: float) -> list[dict[str, Any]]:
    """Measure the defaults of the service over memory of every size, side by side."""
    costs = run([shipped(size) for size in sizes], settling_s, span_s)
    return [{"memory": size, **cost} for size, cost in zip(sizes, costs, strict=True)]


def measure(
    setting: Setting,  # noqa: ARG001 - all is real here
    seed: int,  # noqa: ARG001
    *,
    quick: bool = False,
    tell: Tell = untold,
) -> Iterator[Result]:
    """Measure cost by number of regions, then by size of memory."""
    span_s = _SPAN_S / 4 if quick else _SPAN_S
    rows = list(by_regions(NR_REGIONS[1:3] if quick else NR_REGIONS, span_s, tell))
    yield Result(
        part="cost",
        title="Cost by number of regions",
        columns=REGIONS_COLUMNS,
        rows=rows,
        figures={
            f"us_per_check_at_{_AT}_{row['primitive']}": row.get("us_per_check")
            for row in rows
            if row["asked_nr_regions"] == _AT
        },
        remarks=(*REMARKS, *(f"{row['primitive']}: {row['error']}" for row in rows if "error" in row)),
    )
    tell(f"{', '.join(SIZES[:: 3 if quick else 1])} side by side")
    sizes = by_size(SIZES[::3] if quick else SIZES, _SETTLING_S, span_s if quick else _BY_SIZE_S)
    yield Result(
        part="cost by size",
        title="Cost by size of memory: defaults of the service, 1 % of one CPU each",
        columns=SIZES_COLUMNS,
        rows=sizes,
        figures={"memory_of_the_largest_to_the_smallest": sizes[-1]["pss_mib"] / sizes[0]["pss_mib"]},
        remarks=("A million accesses per second to a tenth of each.",),
    )
