"""When two counts are the same but for chance, and joining neighbours by that."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import adaptation
from damond.core.regions import Counts, Regions

_ROUND: Final = 0.5

Numbers = NDArray[np.float64]


class Alike:
    """Tells counts of accesses apart that differ by more than chance makes them.

    A count of n samples of memory that is touched with the probability p varies by ``sqrt(n * p * (1 - p))`` from one
    time to the next. At half of 20 samples that is 2.2: by the kernel's tenth of the highest count, two parts of one
    hot range would be told apart twice in three times.

    Args:
        nr_samples: Samples that were counted.
        threshold: Counts that differ by no more than this are alike in any case.
        deviations: How many standard deviations a difference must have to be one.
        split_idle: Whether no access at all is unlike any.
    """

    def __init__(self, nr_samples: int, threshold: int, deviations: float, *, split_idle: bool = True) -> None:
        self._nr_samples = nr_samples
        self._threshold = threshold
        self._deviations = deviations
        self._split_idle = split_idle

    def differ(self, left: Counts, right: Counts) -> NDArray[np.bool_]:
        """Compare counts one by one."""
        apart = np.abs(left.astype(np.int64) - right) > self.limits(left, right)
        found: NDArray[np.bool_] = apart | ((left > 0) != (right > 0)) if self._split_idle else apart
        return found

    def limits(self, left: Counts, right: Counts) -> Numbers:
        """Give the greatest difference of counts, one by one, that is none."""
        most = 2.0 * max(self._nr_samples, 1)
        both = np.minimum(left.astype(np.float64) + right, most)
        limits: Numbers = np.maximum(self._deviations * np.sqrt(both * (1 - both / most)), self._threshold)
        return limits

    def merge(self, regions: Regions, sz_limit: int) -> None:
        """Join neighbours that are alike, in one pass from low to high addresses.

        As :func:`damond.core.adaptation.merge`, but that the average of what has grown is kept exactly and rounded
        once: rounded down at each step, as in the kernel, it ends up to one access too low for every region joined.
        What could not be looked at at all stays apart: nothing would stand behind what it is joined with.
        """
        if len(regions) < 2:  # noqa: PLR2004
            return
        columns = (regions.start, regions.end, regions.nr_accesses, regions.last_nr_accesses, regions.age)
        rows = zip(*(column.tolist() for column in (*columns, self._kinds(regions))), strict=True)
        most, variance = 2 * max(self._nr_samples, 1), self._deviations**2
        threshold, split_idle = self._threshold, self._split_idle
        start, end, nr, last, years, kind = next(rows)
        merged = []
        for r_start, r_end, r_nr, r_last, r_age, r_kind in rows:
            if (
                end == r_start
                and r_end - start <= sz_limit
                and not (split_idle and kind != r_kind)
                and (
                    (apart := abs(nr - r_nr)) <= threshold
                    or apart * apart <= variance * (both := min(int(nr + r_nr), most)) * (1 - both / most)
                )
            ):
                sz_l, sz = end - start, r_end - start
                nr += (r_nr - nr) * (sz - sz_l) / sz
                years = (years * sz_l + r_age * (sz - sz_l)) // sz
                end = r_end
            else:
                merged.append((start, end, math.floor(nr + _ROUND), last, years))
                start, end, nr, last, years, kind = r_start, r_end, r_nr, r_last, r_age, r_kind
        merged.append((start, end, math.floor(nr + _ROUND), last, years))
        if len(merged) < len(regions):
            starts, ends, nrs, lasts, ages = map(list, zip(*merged, strict=True))
            number, exposure = adaptation.merged_samples(
                regions, np.array(starts, np.uint64), np.array(ends, np.uint64)
            )
            regions.assign(starts, ends, nrs, lasts, ages, nr_samples=number, exposure=exposure)

    def _kinds(self, regions: Regions) -> NDArray[np.int8]:
        """Tell apart what was accessed (1), what was not (0), and what no sample could look at (-1)."""
        unseen = regions.nr_missed >= max(self._nr_samples, 1)
        return np.where(regions.nr_accesses > 0, 1, np.where(unseen, -1, 0)).astype(np.int8)


def borders(regions: Regions, alike: Alike) -> NDArray[np.intp]:
    """List the regions whose next neighbour follows at once and is unlike, by what was published last."""
    nr = regions.last_nr_accesses
    return np.flatnonzero((regions.end[:-1] == regions.start[1:]) & alike.differ(nr[:-1], nr[1:]))
