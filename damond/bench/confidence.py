"""Is the smallest hot area that would be found found? Areas of just that size come up anywhere in memory."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from damond.bench import virtual
from damond.bench.progress import Tell, counted, untold
from damond.bench.result import Column, Result
from damond.bench.setting import Setting
from damond.core import AddrRange, Budget, Snapshot
from damond.core.confidence import HOT_PER_S, MISSED, WITHIN_US
from damond.service.pace import DEFAULT_MAX_CPU
from damond.units import PAGE_SIZE, USEC_PER_SEC, format_size

GIB: Final = 1 << 30
SIZES: Final = (GIB, 16 * GIB, 256 * GIB, 1024 * GIB)

NR_TRIALS: Final = 40
"""Areas per row: with a chance of 95 % each, 36 or more of them (90 %) are found in 95 of 100 rows."""

APPEARS_US: Final = 30 * USEC_PER_SEC
"""When the area comes up; what is said of the smallest one until then is put to the test."""

WARM_PART: Final = 16
"""A part of memory, a sixteenth at its begin, is hot all the time: intervals and regions are tuned to something."""

COLUMNS: Final = (
    Column("memory", "memory"),
    Column("setting", "setting"),
    Column("smallest_found", "smallest found"),
    Column("found", "found in 60 s", ".0%"),
    Column("median_s", "after s (p50)", ".1f"),
    Column("nr_regions", "regions", ",.0f"),
    Column("sample_us", "sample us", ",d"),
    Column("pages_per_s", "pages/s", ",.0f"),
)

REMARKS: Final = (
    f"{NR_TRIALS} areas per row (quick: 10), each in a run of its own, at a random place, after 30 s, as large",
    "as was said until then to be the smallest hot area that is found within a minute with 95 % certainty.",
    "An area is hot if each page is touched five times a second, at random; found, if any access to it is published.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What was said before the area came up.

    Attributes:
        smallest_bytes: The smallest hot area that would be found within a minute.
        nr_regions: Regions at that time.
        sample_us: Sampling interval. Microseconds.
        pages_per_s: Pages looked at per second until then.
    """

    smallest_bytes: int
    nr_regions: int
    sample_us: int
    pages_per_s: float


def settings() -> dict[str, Setting]:
    """Name the settings that are put to the test."""
    shipped = Setting.shipped()
    return {
        "shipped, 20,000 pages/s": shipped,
        "shipped, 1 % of one CPU": shipped.but(budget=Budget(max_cpu=DEFAULT_MAX_CPU)),
        "shipped, blocks of 8": shipped.but(block=8),
    }


def cases(sizes: Sequence[int]) -> list[tuple[int, str, Setting]]:
    """List what is put to the test; the kernel's intervals of 5 ms, a minute of CPU, in the least memory only."""
    found = [(size, name, each) for size in sizes for name, each in settings().items()]
    return [(sizes[0], "kernel's defaults", Setting.kernel()), *found]


def _memory(size: int, setting: Setting, seed: int, area: AddrRange | None = None) -> Any:
    warm = size // WARM_PART
    tracks: list[Mapping[str, Any]] = [{"size": warm, "rate": warm / PAGE_SIZE * HOT_PER_S}]
    if area is not None:
        rate = area.size / PAGE_SIZE * HOT_PER_S
        tracks.append({"start": area.start, "size": area.size, "rate": rate, "begin": f"{APPEARS_US}us"})
    return virtual.memory({"size": size, "tracks": tuple(tracks)}, setting, seed)


def said(size: int, setting: Setting, seed: int) -> Said | None:
    """Monitor a memory until the area would come up; return what is said of the smallest one, None if nothing is."""
    heard: list[Snapshot] = []
    run = virtual.watch(_memory(size, setting, seed), setting, APPEARS_US, seed, heard.append)
    whole = [each for each in heard if not each.partial]
    smallest = whole[-1].smallest_found_bytes if whole else None
    if smallest is None:
        return None
    return Said(
        smallest_bytes=-(-smallest // PAGE_SIZE) * PAGE_SIZE,
        nr_regions=whole[-1].nr_regions,
        sample_us=whole[-1].sample_us,
        pages_per_s=run.costs()["pages_per_s"],
    )


def found_after_s(size: int, area: AddrRange, setting: Setting, seed: int) -> float | None:
    """Let an area come up; say after how many seconds an access to it is published, None if not within a minute."""
    found_us: list[int] = []

    def take(snapshot: Snapshot) -> None:
        if virtual.end_us(snapshot) <= APPEARS_US or found_us:
            return
        for target in snapshot.targets:
            reached = (target.start < area.end) & (target.start + target.size > area.start) & (target.nr_accesses > 0)
            if (reached & (target.start >= size // WARM_PART)).any():
                found_us.append(virtual.end_us(snapshot))

    virtual.watch(_memory(size, setting, seed, area), setting, APPEARS_US + WITHIN_US, seed, take)
    return (found_us[0] - APPEARS_US) / USEC_PER_SEC if found_us else None


def judge(size: int, name: str, setting: Setting, seed: int, nr_trials: int = NR_TRIALS) -> dict[str, Any]:
    """Let areas of the size that is said to be found come up, one in a run."""
    row: dict[str, Any] = {"memory": format_size(size), "memory_bytes": size, "setting": name}
    before = said(size, setting, seed)
    room = 0 if before is None else size - 2 * (size // WARM_PART) - before.smallest_bytes
    if before is None or room <= 0:
        return row | {"smallest_found": "none" if before is None else "too large to place"}
    rng = np.random.default_rng(seed)
    places = 2 * (size // WARM_PART) + rng.integers(0, room // PAGE_SIZE + 1, nr_trials) * PAGE_SIZE
    areas = [AddrRange(int(each), int(each) + before.smallest_bytes) for each in places]
    after = [found_after_s(size, each, setting, seed + trial) for trial, each in enumerate(areas, 1)]
    found = [each for each in after if each is not None]
    return row | {
        "smallest_found": format_size(before.smallest_bytes),
        "smallest_found_bytes": before.smallest_bytes,
        "found": len(found) / nr_trials,
        "median_s": float(np.median(found)) if found else None,
        "nr_trials": nr_trials,
        "nr_regions": before.nr_regions,
        "sample_us": before.sample_us,
        "pages_per_s": before.pages_per_s,
    }


def measure(
    setting: Setting,  # noqa: ARG001 - has its own
    seed: int,
    *,
    quick: bool = False,
    tell: Tell = untold,
) -> Iterator[Result]:
    """Put every setting to the test in every size of memory; quick: in the least and the greatest, with fewer areas."""
    sizes = SIZES[:: len(SIZES) - 1 if quick else 1]
    named = counted(cases(sizes), tell, lambda case: f"{format_size(case[0])}, {case[1]}")
    rows = [judge(*case, seed, NR_TRIALS // 4 if quick else NR_TRIALS) for case in named]
    yield Result(
        part="confidence",
        title="Hot areas of the smallest size that is said to be found within a minute",
        columns=COLUMNS,
        rows=rows,
        figures=_figures(rows),
        remarks=REMARKS,
    )


def _figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    found = [row["found"] for row in rows if "found" in row]
    return {
        "promised": 1 - MISSED,
        "mean_found": float(np.mean(found)) if found else None,
        "least_found": min(found, default=None),
    }
