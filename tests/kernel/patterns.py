"""What workloads do, as functions of time: whoever watches one knows the truth of every window."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
PAGE: Final = 4096
SEC: Final = 1_000_000_000
MSEC: Final = 1_000_000

HOT_SHARE: Final = 0.25
"""A region is called hot from this share of the possible accesses on, and a page is, that was hot for that long."""

SAMPLE_NS: Final = 5 * MSEC
"""The sampling interval that the truth of seldom touched pages is made for."""

Ranges = list[tuple[int, int]]


@dataclass(frozen=True)
class Pattern:
    """What is hot, by phase, and how it is touched.

    Attributes:
        size: Bytes of the whole mapping.
        hot: Phase -> hot ranges, as offsets in the mapping: sorted and disjoint.
        period_ns: Time from one phase to the next; 0 if there is only one.
        every_ns: Time from the begin of one pass over the hot pages to the next; 0: without a pause.
        filled: What is written to before it begins; all of it if None.
        draws: Pages that each pass reads by chance (Zipf's law, low addresses most often), instead of all hot ones.
        transient: A part that is mapped in odd phases only; in even ones the place is kept, and nothing is there.
        child: What a child process reads over and over, which is forked for each odd phase.
        sample_ns: The sampling interval that it is to be watched at; aggregations are 20 times as long.
    """

    size: int
    hot: Callable[[int], Ranges]
    period_ns: int = 0
    every_ns: int = 0
    filled: Ranges | None = None
    draws: int = 0
    transient: tuple[int, int] | None = None
    child: tuple[int, int] | None = None
    sample_ns: int = SAMPLE_NS

    def phase(self, since_ns: int) -> int:
        return since_ns // self.period_ns if self.period_ns else 0


def zipf_hot(size: int, in_sample: float) -> Ranges:
    """Return the pages that at least a quarter of the samples finds accessed, when so many are drawn in a sample.

    Page k of n is drawn with probability 1 / (k * H(n)). With m draws in a sample it is missed with exp(-m / (k * H)).
    """
    pages = size // PAGE
    harmonic = sum(1 / rank for rank in range(1, pages + 1))
    last = int(in_sample / (harmonic * -math.log(1 - HOT_SHARE)))
    return [(0, min(last, pages) * PAGE)] if last else []


_ZIPF_DRAWS: Final = 4000
_ZIPF_EVERY_NS: Final = 2 * MSEC
_SPARSE: Final = [(n * 128 * MIB, (n * 128 + 4) * MIB) for n in range(8)]

QUICK: Final = {
    "steady_32_of_256": Pattern(256 * MIB, lambda _: [(0, 32 * MIB)]),
    "small_2_of_512": Pattern(512 * MIB, lambda _: [(200 * MIB, 202 * MIB)]),
    "moving_16_of_256": Pattern(
        256 * MIB, lambda phase: [(phase % 4 * 64 * MIB, (phase % 4 * 64 + 16) * MIB)], 3 * SEC
    ),
    "stripes_8x2_of_256": Pattern(256 * MIB, lambda _: [(n * 32 * MIB, (n * 32 + 2) * MIB) for n in range(8)]),
    "halves_64_by_turns": Pattern(
        128 * MIB, lambda phase: [(phase % 2 * 64 * MIB, (phase % 2 + 1) * 64 * MIB)], 2 * SEC
    ),
}
"""The five that the kernel's DAMON has figures for (0.98 to 1.00 of F1 in user-mode Linux)."""

COMPARED: Final = {
    **QUICK,
    "zipf_256": Pattern(
        256 * MIB,
        lambda _: zipf_hot(256 * MIB, _ZIPF_DRAWS * SAMPLE_NS / _ZIPF_EVERY_NS),
        every_ns=_ZIPF_EVERY_NS,
        draws=_ZIPF_DRAWS,
    ),
    # The same, at an interval that a monitor by system calls can keep there.
    "zipf_256_at_20_ms": Pattern(
        256 * MIB,
        lambda _: zipf_hot(256 * MIB, _ZIPF_DRAWS // 4 * 20 * MSEC / _ZIPF_EVERY_NS),
        every_ns=_ZIPF_EVERY_NS,
        draws=_ZIPF_DRAWS // 4,
        sample_ns=20 * MSEC,
    ),
    # Two of three samples find a page of it idle.
    "seldom_32_of_256": Pattern(256 * MIB, lambda _: [(64 * MIB, 96 * MIB)], every_ns=3 * SAMPLE_NS),
    "maps_and_unmaps": Pattern(
        256 * MIB,
        lambda phase: [(0, 16 * MIB), (128 * MIB, 160 * MIB)] if phase % 2 else [(0, 16 * MIB)],
        3 * SEC,
        transient=(128 * MIB, 160 * MIB),
    ),
    "forks": Pattern(256 * MIB, lambda _: [(0, 32 * MIB)], 2 * SEC, child=(128 * MIB, 136 * MIB)),
    "sparse_1g": Pattern(1024 * MIB, lambda _: _SPARSE, filled=_SPARSE),
}
"""All that 'make compare' runs."""

PATTERNS: Final = {**COMPARED, "idle_64": Pattern(64 * MIB, lambda _: [])}
