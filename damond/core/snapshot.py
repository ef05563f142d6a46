"""What one aggregation found, and what it sums up to."""

from collections import abc
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from damond.core.budget import BudgetUse
from damond.core.confidence import Advice, advise, is_cold, smallest_found
from damond.core.regions import Addrs, Counts
from damond.units import NSEC_PER_USEC, USEC_PER_SEC

IDLE_PERCENTILES: Final = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)
"""The percentiles of ``Summary.idle_ms``; DAMON_STAT gives all of 0 to 100."""

_USEC_PER_MSEC: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a message came from, if it came over the stream, and what was lost on the way.

    Attributes:
        host: Name of the machine.
        epoch: Start of the worker, Unix time; another one means that the worker has been restarted. Nanoseconds.
        seq: Counts from 0 per topic and epoch.
        missed: Messages of this topic lost just before this one.
        skipped: Messages of this topic passed over just before this one, because only the latest was wanted.
        restarted: This is the first message of another worker than the one before.
        stale: It was asked for, and its context is not running any more: this is how it was, not how it is.
    """

    host: str
    epoch: int
    seq: int
    missed: int = 0
    skipped: int = 0
    restarted: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class TargetSnapshot:
    """The regions of one target at the end of an aggregation: columns of equal length, sorted by address.

    Attributes:
        id: The target.
        pid: The process behind it, or None.
        start: uint64, first address of each region. Bytes.
        size: uint64. Bytes.
        nr_accesses: uint32, samples of the window in which the region was found accessed.
        age: uint32, aggregations for which the access frequency has been about the same.
        nr_samples: uint32, samples that stand behind this; see :class:`damond.core.Regions`. Zeros if not given.
    """

    id: int
    pid: int | None
    start: Addrs
    size: Addrs
    nr_accesses: Counts
    age: Counts
    nr_samples: Counts = field(default_factory=lambda: np.zeros(0, np.uint32))

    def __post_init__(self) -> None:
        if not len(self.nr_samples):
            object.__setattr__(self, "nr_samples", np.zeros(len(self.start), np.uint32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one aggregation found (the kernel's tracepoint ``damon_aggregated``), with its circumstances.

    Attributes:
        context: Name of the context.
        primitive: Name of the primitive.
        start_ns: Begin of the window, Unix time. Nanoseconds.
        end_ns: End of the window, Unix time. Nanoseconds.
        sample_us: Sampling interval asked for. Microseconds.
        aggr_us: Aggregation interval asked for; the real one is ``end_ns - start_ns``. Microseconds.
        update_us: Primitive update interval. Microseconds.
        min_nr_regions: Least number of regions.
        max_nr_regions: Greatest number of regions.
        max_nr_accesses: Samples in this window: what ``nr_accesses`` is to be compared with.
        granularity: Bytes that one check looks at; 0 is the whole mapping.
        checks: Pages looked at in the window.
        unknown: Of how many of them nothing could be said (the page could not be marked): counted as no access.
        cpu_us: CPU time of the worker since the snapshot before, its publication included. Microseconds.
        overruns: Samples in the window that began late.
        partial: The monitoring ended before the window was full.
        targets: What was found, per target.
        budget: What the context may cost and does, and what was done to keep it so; None without a budget.
        sampled_bytes: Size of the largest region that was sampled as one, before regions were merged; 0 where that is
            not known.
        policy: Name of the policy by which the regions adapt.
        origin: Where it came from, if it came over the stream.
    """

    context: str
    primitive: str
    start_ns: int
    end_ns: int
    sample_us: int
    aggr_us: int
    update_us: int
    min_nr_regions: int
    max_nr_regions: int
    max_nr_accesses: int
    granularity: int
    checks: int
    unknown: int = 0
    cpu_us: int
    overruns: int
    partial: bool
    targets: tuple[TargetSnapshot, ...]
    budget: BudgetUse | None = None
    sampled_bytes: int = 0
    policy: str = "kernel"
    origin: Origin | None = None

    @property
    def nr_regions(self) -> int:
        """Regions of all targets."""
        return sum(len(target.start) for target in self.targets)

    @property
    def total_bytes(self) -> int:
        """Bytes monitored."""
        return sum(int(target.size.sum()) for target in self.targets)

    @property
    def accessed_bytes(self) -> int:
        """Bytes of the regions with any access: the working set of this window."""
        return sum(int(target.size[target.nr_accesses > 0].sum()) for target in self.targets)

    def cold(self, target: TargetSnapshot) -> NDArray[np.bool_]:
        """Say which regions of one of the targets are cold; see :mod:`damond.core.confidence`."""
        return is_cold(target.size, target.nr_accesses, target.nr_samples, self.total_bytes)

    @property
    def cold_bytes(self) -> int:
        """Bytes of the regions that are known to be cold. What is neither accessed nor cold is *unseen*."""
        return sum(int(target.size[self.cold(target)].sum()) for target in self.targets)

    @property
    def unseen_bytes(self) -> int:
        """Bytes of the regions without accesses of which not enough is known to call them cold."""
        return self.total_bytes - self.accessed_bytes - self.cold_bytes

    @property
    def smallest_found_bytes(self) -> int | None:
        """Size from which on a hot area is seen within a minute, with 95 % certainty, wherever it is; None: unknown."""
        return smallest_found(self._widest_bytes, self.sample_us, self.granularity)

    @property
    def advice(self) -> Advice | None:
        """Settings that would find hot areas half as large or smaller, if there are any."""
        most = self.max_nr_regions if self.budget is None else self.budget.max_nr_regions
        return advise(self._widest_bytes, self.sample_us, self.granularity, most)

    @property
    def _widest_bytes(self) -> int:
        widest = max((int(target.size.max(initial=0)) for target in self.targets), default=0)
        return self.sampled_bytes or widest


