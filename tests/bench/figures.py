"""Prints what damond costs on this machine: ``make bench``. Each figure is a median of several runs."""

import json
import select
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from damond.core import Attrs, Context, Primitive, Snapshot, adaptation
from damond.plugin import Registry
from damond.service import heap
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec
from damond.stream.subscriber import Subscriber

sys.path.insert(0, str(Path(__file__).parent))
import budget
import syscalls
import trace_decode

NR_REGIONS = 1000


def median_us(function: Callable[[], object], runs: int = 200) -> float:
    """Time a call; the median over the runs, in microseconds."""
    times = []
    for _ in range(runs):
        start = time.perf_counter_ns()
        function()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000


def synthetic(nr_regions: int) -> tuple[Primitive, Context]:
    """Make a synthetic context whose number of regions stays what it is."""
    primitive = Registry(offering="synthetic").make("synthetic", {"size": "100GiB"})
    attrs = Attrs(min_nr_regions=nr_regions, max_nr_regions=nr_regions)
    ctx = Context(attrs=attrs, rng=np.random.default_rng(1))
    primitive.init(ctx)
    return primitive, ctx


def engine() -> Iterator[tuple[str, float, str]]:
    """Time the two halves of the engine."""
    primitive, ctx = synthetic(NR_REGIONS)

    samples = ctx.attrs.samples_per_aggr

    def aggregation() -> None:
        for ctx.window_samples in range(samples):
            primitive.prepare_access_checks(ctx)
            primitive.check_accesses(ctx)
            ctx.passed_samples += 1

    name = f"prepare + check, {ctx.nr_regions} synthetic regions, on average over an aggregation"
    yield name, median_us(aggregation) / samples, "us, at most 60"
    regions = ctx.targets[0].regions
    regions.nr_accesses = np.random.default_rng(1).integers(0, 20, len(regions)).astype(np.uint32)

    def adapt() -> None:
        columns = regions.copy()
        adaptation.age(columns, 2, 20)
        adaptation.merge(columns, 2, 1 << 40)
        adaptation.split(columns, 2, ctx.rng)

    yield f"merge + split, {len(regions)} regions", median_us(adapt), "us, at most 1500"


@contextmanager
def running(specs: Sequence[ContextSpec]) -> Iterator[EmbeddedSupervisor]:
    """Run contexts."""
    with EmbeddedSupervisor() as supervisor:
        supervisor.start(specs)
        yield supervisor


def fixed(name: str, nr_regions: int) -> ContextSpec:
    """Describe a context that keeps its number of regions."""
    attrs = {"min_nr_regions": nr_regions, "max_nr_regions": nr_regions}
    return ContextSpec(name=name, primitive="synthetic", attrs=attrs, options={"size": "100GiB"}, seed=1)


def wake_ups(span_s: float = 2.0) -> Iterator[tuple[str, float, str]]:
    """Measure what no worker can go below here: 200 times a second to wake up and sleep again."""
    start, cpu_s = time.monotonic(), time.process_time()
    while time.monotonic() - start < span_s:
        select.select((), (), (), 0.005)
    share = (time.process_time() - cpu_s) / (time.monotonic() - start)
    yield "waking up 200 times a second, for nothing", share * 100, "% of one CPU"


def one_context(span_s: float = 10.0) -> Iterator[tuple[str, float, str]]:
    """Measure all of a worker's CPU time while it publishes to one subscriber."""
    with running([fixed("one", NR_REGIONS)]) as supervisor, Subscriber(supervisor.endpoints.stream, ["one"]) as reader:
        pid = supervisor.status()["contexts"][0]["pid"]
        reader.receive(10)
        shares, regions = [], 0
        for _ in range(3):
            cpu_s, start = sum(psutil.Process(pid).cpu_times()[:2]), time.monotonic()
            while time.monotonic() - start < span_s / 3:
                message = reader.receive(10)
                regions = message.nr_regions if isinstance(message, Snapshot) else regions
            shares.append((sum(psutil.Process(pid).cpu_times()[:2]) - cpu_s) / (time.monotonic() - start) * 100)
    yield (
        f"one worker, {regions} synthetic regions, 5 ms / 100 ms",
        statistics.median(shares),
        "% of one CPU, at most 4",
    )


