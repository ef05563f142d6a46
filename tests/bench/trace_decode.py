"""What it costs to read the results of the kernel's DAMON, by the size of an aggregation: binary and as text."""

import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from damond.core import Attrs, Context, Kdamond, Snapshot, Target
from damond.stream import wire
from damond_kdamond import KdamondVaddr, KdamondVaddrOptions
from damond_kdamond.assembly import Assembler
from damond_kdamond.pages import ROW, Decoded, PageDecoder
from damond_kdamond.windows import Windows, fill

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.kdamond.fakes import FakeKernel
from tests.kdamond.recording import formats, packed, rows_of

AGGR_NS = 100_000_000
RUNS = 200

_EVENT = re.compile(r" (\d+)\.(\d{6}): damon_aggregated: target_id=(\d+) nr_regions=(\d+) (\d+)-(\d+): (\d+) (\d+)")


def median_us(function: Callable[[int], object], runs: int = RUNS) -> float:
    """Time a call, which is given the number of the run; the median, in microseconds."""
    times = []
    for number in range(runs):
        start = time.perf_counter_ns()
        function(number)
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times) / 1000


def binary_us(nr_regions: int) -> float:
    """Time all that is done with one aggregation: from raw pages to the columns of a target, and its window."""
    event, _, header_page = formats()
    rng = np.random.default_rng(1)
    sizes = (rng.integers(1, 1000, nr_regions) * 4096).tolist()
    batches = [packed(rows_of(sizes, AGGR_NS * (number + 1), nr_accesses=3, age=7)) for number in range(RUNS)]
    decoder, assembler, windows = PageDecoder(event, header_page), Assembler(1), Windows(Attrs(), 0)
    ctx = Context(targets=[Target(1)])

    def collect(number: int) -> None:
        decoded = Decoded()
        decoder.decode(batches[number], decoded)
        (aggregation,) = assembler.feed(decoder.rows(decoded), AGGR_NS * (number + 2))
        window = windows.window(aggregation)
        fill(ctx.targets, aggregation, set(), window.max_nr_accesses)

    return median_us(collect)


def text_us(nr_regions: int) -> float:
    """Time no more than taking apart the text of one aggregation into columns, as the kernel prints it."""
    line = "       kdamond.0-63      [001] .....     2.{:06}: damon_aggregated: target_id=0 nr_regions={} {}-{}: 3 7\n"
    text = "".join(line.format(n, nr_regions, n << 20, (n + 1) << 20) for n in range(nr_regions))

    def collect(_: int) -> None:
        found = np.array(_EVENT.findall(text)).astype(np.uint64).T
        rows = np.zeros(found.shape[1], ROW)
        for name, column in zip(ROW.names[1:], found[2:], strict=True):
            rows[name] = column

    return median_us(collect, 50)


class _Loop:
    """A stop source that lets the kernel emit an aggregation in every second wait, and a sink that packs snapshots.

    The time of the emission is not counted; everything else of the loop is.
    """

    def __init__(self, kernel: FakeKernel, nr_regions: int) -> None:
        self.spent_ns: list[int] = []
        self._kernel = kernel
        self._sizes = [4096] * nr_regions
        self._waits = 0
        self._since_ns = 0

    def started(self, *_: object) -> None:
        """Nothing to pack."""

    def paced(self, *_: object) -> None:
        """Nothing to pack."""

    def aggregated(self, snapshot: Snapshot) -> None:
        wire.encode(snapshot, "host", 1, 1)

    def wait(self, _timeout_s: float) -> bool:
        now_ns = time.thread_time_ns()
        self._waits += 1
        if self._waits % 2:
            self.spent_ns.append(now_ns - self._since_ns)
            self._kernel.trace(packed(rows_of(self._sizes, time.monotonic_ns() - 1_000_000_000)))
            self._since_ns = time.thread_time_ns()
        return self._waits > 2 * RUNS


class _Clock:
    def wall_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def cpu_us(self) -> int:
        return time.process_time_ns() // 1000


def loop_us(nr_regions: int) -> float:
    """Time all that a worker does per aggregation, but for sending: two looks, a snapshot, its message; CPU time.

    On plain files instead of sysfs and tracefs: the same system calls, whose price in the kernel differs little.
    """
    with tempfile.TemporaryDirectory() as directory:
        kernel = FakeKernel(Path(directory))
        primitive = KdamondVaddr(KdamondVaddrOptions(), kernel.root, kernel)
        script = _Loop(kernel, nr_regions)
        ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getpid())])
        Kdamond(ctx, primitive, clock=_Clock(), stop=script, sink=script).run()
    return statistics.median(script.spent_ns[1:]) / 1000


def figures() -> Iterator[tuple[str, float, str]]:
    """Yield name, value and unit of each figure; the share is at an aggregation interval of 100 ms."""
    for nr_regions in (10, 100, 1000):
        spent = binary_us(nr_regions)
        yield f"kdamond: one aggregation of {nr_regions} regions, binary", spent, "us"
        share = loop_us(nr_regions) / (AGGR_NS / 1000) * 100
        bound = ", at most 1" if nr_regions <= 100 else ""
        yield "  all of the loop but sending, at one aggregation per 100 ms", share, f"% of one CPU{bound}"
        yield f"  the same as text: the parsing alone, {nr_regions} regions", text_us(nr_regions), "us"


if __name__ == "__main__":
    for name, value, unit in figures():
        print(f"{name:70} {value:10.2f} {unit}")
