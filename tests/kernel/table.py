"""Rows of the comparison: what the numbers are, what they say, and how they are printed."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np

from damond.core import Snapshot
from tests.kernel.causes import causes
from tests.kernel.evaluate import Layout, counted, score, total
from tests.kernel.patterns import Ranges
from tests.kernel.watchers import Watched

WORKING_SET_BAR: Final = 0.20
"""The kernel's own selftest wants the 50th and the 75th percentile of the working set within 20 %
(tools/testing/selftests/damon/sysfs_update_schemes_tried_regions_wss_estimation.py, Linux 6.12)."""

NOISE: Final = 0.015
"""kdamond and the kernel's DAMON are one and the same; their F1 differed by up to 0.012 (ten workloads, one run)."""

_SLOWER: Final = 0.40
"""So did what they slowed the workload by, by up to 0.37 on all workloads but one."""

_CHANCE: Final = 2
"""Standard errors that a difference may be by chance: of Zipf's heat the kernel's own F1 was .70 to .78 in ten runs."""

_PARTS: Final = 8
"""Parts of a run, a second each, that are left out in turn to see what chance does."""

_LATE: Final = 0.10
_FEW: Final = 10

OURS: Final = ("kdamond", "vaddr", "physical")
BY_ITSELF: Final = "kdamond"
"""What damond takes (``auto``) where the kernel has DAMON; the others are asked for by name."""