def fifty_contexts(settle_s: float = 3.0, span_s: float = 10.0, spans: int = 3) -> Iterator[tuple[str, float, str]]:
    """Measure loss and latency at three subscribers of 50 contexts, and what a worker's memory adds.

    Subscribers read from the start on. Latency is told apart for the time in which 50 workers have just begun; after
    that it is the median of spans in a row: one halt of the whole machine for a tenth of a second makes 1 % late.
    """
    specs = [fixed(f"c{number}", 100) for number in range(50)]
    with EmbeddedSupervisor() as supervisor, ThreadPoolExecutor() as pool:
        ending = threading.Event()
        reading = [pool.submit(_read, supervisor.endpoints.stream, ending) for _ in range(3)]
        try:
            supervisor.start(specs[:1])
            first = _pss(supervisor)
            supervisor.start(specs[1:])
            started_ns = time.time_ns()
            ending.wait(settle_s + spans * span_s)
            extra = (_pss(supervisor) - first) / (len(specs) - 1)
        finally:
            ending.set()
    rows = np.concatenate([each.result()[0] for each in reading])
    missed = sum(each.result()[1] for each in reading)
    since_s, late_ms = (rows[:, 0] - started_ns) / 1e9, rows[:, 1] / 1e6
    yield f"{len(rows)} snapshots of 50 contexts at 3 subscribers: lost", missed, "snapshots, 0"
    settled = [_p99(late_ms[_within(since_s, settle_s + number * span_s, span_s)]) for number in range(spans)]
    yield "  p99 from the end of the aggregation to the subscriber", statistics.median(settled), "ms, at most 10"
    yield f"  the greatest in {spans} spans of {span_s:g} s", max(settled), "ms"
    yield f"  the same in the first {settle_s:g} s", _p99(late_ms[_within(since_s, 0, settle_s)]), "ms"
    yield "  proportional memory per further worker", extra / (1 << 20), "MiB, at most 20 MB"


def _within(
    times_s: "np.ndarray[Any, np.dtype[np.float64]]", begin_s: float, span_s: float
) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    return (times_s >= begin_s) & (times_s < begin_s + span_s)


def _p99(values: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    return float(np.percentile(values, 99)) if len(values) else float("nan")


def _pss(supervisor: EmbeddedSupervisor) -> int:
    pids = [each["pid"] for each in supervisor.status()["contexts"] if each["state"] == "running"]
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids)


def _read(endpoint: str, ending: threading.Event) -> tuple["np.ndarray[Any, np.dtype[np.int64]]", int]:
    """Read until it is to end; return when each snapshot's window ended and how late it came, ns, and what was lost."""
    rows = []
    missed = 0
    with Subscriber(endpoint) as reader:
        while not ending.is_set():
            message = reader.receive(1)
            if isinstance(message, Snapshot) and message.origin is not None:
                missed += message.origin.missed
                rows.append((message.end_ns, time.time_ns() - message.end_ns))
    return np.array(rows, np.int64).reshape(-1, 2), missed


def main() -> None:
    """Print a line per figure; with --json, one document."""
    heap.keep()  # as workers do
    rows = []
    for part in (engine, wake_ups, one_context, syscalls.figures, trace_decode.figures, budget.figures, fifty_contexts):
        for name, value, unit in part():
            rows.append({"figure": name.strip(), "value": round(value, 3), "unit": unit})
            if "--json" not in sys.argv:
                print(f"{name:70} {value:10.2f} {unit}", flush=True)
    if "--json" in sys.argv:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
