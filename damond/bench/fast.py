"""Small memory whose heat moves within seconds: is what is shipped any worse there than 5 ms / 100 ms, fixed?

Tuned intervals and fewer checks pay off in large memory. Here they must not cost what short intervals are good at.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from damond.bench import virtual
from damond.bench.progress import Tell, counted, untold
from damond.bench.result import Column, Result
from damond.bench.setting import Setting
from damond.core import Budget, Primitive, Snapshot
from damond.service.pace import DEFAULT_MAX_CPU
from damond.units import PAGE_SIZE, USEC_PER_SEC

MIB: Final = 1 << 20
PAGE_RATE: Final = 200.0
"""Accesses per second to every hot page, at random: 63 % of them are touched within 5 ms."""

SPAN_US: Final = 40 * USEC_PER_SEC
SETTLING_US: Final = 10 * USEC_PER_SEC
"""What is found in the first quarter of a run is not judged."""

_STEP_US: Final = 25_000
"""Truth is looked at so often: a quarter of the shortest aggregation."""

_NR_PARTS: Final = 64
"""Parts of memory that workloads are made of."""

_NR_CELLS: Final = 16 * _NR_PARTS
"""Parts of memory that are judged, each of them hot or not as a whole."""

_CALLED_HOT: Final = 1 / 4
"""From this part of the accesses on that a page shows which is hot all the time. A half would be just what a window
shows that was half over when something moved, and a third is next to the 0.3 s of work in a second that one of the
workloads has: a matter of luck."""

Floats = NDArray[np.float64]

COLUMNS: Final = (
    Column("workload", "workload"),
    Column("kernel_window_f1", "window: kernel", ".3f"),
    Column("shipped_window_f1", "shipped", ".3f"),
    Column("budget_window_f1", "at 1 %", ".3f"),
    Column("kernel_budget_window_f1", "kernel at 1 %", ".3f"),
    Column("kernel_second_f1", "second: kernel", ".3f"),
    Column("shipped_second_f1", "shipped", ".3f"),
    Column("budget_second_f1", "at 1 %", ".3f"),
    Column("kernel_budget_second_f1", "kernel at 1 %", ".3f"),
    Column("kernel_pages_per_s", "pages/s: kernel", ",.0f"),
    Column("shipped_pages_per_s", "shipped", ",.0f"),
    Column("budget_pages_per_s", "at 1 %", ",.0f"),
    Column("kernel_budget_pages_per_s", "kernel at 1 %", ",.0f"),
)

REMARKS: Final = (
    "F1 (of precision and recall) in pages times seconds, after 10 s of 40: what was called hot against what was.",
    "window: by aggregation, whatever its length; second: aggregations added up by second.",
    "Called hot: with a quarter of the accesses, or more, that a page shows on average that is always hot (200/s).",
    "kernel: its policy at 5 ms / 100 ms, nothing tuned. shipped: without a budget. at 1 %: of one CPU, by estimate.",
)


@dataclass(frozen=True, slots=True)
class Workload:
    """What happens in 64 parts of a memory.

    Attributes:
        name: What it does.
        size: Of the memory. Bytes.
        turns: Which parts are hot at a time: one set of parts after the other.
        turn_us: How long each set is hot. Microseconds.
    """

    name: str
    size: int
    turns: Sequence[Sequence[int]]
    turn_us: int = USEC_PER_SEC

    def tracks(self) -> list[dict[str, Any]]:
        """Make the tracks of the synthetic primitive: one for each part that is ever hot in a turn."""
        part, nr = self.size // _NR_PARTS, len(self.turns)
        return [
            {
                "start": first * part,
                "size": (last - first) * part,
                "rate": (last - first) * part / PAGE_SIZE * PAGE_RATE,
                **({} if nr == 1 else self._when(turn)),
            }
            for turn, parts in enumerate(self.turns)
            for first, last in _joined(parts)
        ]

    def _when(self, turn: int) -> dict[str, Any]:
        nr = len(self.turns)
        phase = (nr - turn) % nr / nr
        return {"temporal": "square", "period": f"{nr * self.turn_us}us", "duty": 1 / nr, "phase": phase}


def _joined(parts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Make ranges of consecutive parts."""
    begins = [each for each in parts if each - 1 not in parts]
    for begin in begins:
        end = begin
        while end in parts:
            end += 1
        yield begin, end


