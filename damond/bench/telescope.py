"""Hot memory in ever more memory: the table by which DAMON was shown to fail (Telescope, USENIX ATC'24)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from damond.bench import virtual
from damond.bench.progress import Tell, counted, untold
from damond.bench.result import Column, Result
from damond.bench.setting import Setting
from damond.bench.windows import Window, Windows
from damond.core import AddrRange, Snapshot
from damond.units import PAGE_SIZE, USEC_PER_SEC, Usec

GB: Final = 10**9
"""The published sizes are decimal."""

RATES: Final = (5_000, 20_000, 97_000)
"""Accesses per millisecond, spread evenly over the hot range."""

HOT_SHARE: Final = 5 / 200
"""A page is called hot above this share of the samples of at least a second: published as more than 5 accesses in
1 s at 5 ms, which are 200 samples. At other sampling intervals it is the same share of the samples that there are."""

AGGR_US: Final = Usec(200_000)
WINDOW_US: Final = USEC_PER_SEC
SPAN_US: Final = 60 * USEC_PER_SEC
SETTLING_US: Final = 20 * USEC_PER_SEC
"""What is found in the first third of a run is not judged."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """A size of memory. Bytes."""

    name: str
    size: int
    hot: int


FOOTPRINTS: Final = (
    Footprint("1 GB", GB, GB // 10),
    Footprint("10 GB", 10 * GB, GB),
    Footprint("100 GB", 100 * GB, 10 * GB),
    Footprint("5 TB", 5_000 * GB, 10 * GB),
)

PUBLISHED: Final[Mapping[str, str]] = {"1 GB": "> 0.9", "10 GB": "< 0.5", "100 GB": "about 0", "5 TB": "0"}

COLUMNS: Final = (
    Column("footprint", "footprint"),
    Column("accesses_per_ms", "accesses/ms", ",d"),
    Column("precision", "precision", ".3f"),
    Column("recall", "recall", ".3f"),
    Column("pages_per_s", "pages/s", ",.0f"),
    Column("checks_per_s", "checks/s", ",.0f"),
    Column("nr_regions", "regions", ",.0f"),
    Column("cpu_percent", "CPU %", ".2f"),
    Column("sample_us", "sample us", ",d"),
    Column("published", "published"),
)

REMARKS: Final = (
    "60 simulated seconds, of which the first 20 are not judged. The hot range is contiguous, accesses to it random.",
    "Figures below: the rows at 5,000 accesses per ms. CPU: what the passes would cost by the service's own estimate.",
    "Pages with an access in more than 2.5 % of the samples of a second (or more) are called hot.",
    "published: hot data found by DAMON at 5 ms / 200 ms, 10 to 1000 regions: LKML 20240318132848.82686-1.",
)


class Score:
    """Adds up what was found, what is there, and what is both; in pages times seconds."""

    def __init__(self, hot: AddrRange) -> None:
        self._hot = hot
        self.found = self.there = self.both = 0.0

    def add(self, window: Window) -> None:
        """Judge one window."""
        called = window.share > HOT_SHARE
        start, end = window.edges[:-1][called].astype(np.float64), window.edges[1:][called].astype(np.float64)
        weight = (window.end_us - window.start_us) / USEC_PER_SEC / PAGE_SIZE
        within = np.minimum(end, self._hot.end) - np.maximum(start, self._hot.start)
        self.found += float((end - start).sum()) * weight
        self.both += float(np.maximum(within, 0.0).sum()) * weight
        self.there += self._hot.size * weight

    @property
    def precision(self) -> float | None:
        """The part of what was called hot that is."""
        return self.both / self.found if self.found else None

    @property
    def recall(self) -> float:
        """The part of what is hot that was called so."""
        return self.both / self.there if self.there else 0.0


def hot_range(footprint: Footprint) -> AddrRange:
    """Place the hot range: a third of the way into the memory, at no round place."""
    start = footprint.size // 3 // PAGE_SIZE * PAGE_SIZE
    return AddrRange(start, start + footprint.hot // PAGE_SIZE * PAGE_SIZE)


def judge(
    footprint: Footprint, accesses_per_ms: int, setting: Setting, seed: int, span_us: int = SPAN_US
) -> dict[str, Any]:
    """Monitor one footprint under one load."""
    hot = hot_range(footprint)
    track = {"start": hot.start, "size": hot.size, "rate": accesses_per_ms * 1000.0}
    primitive = virtual.memory({"size": footprint.size // PAGE_SIZE * PAGE_SIZE, "tracks": [track]}, setting, seed)
    windows, score = Windows(WINDOW_US), Score(hot)

    def take(snapshot: Snapshot) -> None:
        for window in windows.add(snapshot):
            if window.start_us >= min(SETTLING_US, span_us // 3):
                score.add(window)

    run = virtual.watch(primitive, setting, span_us, seed, take)
    return {
        "footprint": footprint.name,
        "accesses_per_ms": accesses_per_ms,
        "precision": score.precision,
        "recall": score.recall,
        **run.costs(),
        "published": PUBLISHED[footprint.name],
    }


def as_published(setting: Setting) -> Setting:
    """Aggregate over 200 ms, as was published, if the setting is otherwise the kernel's own."""
    return setting.but(attrs=replace(setting.attrs, aggr_interval=AGGR_US)) if setting == Setting.kernel() else setting


def measure(setting: Setting, seed: int, *, quick: bool = False, tell: Tell = untold) -> Iterator[Result]:
    """Judge every footprint under every load; quick: under the published load alone."""
    setting = as_published(setting)
    cases = [(each, rate) for rate in (RATES[:1] if quick else RATES) for each in FOOTPRINTS]
    named = counted(cases, tell, lambda case: f"{case[0].name}, {case[1]:,d} accesses/ms")
    rows = [judge(each, rate, setting, seed) for each, rate in named]
    at_published = [row for row in rows if row["accesses_per_ms"] == RATES[0]]
    yield Result(
        part="telescope",
        title="Hot memory found in ever more memory",
        columns=COLUMNS,
        rows=rows,
        figures={
            "least_precision": min(row["precision"] or 0.0 for row in at_published),
            "least_recall": min(row["recall"] for row in at_published),
            "most_pages_per_s": max(row["pages_per_s"] for row in at_published),
        },
        remarks=REMARKS,
    )