class Mapping(NamedTuple):
    """A stretch of addresses that a process has mapped: neighbouring mappings of one name.

    Attributes:
        start: First address. Bytes.
        end: First address behind. Bytes.
        name: For people: ``[heap]``, ``libc.so.6``, ``anonymous``.
    """

    start: int
    end: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMemory:
    """How much memory the process behind a target has, and where.

    Attributes:
        target_id: The target.
        pid: The process.
        vsz_bytes: Address space (VmSize). Bytes.
        rss_bytes: Resident (VmRSS). Bytes.
        pss_bytes: Resident, what is shared divided by those who share it (Pss of smaps_rollup), as it was when it was
            last read; None where it was not. Bytes.
        limit_bytes: The least ``memory.max`` of its cgroup and those above it; None where there is none. Bytes.
        mappings: What it has mapped, sorted by address, disjoint; () where that could not be read.
    """

    target_id: int
    pid: int
    vsz_bytes: int
    rss_bytes: int
    pss_bytes: int | None = None
    limit_bytes: int | None = None
    mappings: tuple[Mapping, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A context in a few numbers, as the kernel's DAMON_STAT gives them.

    Attributes:
        context: Name of the context.
        end_ns: Unix time of the newest snapshot in it. Nanoseconds.
        total_bytes: Bytes monitored.
        accessed_bytes: Bytes of regions with any access in the newest window.
        bandwidth_bps: Estimate of the memory traffic: sum of size * nr_accesses over the aggregation. Bytes per second.
        idle_ms: Percentile of memory (by bytes) -> for how long it has been idle; negative: for how long it has
            been accessed at about the same rate. Milliseconds.
        nr_regions: Regions of all targets.
        checks_per_s: Pages looked at per second.
        cpu_fraction: CPU time of the worker per time, 0.01 = 1 % of one CPU.
        memory: The memory of the processes behind the targets, as far as it is known.
        budget: As in the newest snapshot.
        cold_bytes: Bytes of regions that are known to be cold; see :mod:`damond.core.confidence`.
        unseen_bytes: Bytes of regions without accesses of which not enough is known to call them cold.
        smallest_found_bytes: Size from which on a hot area (five touches per page and second) is seen within a minute,
            with 95 % certainty, wherever it is; None where there is no answer.
        advice: Settings that would find smaller ones, or None.
        origin: Where it came from, if it came over the stream.
    """

    context: str
    end_ns: int
    total_bytes: int
    accessed_bytes: int
    bandwidth_bps: int
    idle_ms: abc.Mapping[int, int] = field(default_factory=dict)
    nr_regions: int
    checks_per_s: float
    cpu_fraction: float
    memory: tuple[ProcessMemory, ...] = ()
    budget: BudgetUse | None = None
    cold_bytes: int = 0
    unseen_bytes: int = 0
    smallest_found_bytes: int | None = None
    advice: Advice | None = None
    origin: Origin | None = None


def summarize(snapshot: Snapshot, watched_us: int | None = None) -> Summary:
    """Sum up one snapshot by the formulas of DAMON_STAT (mm/damon/stat.c, Linux 6.17).

    Args:
        snapshot: The newest.
        watched_us: For how long the context has been monitored, if that is known: nothing has been idle for longer,
            though ages are counted in aggregations, and those may have become longer. Microseconds.
    """
    span_us = max((snapshot.end_ns - snapshot.start_ns) // NSEC_PER_USEC, 1)
    size = np.concatenate([np.zeros(0, np.uint64), *(target.size for target in snapshot.targets)])
    nr_accesses = np.concatenate([np.zeros(0, np.uint32), *(target.nr_accesses for target in snapshot.targets)])
    age = np.concatenate([np.zeros(0, np.uint32), *(target.age for target in snapshot.targets)])
    accesses_sz = int((size.astype(np.float64) * nr_accesses).sum())
    return Summary(
        context=snapshot.context,
        end_ns=snapshot.end_ns,
        total_bytes=snapshot.total_bytes,
        accessed_bytes=snapshot.accessed_bytes,
        bandwidth_bps=min(accesses_sz * USEC_PER_SEC // span_us, 2**64 - 1),
        idle_ms=_idle_percentiles(size, nr_accesses, age, snapshot.aggr_us, watched_us),
        nr_regions=snapshot.nr_regions,
        checks_per_s=snapshot.checks * USEC_PER_SEC / span_us,
        cpu_fraction=snapshot.cpu_us / span_us,
        budget=snapshot.budget,
        cold_bytes=snapshot.cold_bytes,
        unseen_bytes=snapshot.unseen_bytes,
        smallest_found_bytes=snapshot.smallest_found_bytes,
        advice=snapshot.advice,
    )


def idle_us(nr_accesses: Counts, age: Counts, aggr_us: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Say for how long regions have been idle; negative: accessed at about the same rate. Microseconds.

    A region whose age counts n aggregations has been so for n + 1 of them, as DAMON_STAT has it (mm/damon/stat.c,
    Linux 6.17).

    Args:
        nr_accesses: Of the regions.
        age: Of the regions. Aggregations.
        aggr_us: Aggregation interval; of regions of several windows, for each of them. Microseconds.
    """
    lasted: NDArray[np.int64] = (age.astype(np.int64) + 1) * aggr_us
    return np.where(nr_accesses > 0, -lasted, lasted)


def _idle_percentiles(
    size: Addrs, nr_accesses: Counts, age: Counts, aggr_us: int, watched_us: int | None
) -> dict[int, int]:
    """Sort bytes by idle time and read the idle time at each percentile. Milliseconds."""
    if not len(size):
        return {}
    lasted_us = idle_us(nr_accesses, age, aggr_us)
    if watched_us is not None:
        lasted_us = lasted_us.clip(-watched_us, watched_us)
    order = np.argsort(lasted_us, kind="stable")
    reached = np.cumsum(size[order].astype(np.float64))
    rows = np.searchsorted(reached, [reached[-1] * p / 100 for p in IDLE_PERCENTILES])
    rows = np.minimum(rows, len(order) - 1)
    return {
        percentile: int(lasted_us[order[row]]) // _USEC_PER_MSEC
        for percentile, row in zip(IDLE_PERCENTILES, rows.tolist(), strict=True)
    }
