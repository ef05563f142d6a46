"""49 shapes of accesses to a few pages: how near the heat that is found comes to that which is there."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from damond.bench import virtual
from damond.bench.progress import Tell, counted, untold
from damond.bench.result import Column, Result
from damond.bench.setting import Setting
from damond.bench.workloads import WORKLOADS, Workload
from damond.core import Snapshot
from damond.units import PAGE_SIZE, USEC_PER_SEC

Floats = NDArray[np.float64]

GROWN: Final = 4096
"""Pages that a page grows to."""

_TITLES: Final = {
    1: "49 shapes of accesses to a few pages",
    GROWN: "The same shapes, each page grown to 16 MiB",
}

COLUMNS: Final = (
    Column("shape", "shape"),
    Column("accuracy", "accuracy", ".3f"),
    Column("r", "r", ".2f"),
    Column("published_accuracy", "published", ".3f"),
    Column("published_r", "publ. r", ".2f"),
    Column("map_accuracy", "map", ".3f"),
    Column("map_r", "map r", ".2f"),
    Column("pages_per_s", "pages/s", ",.0f"),
    Column("nr_regions", "regions", ",.0f"),
    Column("sample_us", "sample us", ",d"),
)

REMARKS: Final = (
    "accuracy: 1 - mean of |G - D| / (G + D + 1) over pages. G: true accesses per second; D: nr_accesses per second.",
    "r: Pearson's, of the same; none where G is even. map: both over the cells of a map of pages and seconds: harder.",
    "published: the kernel's DAMON on real processes, heat weighted by overlap: 0.816 and 0.73 on average.",
)


class Grid:
    """Heat by second (rows) and page (columns), in accesses per second."""

    def __init__(self, workload: Workload, scale: int) -> None:
        column = scale * PAGE_SIZE
        places = zip(workload.starts, workload.pages, strict=True)
        self.start = np.concatenate([start + np.arange(n) * column for start, n in places])
        self._column = column
        self._counted = np.zeros((workload.seconds, len(self.start)))
        self._sampled_s = np.zeros((workload.seconds, 1))

    def add(self, snapshot: Snapshot) -> None:
        """Credit what a snapshot found to its pages and seconds, by overlap."""
        (target,) = snapshot.targets
        start, end = target.start.astype(np.int64), (target.start + target.size).astype(np.int64)
        reached = np.concatenate([[0.0], np.cumsum(target.nr_accesses * target.size.astype(np.float64))])
        covered = np.concatenate([[0.0], np.cumsum(target.size.astype(np.float64))])

        def upto(at: NDArray[np.int64], total: Floats) -> Floats:
            row = np.clip(np.searchsorted(start, at, side="right") - 1, 0, None)
            part = np.clip(at - start[row], 0, end[row] - start[row]) / (end[row] - start[row])
            sums: Floats = total[row] + part * (total[row + 1] - total[row])
            return sums

        found = _between(upto, self.start, self._column, reached) / _between(upto, self.start, self._column, covered)
        begin_s, end_s = (at(snapshot) / USEC_PER_SEC for at in (virtual.begin_us, virtual.end_us))
        seconds = np.arange(len(self._counted))
        within = np.clip(np.minimum(seconds + 1, end_s) - np.maximum(seconds, begin_s), 0, None) / (end_s - begin_s)
        self._counted += within[:, None] * found
        self._sampled_s += within[:, None] * (snapshot.max_nr_accesses * snapshot.sample_us / USEC_PER_SEC)

    def map(self) -> Floats:
        """Give the accesses per second in every cell; NaN where nothing was sampled."""
        with np.errstate(invalid="ignore"):
            per_s: Floats = self._counted / self._sampled_s
        return per_s

    def profile(self) -> Floats:
        """Give the accesses per second of every page on average over the run."""
        per_s: Floats = self._counted.sum(axis=0) / self._sampled_s.sum()
        return per_s


def _between(upto: Any, start: NDArray[np.int64], size: int, total: Floats) -> Floats:
    found: Floats = upto(start + size, total) - upto(start, total)
    return found


def accuracy(truth: Floats, found: Floats) -> float:
    """Compare heat with heat, in accesses per second: 1 is perfect; the published measure."""
    known = ~np.isnan(found)
    truth, found = truth[known], found[known]
    return float(1 - np.mean(np.abs(truth - found) / (truth + found + 1)))


def correlation(truth: Floats, found: Floats) -> float | None:
    """Give Pearson's r; None where the truth is even. What is found to be even in uneven truth has none of it: 0."""
    known = ~np.isnan(found)
    truth, found = truth[known], found[known]
    if np.ptp(truth) <= 1e-9 * np.max(truth, initial=0.0):
        return None
    if np.ptp(found) == 0:
        return 0.0
    return float(np.corrcoef(truth, found)[0, 1])


def judge(workload: Workload, setting: Setting, seed: int, scale: int = 1) -> dict[str, Any]:
    """Monitor one shape from its begin to its end."""
    primitive = virtual.memory(workload.options(scale), setting, seed)
    grid = Grid(workload, scale)
    run = virtual.watch(primitive, setting, workload.seconds * USEC_PER_SEC, seed, grid.add)
    memory = virtual.truth_of(primitive)
    pages = (grid.start // PAGE_SIZE).astype(np.uint64)
    seconds = range(workload.seconds)
    truth = np.array([memory.access_rates(pages, each * USEC_PER_SEC, USEC_PER_SEC) for each in seconds])
    published = workload.published
    return {
        "shape": workload.name,
        "accuracy": accuracy(truth.mean(axis=0), grid.profile()),
        "r": correlation(truth.mean(axis=0), grid.profile()),
        "map_accuracy": accuracy(truth.ravel(), grid.map().ravel()),
        "map_r": correlation(truth.ravel(), grid.map().ravel()),
        "published_accuracy": published.accuracy[1],
        "published_r": published.r[1] if published.r else None,
        "published_unweighted_accuracy": published.accuracy[0],
        "published_unweighted_r": published.r[0] if published.r else None,
        **run.costs(),
    }


def measure(setting: Setting, seed: int, *, quick: bool = False, tell: Tell = untold) -> Iterator[Result]:
    """Judge every shape, as published and with each page grown to 16 MiB; quick: every seventh."""
    workloads = WORKLOADS[:: 7 if quick else 1]
    for scale, title in _TITLES.items():
        rows = [judge(each, setting, seed, scale) for each in counted(workloads, tell, lambda each: each.name)]
        yield _table(title, rows, scale)


def _table(title: str, rows: Sequence[Mapping[str, Any]], scale: int) -> Result:
    return Result(
        part="shapes" if scale == 1 else "grown shapes",
        title=title,
        columns=COLUMNS,
        rows=rows,
        figures=figures(rows),
        remarks=REMARKS if scale == 1 else (),
    )


def figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Say what the rows come down to."""
    return {
        "mean_accuracy": _mean(rows, "accuracy"),
        "least_accuracy": min(row["accuracy"] for row in rows),
        "mean_r": _mean(rows, "r"),
        "mean_map_accuracy": _mean(rows, "map_accuracy"),
        "mean_map_r": _mean(rows, "map_r"),
        "mean_pages_per_s": _mean(rows, "pages_per_s"),
    }


def _mean(rows: Sequence[Mapping[str, Any]], key: str) -> float | None:
    values = [row[key] for row in rows if row[key] is not None]
    return statistics.fmean(values) if values else None
