"""How near the working-set size comes to the truth, at the median and at the 75th percentile."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from damond.bench import virtual
from damond.bench.progress import Tell, counted, untold
from damond.bench.result import Column, Result
from damond.bench.setting import Setting
from damond.core import Snapshot
from damond.units import PAGE_SIZE, USEC_PER_SEC, format_size

MIB: Final = 1 << 20
SPAN_US: Final = 60 * USEC_PER_SEC
SETTLING_US: Final = SPAN_US // 3

PAGE_RATE: Final = 10.0
"""Accesses per second to every page of a working set, at random."""

PERCENTILES: Final = (50, 75)
"""Those of the kernel's own test (damos_wss / wss_estimation selftest), which allows 20 % of error."""

COLUMNS: Final = (
    Column("pattern", "pattern"),
    Column("size", "working set"),
    Column("memory", "of"),
    Column("error_p50", "error p50", "+.1%"),
    Column("error_p75", "error p75", "+.1%"),
    Column("nr_regions", "regions", ",.0f"),
    Column("pages_per_s", "pages/s", ",.0f"),
    Column("sample_us", "sample us", ",d"),
)

REMARKS: Final = (
    "Bytes of regions with any access against bytes in use, both as percentiles of the time, 40 s (after 20).",
    "Every page in use is accessed ten times a second, at random: 37 % of them not in 100 ms, 2 % not in 400 ms.",
    "The kernel's own test allows 20 %.",
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A working set that may move.

    Attributes:
        name: What it does.
        sizes: Working sets to try. Bytes.
        memory: How many times the working set the memory is.
        tracks: Makes the tracks for a size.
        in_use: What part of ``size`` is in use at a time in microseconds.
    """

    name: str
    sizes: Sequence[int]
    memory: int
    tracks: Callable[[int], Sequence[Mapping[str, Any]]]
    in_use: Callable[[int], float] = lambda _: 1.0


def _track(size: int, start: int = 0, **more: Any) -> dict[str, Any]:
    return {"start": start, "size": size, "rate": size / PAGE_SIZE * PAGE_RATE, **more}


def _halves(size: int) -> Sequence[Mapping[str, Any]]:
    square: dict[str, Any] = {"temporal": "square", "period": "4s"}
    return [_track(size, **square), _track(size, start=size, phase=0.5, **square)]


def _in_burst(time_us: int) -> float:
    return 1.0 if time_us % (20 * USEC_PER_SEC) < 2 * USEC_PER_SEC else 0.1


def _burst(size: int) -> Sequence[Mapping[str, Any]]:
    tenth = size // 10 // PAGE_SIZE * PAGE_SIZE
    # So seldom that windows which a burst ends in do not reach up to the 75th percentile: at 2 s of 10 that was luck.
    return [_track(tenth), _track(size - tenth, start=tenth, temporal="square", period="20s", duty=0.1)]


PATTERNS: Final = (
    Pattern(
        "steady", [MIB, 16 * MIB, 256 * MIB, 4096 * MIB, 65536 * MIB, MIB * MIB], 4, lambda size: [_track(size, size)]
    ),
    Pattern("alternating halves, 2 s", [10 * MIB, 160 * MIB, 2560 * MIB, 40960 * MIB], 2, _halves),
    Pattern(
        "slow drift, its own size in 40 s",
        [16 * MIB, 256 * MIB, 4096 * MIB],
        16,
        lambda size: [_track(size, move="slide", move_period="600s")],
    ),
    Pattern("burst, 2 s of 20", [16 * MIB, 256 * MIB, 4096 * MIB], 4, _burst, _in_burst),
)


def judge(pattern: Pattern, size: int, setting: Setting, seed: int) -> dict[str, Any]:
    """Monitor one working set."""
    options = {"size": size * pattern.memory, "tracks": tuple(pattern.tracks(size))}
    primitive = virtual.memory(options, setting, seed)
    found: list[float] = []
    truth: list[float] = []
    span_us: list[int] = []

    def take(snapshot: Snapshot) -> None:
        begin, end = virtual.begin_us(snapshot), virtual.end_us(snapshot)
        if begin >= SETTLING_US and not snapshot.partial:
            found.append(float(snapshot.accessed_bytes))
            span_us.append(end - begin)
            moments = np.linspace(begin, end, 11)[:-1].astype(int).tolist()
            truth.append(size * float(np.mean([pattern.in_use(each) for each in moments])))

    run = virtual.watch(primitive, setting, SPAN_US, seed, take)
    row: dict[str, Any] = {"pattern": pattern.name, "size": format_size(size), "size_bytes": size}
    row["memory"] = format_size(size * pattern.memory)
    for percentile in PERCENTILES:
        wanted = percentile_in_time(truth, span_us, percentile) if truth else None
        row[f"error_p{percentile}"] = percentile_in_time(found, span_us, percentile) / wanted - 1 if wanted else None
    return row | run.costs()


def percentile_in_time(values: Sequence[float], span_us: Sequence[int], percentile: float) -> float:
    """Give the value that is not exceeded in so many per cent of the time; each holds for a span. Microseconds."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(np.array(span_us)[order])
    at = int(np.searchsorted(reached, percentile / 100 * reached[-1]))
    return float(np.array(values)[order][min(at, len(values) - 1)])


def measure(setting: Setting, seed: int, *, quick: bool = False, tell: Tell = untold) -> Iterator[Result]:
    """Judge every pattern at every size; quick: at one size each."""
    cases = [(each, size) for each in PATTERNS for size in (each.sizes[1:2] if quick else each.sizes)]
    named = counted(cases, tell, lambda case: f"{case[0].name}, {format_size(case[1])}")
    rows = [judge(each, size, setting, seed) for each, size in named]
    errors = [abs(row[f"error_p{each}"]) for row in rows for each in PERCENTILES if row[f"error_p{each}"] is not None]
    yield Result(
        part="wss",
        title="Error of the working-set size",
        columns=COLUMNS,
        rows=rows,
        figures={
            "median_error": float(np.median(errors)) if errors else None,
            "greatest_error": max(errors, default=None),
        },
        remarks=REMARKS,
    )
