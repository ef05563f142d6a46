"""Runs a workload and watches it from another process, with the real clock."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from damond.core import Context, Kdamond, Primitive, Snapshot, Target
from damond.units import PAGE_SIZE
from damond_accessbits import read_frames
from tests.kernel.evaluate import Layout
from tests.kernel.kernels import CHECKOUT
from tests.kernel.patterns import PATTERNS, Ranges

LIMIT_S = 60
"""For what should take a second, on a machine that others use too."""


class RealClock:
    def wall_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def cpu_us(self) -> int:
        return time.process_time_ns() // 1000


@dataclass
class Until:
    """Stops after a time, or as soon as a condition holds, whichever is first."""

    seconds: float
    condition: Callable[[], bool] = lambda: False
    begin: float = field(default_factory=time.monotonic)

    def wait(self, timeout_s: float) -> bool:
        time.sleep(max(timeout_s, 0))
        return time.monotonic() - self.begin > self.seconds or self.condition()


@dataclass
class Collect:
    """Keeps every snapshot."""

    snapshots: list[Snapshot] = field(default_factory=list)

    def started(self, *_: Any) -> None:
        """Nothing to keep."""

    def aggregated(self, snapshot: Snapshot) -> None:
        self.snapshots.append(snapshot)


def monitor(
    primitive: Primitive,
    pids: list[int],
    seconds: float,
    *,
    condition: Callable[[], bool] = lambda: False,
    **given: int,
) -> tuple[list[Snapshot], Context, str]:
    """Monitor processes for a time; return the snapshots, the context and why it ended."""
    ctx = Context(attrs=primitive.attrs(given), targets=[Target(pid) for pid in pids])
    sink = Collect()
    reason = Kdamond(ctx, primitive, clock=RealClock(), stop=Until(seconds, condition), sink=sink).run()
    return sink.snapshots, ctx, reason


@dataclass
class Workload:
    """A workload that runs, and what it said."""

    process: "subprocess.Popen[str]"
    layout: Layout
    stalls: Ranges = field(default_factory=list)
    chunks: list[tuple[int, int, int, int]] = field(default_factory=list)

    def stop(self) -> None:
        """End it, and take what it says: when it did not get to run, and what reading took."""
        out, _ = self.process.communicate(timeout=LIMIT_S)
        assert out, f"the workload has failed: status {self.process.returncode}"
        said = json.loads(out)
        self.stalls = [tuple(each) for each in said["stalls"]]
        self.chunks = [tuple(each) for each in said["chunks"]]


@contextmanager
def workload(name: str) -> Iterator[Workload]:
    """Run a workload; it is killed at the end if it was not stopped."""
    command = [sys.executable, "-m", "tests.kernel.workload", name]
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = json.loads(process.stdout.readline())
            yield Workload(process, Layout(said["pid"], said["address"], said["begin_ns"], PATTERNS[name]))
        finally:
            process.kill()


@dataclass
class Toucher:
    """A process that does what it is told."""

    process: "subprocess.Popen[str]"

    @property
    def pid(self) -> int:
        return self.process.pid

    def ask(self, *words: object) -> str:
        """Send one command, wait until it is done, and return the answer."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.hear()

    def hear(self) -> str:
        return self.process.stdout.readline().strip()

    def map(self, size: int, kind: str = "") -> int:
        """Map memory and write to each of its pages; return its address."""
        address = int(self.ask("map", size, kind))
        self.ask("write", address, PAGE_SIZE, size // PAGE_SIZE)
        return address


@contextmanager
def toucher(prefix: Sequence[str] = ()) -> Iterator[Toucher]:
    """Run a toucher, by another program if one is given; it is killed at the end."""
    command = [*prefix, sys.executable, str(Path(__file__).with_name("toucher.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            each = Toucher(process)
            each.hear()
            yield each
        finally:
            process.kill()


def frames_of(pid: int, address: int, nr_pages: int) -> np.ndarray:
    """Look up the frames behind some pages of a process."""
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        addrs = np.uint64(address) + np.arange(nr_pages, dtype=np.uint64) * np.uint64(PAGE_SIZE)
        return read_frames(pagemap.fileno(), addrs)


def check_cost(snapshots: list[Snapshot]) -> str:
    """Say how well the intervals were kept."""
    late = sum(each.overruns for each in snapshots)
    samples = sum(each.max_nr_accesses for each in snapshots)
    checks = sum(each.checks for each in snapshots)
    unknown = sum(each.unknown for each in snapshots)
    return f"{late} of {samples} samples late, {checks} checks, {unknown} unknown"