def _range(at: int) -> Sequence[int]:
    return range(at, at + 6)


_HOPS: Final = [_range(at) for at in (3, 40, 22, 55, 12, 31)]
_HALVES: Final = [range(32), range(32, 64)]

WORKLOADS: Final = (
    Workload("steady, 10 % of 16 MiB", 16 * MIB, [_range(20)]),
    Workload("steady, 10 % of 1 GiB", 1024 * MIB, [_range(20)]),
    Workload("hops every 1 s, 16 MiB", 16 * MIB, _HOPS),
    Workload("hops every 1 s, 1 GiB", 1024 * MIB, _HOPS),
    Workload("hops every 2 s, 256 MiB", 256 * MIB, _HOPS, 2 * USEC_PER_SEC),
    Workload("hops every 3 s, 1 GiB", 1024 * MIB, _HOPS, 3 * USEC_PER_SEC),
    Workload("eight stripes of 256 MiB", 256 * MIB, [range(3, 64, 8)]),
    Workload("32 stripes of 256 MiB", 256 * MIB, [range(0, 64, 2)]),
    Workload("halves by turns of 0.5 s, 64 MiB", 64 * MIB, _HALVES, USEC_PER_SEC // 2),
    Workload("halves by turns of 2 s, 64 MiB", 64 * MIB, _HALVES, 2 * USEC_PER_SEC),
    Workload("0.5 s of work, 2 s of rest, 64 MiB", 64 * MIB, [_range(20), (), (), (), ()], USEC_PER_SEC // 2),
    Workload("0.3 s of work, 1.2 s of rest, 64 MiB", 64 * MIB, [_range(20), (), (), (), ()], USEC_PER_SEC * 3 // 10),
    Workload("1 MiB, 1 s of work, 9 s of rest", 64 * MIB, [[20], *[()] * 9]),
)


def settings() -> dict[str, Setting]:
    """Name the settings that are compared."""
    one_percent = Budget(max_cpu=DEFAULT_MAX_CPU)
    shipped = Setting.shipped().but(budget=None)
    return {
        "kernel": Setting.kernel(),
        "shipped": shipped,
        "budget": shipped.but(budget=one_percent),
        "kernel_budget": Setting.kernel().but(budget=one_percent),
    }


class Truth:
    """Which parts of a memory are hot when.

    Args:
        primitive: The memory.
        size: Of it. Bytes.
    """

    def __init__(self, primitive: Primitive, size: int) -> None:
        memory, cell = virtual.truth_of(primitive), size // _NR_CELLS
        self.middle = (np.arange(_NR_CELLS) * cell + cell // 2).astype(np.uint64)
        moments = range(0, SPAN_US, _STEP_US)
        touched = [memory.at(each, 1000).touch_probability(self.middle) > 0 for each in moments]
        self._sums = np.concatenate([np.zeros((1, _NR_CELLS)), np.cumsum(touched, axis=0)])

    def between(self, begin_us: int, end_us: int) -> Floats:
        """Say for which part of a time each cell was hot, 0 to 1; times are cut to the steps of the truth."""
        begin = begin_us // _STEP_US
        end = min(max(begin + 1, end_us // _STEP_US), len(self._sums) - 1)
        share: Floats = (self._sums[end] - self._sums[begin]) / (end - begin)
        return share


def _is_hot(seen: Floats, expected: float | Floats) -> NDArray[np.bool_]:
    hot: NDArray[np.bool_] = (seen >= expected * _CALLED_HOT) & (seen > 0)
    return hot


@dataclass
class Score:
    """Adds up what was called hot, what was hot, and what was both; in cells times microseconds."""

    truth: Truth
    found: float = 0.0
    there: float = 0.0
    both: float = 0.0

    def add(self, called: NDArray[np.bool_], begin_us: int, end_us: int) -> None:
        """Judge a time."""
        if begin_us < SETTLING_US or end_us > SPAN_US:
            return
        hot, span_us = self.truth.between(begin_us, end_us), end_us - begin_us
        self.found += float(called.sum()) * span_us
        self.there += float(hot.sum()) * span_us
        self.both += float(hot[called].sum()) * span_us

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 if nothing was found that is there."""
        return 2 * self.both / (self.found + self.there) if self.both else 0.0


@dataclass
class Judge:
    """Judges snapshots by window and by second."""

    truth: Truth
    by_window: Score = field(init=False)
    by_second: Score = field(init=False)

    def __post_init__(self) -> None:
        self.by_window, self.by_second = Score(self.truth), Score(self.truth)
        self._seen = np.zeros((SPAN_US // USEC_PER_SEC, _NR_CELLS))
        self._expected = np.zeros((SPAN_US // USEC_PER_SEC, 1))

    def take(self, snapshot: Snapshot) -> None:
        """Judge an aggregation, and put it down to the seconds that it lies in."""
        if snapshot.partial:
            return
        (target,) = snapshot.targets
        seen = target.nr_accesses[np.searchsorted(target.start, self.truth.middle, side="right") - 1].astype(float)
        expected = snapshot.max_nr_accesses * -math.expm1(-PAGE_RATE * snapshot.sample_us / USEC_PER_SEC)
        begin_us, end_us = virtual.begin_us(snapshot), virtual.end_us(snapshot)
        self.by_window.add(_is_hot(seen, expected), begin_us, end_us)
        second = np.arange(len(self._seen)) * USEC_PER_SEC
        within_us = np.clip(np.minimum(second + USEC_PER_SEC, end_us) - np.maximum(second, begin_us), 0, None)
        part = (within_us / (end_us - begin_us))[:, None]
        self._seen += part * seen
        self._expected += part * expected

    def f1(self) -> dict[str, float]:
        """Give F1 by window and by second."""
        for second, (seen, expected) in enumerate(zip(self._seen, self._expected, strict=True)):
            self.by_second.add(_is_hot(seen, expected), second * USEC_PER_SEC, (second + 1) * USEC_PER_SEC)
        return {"window_f1": self.by_window.f1, "second_f1": self.by_second.f1}


def judge(workload: Workload, setting: Setting, seed: int) -> dict[str, float]:
    """Monitor one workload: F1 by window and by second, and the cost."""
    primitive = virtual.memory({"size": workload.size, "tracks": tuple(workload.tracks())}, setting, seed)
    judged = Judge(Truth(primitive, workload.size))
    run = virtual.watch(primitive, setting, SPAN_US, seed, judged.take)
    return judged.f1() | run.costs()


def row(workload: Workload, seed: int) -> dict[str, Any]:
    """Monitor one workload with every setting."""
    found: dict[str, Any] = {"workload": workload.name, "size_bytes": workload.size}
    for name, setting in settings().items():
        found |= {f"{name}_{key}": value for key, value in judge(workload, setting, seed).items()}
    return found


def measure(
    setting: Setting,  # noqa: ARG001 - compares its own
    seed: int,
    *,
    quick: bool = False,
    tell: Tell = untold,
) -> Iterator[Result]:
    """Compare what is shipped with the kernel's defaults; quick: every third workload."""
    workloads = WORKLOADS[:: 3 if quick else 1]
    rows = [row(each, seed) for each in counted(workloads, tell, lambda each: each.name)]
    yield Result(
        part="fast",
        title="Small memory whose heat moves within seconds",
        columns=COLUMNS,
        rows=rows,
        figures=_figures(rows),
        remarks=REMARKS,
    )


def _figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    return {
        f"mean_{name}_{key}": float(np.mean([each[f"{name}_{key}"] for each in rows]))
        for key in ("window_f1", "second_f1")
        for name in settings()
    }
