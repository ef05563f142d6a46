"""What the kernel spends: access checks and CPU time."""

import os
from collections.abc import Iterable
from typing import Final

import numpy as np

from damond.core import Attrs
from damond.units import NSEC_PER_USEC, PAGE_SIZE, USEC_PER_SEC
from damond_accessbits import Root
from damond_kdamond.assembly import Aggregation

_UNSPLIT_SZ: Final = 2 * PAGE_SIZE
"""Regions up to this size stay whole (damon_split_regions_of, mm/damon/core.c, Linux 5.15 to 7.2)."""

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class CheckCount:
    """Derives how many access checks the kernel made: one per region and sample.

    The regions of a result are merged ones; those that were sampled are the pieces into which the kernel had cut the
    result before. The rule is known (kdamond_split_regions, Linux 5.15 to 7.2): into two, or into three if their
    number was the same twice and is below a third of the greatest; not at all above half of it. What chance decides in
    regions of a few pages is taken as a cut, so that this is rather above than below the truth. Nobody counts. Seen in
    the midst of aggregations, Linux 7.2 had as many regions as derived here, to 0.2 % (50 aggregations of 41 regions
    and 13 of 324; tests/kernel/test_kdamond.py).

    Args:
        attrs: The first aggregation has at least ``min_nr_regions`` to sample.
    """

    def __init__(self, attrs: Attrs) -> None:
        self.nr_sampled = attrs.min_nr_regions
        self._last_nr_regions = 0

    def checks(self, samples: int) -> int:
        """Return the checks of an aggregation that has just ended."""
        return samples * self.nr_sampled

    def split(self, aggregation: Aggregation, attrs: Attrs) -> None:
        """Take note of a result: the kernel cuts it now."""
        sizes: Iterable[int] = (
            int(np.count_nonzero(rows["end"] - rows["start"] > _UNSPLIT_SZ)) for rows in aggregation.targets.values()
        )
        number = sum(len(rows) for rows in aggregation.targets.values())
        self.nr_sampled = number
        if number > attrs.max_nr_regions // 2:
            return
        cuts = 2 if number == self._last_nr_regions and number < attrs.max_nr_regions // 3 else 1
        self._last_nr_regions = number
        self.nr_sampled += cuts * sum(sizes)


class ThreadClock:
    """CPU time of a kernel thread.

    Args:
        root: Where /proc is.
        pid: The thread.
    """

    def __init__(self, root: Root, pid: int) -> None:
        self._root = root
        self._pid = pid
        self._before_us = 0
        self._last_us = 0

    def cpu_us(self) -> int:
        """Return what it has used; once it has ended, what it had used when last asked. Microseconds."""
        self._last_us = max(self._last_us, self._schedstat() or self._stat())
        return self._before_us + self._last_us

    def follow(self, pid: int) -> None:
        """Go on with another thread, which takes the place of the first."""
        self._before_us, self._last_us, self._pid = self.cpu_us(), 0, pid

    def _schedstat(self) -> int:
        """Return nanoseconds on a CPU, to the microsecond; nothing without CONFIG_SCHED_INFO."""
        word, _, _ = self._root.read_word(f"proc/{self._pid}/schedstat").partition(" ")
        return int(word or 0) // NSEC_PER_USEC

    def _stat(self) -> int:
        """Return utime and stime, to the clock tick."""
        fields = self._root.read_word(f"proc/{self._pid}/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * USEC_PER_SEC // _TICKS_PER_S if fields else 0
