"""What the access checks of one aggregation will find, worked out at once.

What is scripted is known before it happens. A sample that is worked out when its time comes begins with cold caches
after every sleep, and costs four times as much as one of many in a row: most of a worker's CPU time went there.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import Context, Target
from damond.core.regions import Addrs, Counts, Regions
from damond.units import PAGE_SIZE
from damond_synthetic.draws import draw, draw_key, draw_keys
from damond_synthetic.memory import Memory
from damond_synthetic.spatial import Pages

Touched = NDArray[np.bool_]

_PAGE_SHIFT: Final = np.uint64(PAGE_SIZE.bit_length() - 1)

_PAGES_AT_ONCE: Final = 2**15
"""Pages worked out ahead, which takes a few milliseconds at most; what more there are, when their time comes."""


@dataclass(frozen=True, slots=True)
class _Foreseen:
    """What samples in a row find in one target.

    Attributes:
        addrs: Its sampling addresses in each of them.
        counts: The counts of its regions before the first, and after each.
        highest: The highest of the counts after each.
        nr_pages: Pages that each looks at.
    """

    addrs: Sequence[Addrs]
    counts: Sequence[Counts]
    highest: Sequence[int]
    nr_pages: Sequence[int]

    def holds_for(self, regions: Regions, index: int) -> bool:
        """Say whether these regions are where they were thought to be before the sample of that index."""
        return regions.sampling_addr is self.addrs[index] and regions.nr_accesses is self.counts[index]


class Lookahead:
    """Counts the accesses to a memory for one context.

    Args:
        memory: The memory.
        seed: Of its chance.
        block: Pages that one check looks at.
    """

    def __init__(self, memory: Memory, seed: int, block: int) -> None:
        self._memory = memory
        self._seed = seed
        self._block = block
        self._samples = range(0)
        self._times_us = range(0)
        self._foreseen: list[_Foreseen] = []

    def count(self, ctx: Context, time_us: int) -> int:
        """Count what the sample under way finds; return the highest count.

        Args:
            ctx: The context; the sampling addresses of its regions, and those chosen ahead, are looked at.
            time_us: Virtual time at which the sample began. Microseconds.
        """
        index = ctx.passed_samples - self._samples.start
        if not self._holds_for(ctx, index, time_us):
            self._work_out(ctx, time_us)
            index = 0
        highest = 0
        for target, each in zip(ctx.targets, self._foreseen, strict=True):
            target.regions.nr_accesses = each.counts[index + 1]
            ctx.checks += each.nr_pages[index]
            highest = max(highest, each.highest[index])
        return highest

    def _holds_for(self, ctx: Context, index: int, time_us: int) -> bool:
        return (
            0 <= index < len(self._samples)
            and time_us == self._times_us[index]
            and ctx.attrs.sample_interval == self._times_us.step
            and len(ctx.targets) == len(self._foreseen)
            and all(
                each.holds_for(target.regions, index) for target, each in zip(ctx.targets, self._foreseen, strict=True)
            )
        )

    def _work_out(self, ctx: Context, time_us: int) -> None:
        most = max(1, _PAGES_AT_ONCE // max(ctx.nr_regions * self._block, 1))
        chosen = [[each.regions.sampling_addr, *each.regions.addrs_ahead[: most - 1]] for each in ctx.targets]
        nr_samples, interval_us = min(map(len, chosen), default=1), ctx.attrs.sample_interval
        self._samples = range(ctx.passed_samples, ctx.passed_samples + nr_samples)
        self._times_us = range(time_us, time_us + nr_samples * interval_us, interval_us)
        self._foreseen = [
            self._foresee(target, addrs[:nr_samples]) for target, addrs in zip(ctx.targets, chosen, strict=True)
        ]

    def _foresee(self, target: Target, addrs: Sequence[Addrs]) -> _Foreseen:
        touched, nr_pages = self._look(target, addrs)
        rows = touched.astype(np.uint32)
        counts = [target.regions.nr_accesses, *rows]
        for before, after in itertools.pairwise(counts):
            np.add(after, before, out=after)  # cumsum takes four times as long
        for each in counts[1:-1]:
            each.flags.writeable = False  # what comes next is known already: who writes into them is told so
        return _Foreseen(addrs, counts, rows.max(axis=1, initial=0).tolist(), nr_pages)

    def _look(self, target: Target, addrs: Sequence[Addrs]) -> tuple[Touched, Sequence[int]]:
        """Look at one target in all samples; return what was touched, sample by sample, and the pages looked at."""
        keys = draw_keys(draw_key(self._seed, target.id), self._samples)
        if self._block == 1:
            pages = np.stack(addrs) >> _PAGE_SHIFT
            touched = draw(keys[:, None], pages) < self._memory.touch_probability(pages, self._times_us)
            return touched, [pages.shape[1]] * len(addrs)
        rows, nr_pages = [], []
        for key, each, time_us in zip(keys, addrs, self._times_us, strict=True):
            pages, first = _pages(*target.regions.blocks_around(each, self._block))
            at = range(time_us, time_us + self._times_us.step, self._times_us.step)
            touched = draw(key, pages) < self._memory.touch_probability(pages[None], at)[0]
            rows.append(np.logical_or.reduceat(touched, first))
            nr_pages.append(len(pages))
        return np.stack(rows), nr_pages


def _pages(start: Addrs, end: Addrs) -> tuple[Pages, NDArray[np.int64]]:
    """List the pages of disjoint ranges, and where in the list each range begins."""
    first, nr_pages = start >> _PAGE_SHIFT, ((end - start) >> _PAGE_SHIFT).astype(np.int64)
    begin = np.cumsum(nr_pages) - nr_pages
    pages = np.repeat(first, nr_pages) + (np.arange(nr_pages.sum()) - np.repeat(begin, nr_pages)).astype(np.uint64)
    return pages, begin
