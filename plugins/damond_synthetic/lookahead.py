"""What the access checks of one aggregation will find, worked out at once.

What is scripted is known before it happens. A sample that is worked out when its time comes begins with cold caches
after every sleep, and costs four times as much as one of many in a row: most of a worker's CPU time went there.
"""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import Context, Target
from damond.core.regions import Addrs, Counts
from damond.units import PAGE_SIZE
from damond_synthetic.draws import draw, draw_key
from damond_synthetic.memory import Memory
from damond_synthetic.spatial import Pages

_PAGE_SHIFT: Final = np.uint64(PAGE_SIZE.bit_length() - 1)

_PAGES_AT_ONCE: Final = 2**15
"""Pages worked out ahead, which takes a few milliseconds at most; what more there are, when their time comes."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one sample finds in one target.

    Attributes:
        touched: 1 for each region in which the block around the sampling address is accessed within the sample, or 0.
        nr_pages: Pages looked at.
    """

    touched: Counts
    nr_pages: int


@dataclass(frozen=True, slots=True)
class _Sample:
    """A sample of all targets.

    Attributes:
        holds_for: Its number, begin and length, and the number of targets: it is worked out for nothing else.
        addrs: The sampling addresses of each target.
        looks: What is found at them.
    """

    holds_for: tuple[int, int, int, int]
    addrs: list[Addrs]
    looks: list[Look]


class Lookahead:
    """Looks at the memory for one context.

    Args:
        memory: The memory.
        seed: Of its chance.
        block: Pages that one check looks at.
    """

    def __init__(self, memory: Memory, seed: int, block: int) -> None:
        self._memory = memory
        self._seed = seed
        self._block = block
        self._samples: list[_Sample] = []

    def looks(self, ctx: Context, time_us: int) -> list[Look]:
        """Tell what the sample under way finds, target by target.

        Args:
            ctx: The context; the sampling addresses of its regions, and those chosen ahead, are looked at.
            time_us: Virtual time at which the sample began. Microseconds.
        """
        under_way = (ctx.passed_samples, time_us, ctx.attrs.sample_interval, len(ctx.targets))
        chosen = [target.regions.sampling_addr for target in ctx.targets]
        sample = self._samples.pop() if self._samples else None
        if sample is None or sample.holds_for != under_way or any(map(operator.is_not, sample.addrs, chosen)):
            self._samples = self._work_out(ctx, time_us)[::-1]
            sample = self._samples.pop()
        return sample.looks

    def _work_out(self, ctx: Context, time_us: int) -> list[_Sample]:
        most = max(1, _PAGES_AT_ONCE // max(ctx.nr_regions * self._block, 1))
        chosen = [[each.regions.sampling_addr, *each.regions.addrs_ahead[: most - 1]] for each in ctx.targets]
        nr_samples, interval_us = min(map(len, chosen), default=1), ctx.attrs.sample_interval
        numbers = range(ctx.passed_samples, ctx.passed_samples + nr_samples)
        times_us = range(time_us, time_us + nr_samples * interval_us, interval_us)
        looks = [
            self._look(target, addrs[:nr_samples], numbers, times_us)
            for target, addrs in zip(ctx.targets, chosen, strict=True)
        ]
        return [
            _Sample(
                holds_for=(number, each_us, interval_us, len(looks)),
                addrs=[addrs[index] for addrs in chosen],
                looks=[look[index] for look in looks],
            )
            for index, (number, each_us) in enumerate(zip(numbers, times_us, strict=True))
        ]

    def _look(self, target: Target, addrs: Sequence[Addrs], numbers: range, times_us: range) -> list[Look]:
        """Look at one target in some samples; its regions have an address for each."""
        keys = np.array([draw_key(self._seed, target.id, number) for number in numbers], np.uint64)
        if self._block == 1:
            pages = np.stack(addrs) >> _PAGE_SHIFT
            touched = draw(keys[:, None], pages) < self._memory.touch_probability(pages, times_us)
            return [Look(each, len(each)) for each in touched.astype(np.uint32)]
        looks = []
        for key, each, time_us in zip(keys, addrs, times_us, strict=True):
            pages, first = _pages(*target.regions.blocks_around(each, self._block))
            at = range(time_us, time_us + times_us.step, times_us.step)
            touched = draw(key, pages) < self._memory.touch_probability(pages[None], at)[0]
            looks.append(Look(np.logical_or.reduceat(touched, first).astype(np.uint32), len(pages)))
        return looks


def _pages(start: Addrs, end: Addrs) -> tuple[Pages, NDArray[np.int64]]:
    """List the pages of disjoint ranges, and where in the list each range begins."""
    first, nr_pages = start >> _PAGE_SHIFT, ((end - start) >> _PAGE_SHIFT).astype(np.int64)
    begin = np.cumsum(nr_pages) - nr_pages
    pages = np.repeat(first, nr_pages) + (np.arange(nr_pages.sum()) - np.repeat(begin, nr_pages)).astype(np.uint64)
    return pages, begin