HEADINGS: Final = (
    "workload", "watched by", "prec.", "recall", "F1", "+-", "ws err", "p50", "p75", "regions", "cpu %", "kthr %",
    "slower", "windows", "20%", "F1-kernel", "note",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One watcher on one workload. Shares are fractions of 1.

    Attributes:
        workload: Its name.
        watcher: Its name.
        precision: Of what it called hot, how much was.
        recall: Of what was hot, how much it called hot.
        f1: Both in one.
        error: Mean error of the working set: size called hot against size that was hot.
        error_p50: Half of the windows have at most this error.
        error_p75: Three quarters of them have.
        regions: Regions, on average.
        monitor_cpu: CPU time of processes per time.
        kernel_cpu: CPU time of the kernel's thread per time.
        slowdown: How much longer reading took the workload than just before, on the one CPU that all share.
        windows: Windows that count.
        late: Samples that began late; None if nobody knows.
        causes: What was found of why it is wrong where it is.
        f1_error: Standard error of F1, by how it differed from part to part of the run.
        runs: Of how many runs this is the one whose F1 is in the middle.
    """

    workload: str
    watcher: str
    precision: float
    recall: float
    f1: float
    error: float
    error_p50: float
    error_p75: float
    regions: float
    monitor_cpu: float
    kernel_cpu: float
    slowdown: float
    windows: int
    late: float | None = None
    causes: str = ""
    f1_error: float = 0.0
    runs: int = 1

    @property
    def meets_bar(self) -> bool:
        """Whether p50 and p75 of the working set are within the bar of the kernel's selftest."""
        return max(self.error_p50, self.error_p75) <= WORKING_SET_BAR

    def differs(self, kernel: "Row | None") -> bool:
        """Say whether F1 is not that of the kernel's DAMON: by more than two runs of one of them differ."""
        if kernel is None or kernel is self:
            return False
        return abs(self.f1 - kernel.f1) > max(NOISE, _CHANCE * math.hypot(self.f1_error, kernel.f1_error))

    def behind(self, kernel: "Row | None") -> bool:
        """Say whether F1 is below that of the kernel's DAMON."""
        return kernel is not None and self.differs(kernel) and self.f1 < kernel.f1

    def notes(self, kernel: "Row | None") -> str:
        """Say where this one is behind the kernel's DAMON or misses the bar, by how much, and why."""
        said = [f"median of {self.runs} runs"] if self.runs > 1 else []
        if self.windows < _FEW:
            said.append("too few windows to judge")
        if kernel is not None and kernel is not self:
            if self.differs(kernel):
                said.append(f"F1 {abs(self.f1 - kernel.f1):.3f} {'behind' if self.f1 < kernel.f1 else 'ahead'}")
            if self.slowdown > kernel.slowdown + _SLOWER:
                said.append(f"slows {self.slowdown - kernel.slowdown:.0%} more")
        if self.late is not None and self.late > _LATE:
            said.append(f"{self.late:.0%} of samples late")
        if self.behind(kernel) or not self.meets_bar:
            said.append(f"why: {self.causes or 'not known'}")
        return ", ".join(said)

    def cells(self, kernel: "Row | None") -> tuple[str, ...]:
        accuracy = [f"{each:.3f}" for each in (self.precision, self.recall, self.f1, self.f1_error)]
        errors = [f"{each:.1%}" for each in (self.error, self.error_p50, self.error_p75)]
        cost = [f"{each:.1f}" for each in (self.regions, 100 * self.monitor_cpu, 100 * self.kernel_cpu)]
        distance = f"{self.f1 - kernel.f1:+.3f}" if kernel is not None and kernel is not self else "-"
        bar = "pass" if self.meets_bar else "FAIL"
        rest = [f"{self.slowdown:+.0%}", str(self.windows), bar, distance, self.notes(kernel)]
        return (self.workload, self.watcher, *accuracy, *errors, *cost, *rest)


def make_row(
    names: tuple[str, str],
    watched: Watched,
    layout: Layout,
    stalls: Ranges,
    costs: tuple[float, float],
    span_s: float,
) -> Row:
    """Judge what was found.

    Args:
        names: Of the workload and of the watcher.
        watched: What was found.
        layout: Where the truth is.
        stalls: When the workload did not get to run.
        costs: What a page took the workload, before and while it was watched. Nanoseconds.
        span_s: How long it was watched.
    """
    result = score(watched.snapshots, layout, stalls, warm_up=0)
    errors = _errors(counted(watched.snapshots, layout, stalls), layout)
    samples = sum(each.max_nr_accesses for each in watched.snapshots)
    quartiles = statistics.quantiles(errors, n=4, method="inclusive") if len(errors) > 1 else [1.0] * 3
    return Row(
        *names,
        precision=result.precision,
        recall=result.recall,
        f1=result.f1,
        error=statistics.fmean(errors) if errors else 1.0,
        error_p50=quartiles[1],
        error_p75=quartiles[2],
        regions=statistics.fmean(each.nr_regions for each in watched.snapshots) if watched.snapshots else 0.0,
        monitor_cpu=watched.monitor_us / 1e6 / span_s,
        kernel_cpu=watched.kernel_us / 1e6 / span_s,
        slowdown=costs[1] / costs[0] - 1 if costs[0] else 0.0,
        windows=result.windows,
        late=watched.overruns / samples if samples and watched.overruns else None,
        causes=str(causes(watched.snapshots, layout, stalls, costs[1])),
        f1_error=_f1_error(watched.snapshots, layout, stalls),
    )


def _f1_error(snapshots: Sequence[Snapshot], layout: Layout, stalls: Ranges) -> float:
    """Estimate the standard error of F1 (jackknife over parts of the run); 0 where heat moves: that is no chance."""
    kept = counted(snapshots, layout, stalls)
    if layout.pattern.period_ns or len(kept) < _PARTS:
        return 0.0
    parts = np.array_split(np.arange(len(kept)), _PARTS)
    without = [score([kept[at] for at in np.delete(np.arange(len(kept)), part)], layout, warm_up=0) for part in parts]
    return math.sqrt(_PARTS - 1) * statistics.pstdev(each.f1 for each in without)


def _errors(snapshots: Sequence[Snapshot], layout: Layout) -> list[float]:
    """List the errors of the working set, of windows that have one."""
    sizes = [(total(layout.called_hot(each)), total(layout.truth(each.start_ns, each.end_ns))) for each in snapshots]
    return [abs(called - true) / true for called, true in sizes if true]


def cost(chunks: Sequence[tuple[int, int, int, int]], span: tuple[int, int]) -> float:
    """Say what a page took to read: the median over chunks, which few that were disturbed do not move. Nanoseconds."""
    inside = [each for each in chunks if span[0] <= each[0] and each[1] <= span[1] and each[3]]
    return statistics.median(reading / pages for _, _, reading, pages in inside) if inside else 0.0


def render(rows: Sequence[Row]) -> str:
    """Lay out the table; the kernel's row of a workload is what the others are compared with."""
    kernels = {row.workload: row for row in rows if row.watcher.startswith("kernel")}
    lines = [HEADINGS, *(row.cells(kernels.get(row.workload)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    left = (0, 1, len(widths) - 1)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at in left else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def behind(rows: Sequence[Row]) -> list[Row]:
    """List the rows of damond that are behind the kernel's DAMON."""
    kernels = {row.workload: row for row in rows if row.watcher.startswith("kernel")}
    return [row for row in rows if row.watcher in OURS and row.behind(kernels.get(row.workload))]


def medians(runs: Sequence[Sequence[Row]]) -> list[Row]:
    """Take of several runs of the same, for each watcher, the one whose F1 is in the middle."""
    return [
        replace(sorted(rows, key=lambda each: each.f1)[len(rows) // 2], runs=len(rows))
        for rows in zip(*runs, strict=True)
    ]


def verdict(rows: Sequence[Row]) -> str:
    """Sum up who of damond's is behind the kernel's DAMON, and where the bar is missed."""
    ours = behind(rows)
    by_itself = [row.workload for row in ours if row.watcher == BY_ITSELF]
    by_name = [f"{row.workload} by {row.watcher}" for row in ours if row.watcher != BY_ITSELF]
    missed = [f"{row.workload} by {row.watcher}" for row in rows if not row.meets_bar]
    limit = f"{NOISE} of F1 and {_CHANCE} standard errors"
    return (
        f"behind the kernel's DAMON by more than {limit}:\n"
        f"  damond as it comes ({BY_ITSELF} here): {', '.join(by_itself) or 'nowhere'}\n"
        f"  asked for by name: {', '.join(by_name) or 'nowhere'}\n"
        f"working set beyond {WORKING_SET_BAR:.0%}: {', '.join(missed) or 'nowhere'}"
    )


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the rows as they are written to JSON: with their notes, and what they are made of."""
    kernels = {row.workload: row for row in rows if row.watcher.startswith("kernel")}
    return [
        {
            **asdict(row),
            "note": row.notes(kernels.get(row.workload)),
            "meets_bar": row.meets_bar,
            "behind": row.behind(kernels.get(row.workload)),
        }
        for row in rows
    ]
