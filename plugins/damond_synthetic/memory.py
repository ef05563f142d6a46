"""The memory that is not there: what would be accessed when, exactly, at a cost that does not depend on its size."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.core import AddrRange
from damond.core.regions import Addrs
from damond.units import PAGE_SIZE, USEC_PER_SEC
from damond_synthetic.spatial import Floats, Pages
from damond_synthetic.track import MISS, Track

_PAGE_SHIFT: Final = np.uint64(PAGE_SIZE.bit_length() - 1)

_MEAN_ERROR: Final = 1e-3
"""Bound of the relative error of a mean over a great range; the tests allow 5e-5."""

_NOTHING: Final = 1e-12
"""Differences of probability below this are none."""

_EVERY_PAGE: Final = 2**16
"""Up to so many pages a mean looks at every one (1 ms); beyond, at intervals of pages that are nearly alike."""

_Intervals = tuple[Pages, Pages]


@dataclass(frozen=True, slots=True)
class _Piece:
    """Pages ``[first, end)`` that one track leaves alone with a probability that rises only, or falls only."""

    origin: int
    first: int
    end: int
    miss: MISS

    def factor(self, pages: Pages) -> float | Floats:
        """Give the probability of a miss of pages within the piece."""
        return self.miss((pages - np.uint64(self.origin)).astype(np.float64)) if callable(self.miss) else self.miss


class Moment:
    """The truth about one sampling interval."""

    def __init__(self, areas: Sequence[AddrRange], pieces: Sequence[_Piece]) -> None:
        self._areas = areas
        self._pieces = pieces
        # Rows of any sorted pages that lie in a piece are one slice: two look-ups per piece, not one per page.
        self._bounds = np.array([bound for piece in pieces for bound in (piece.first, piece.end)], np.uint64)

    def touch_probability(self, addrs: Addrs) -> Floats:
        """Give the probability that the page of each address is accessed within the interval."""
        order = np.argsort(addrs, kind="stable")
        probability = np.empty(len(addrs))
        probability[order] = self.touch_probability_sorted(addrs[order] >> _PAGE_SHIFT)
        return probability

    def touch_probability_sorted(self, pages: Pages) -> Floats:
        """Give the same for page numbers in ascending order."""
        miss = np.ones(len(pages))
        for piece, rows in self._rows(pages):
            miss[rows] *= piece.factor(pages[rows]) if callable(piece.miss) else piece.miss
        return np.subtract(1.0, miss, out=miss)

    def mean_touch_probability(self, wanted: AddrRange) -> float:
        """Give the mean over the pages of a range: the chance of a check at a random address in it."""
        first, end = wanted.start // PAGE_SIZE, -(-wanted.end // PAGE_SIZE)
        if end - first <= _EVERY_PAGE:
            return float(self.touch_probability_sorted(np.arange(first, end, dtype=np.uint64)).mean())
        lo, hi = self._cut_at_bounds([(first, end)])
        total = 0.0
        while len(lo):
            low, high = self._range_of_probability(lo, hi)
            done = high - low <= np.maximum(2 * _MEAN_ERROR * low, _NOTHING)
            total += float(((low + high) / 2 * (hi - lo))[done].sum())
            lo, hi = _halves(lo[~done], hi[~done])
        return total / (end - first)

    def hot_ranges(self, at_least: float) -> list[AddrRange]:
        """List the ranges, as long as possible, of all pages that are accessed with that probability or a greater one.

        Args:
            at_least: Above 0.
        """
        lo, hi = self._cut_at_bounds([(area.start // PAGE_SIZE, area.end // PAGE_SIZE) for area in self._areas])
        found: list[tuple[int, int]] = []
        while len(lo):
            low, high = self._range_of_probability(lo, hi)
            hot, cold = low >= at_least, high < at_least
            found += zip(lo[hot].tolist(), hi[hot].tolist(), strict=True)
            open_ = ~(hot | cold)
            lo, hi = _halves(lo[open_], hi[open_])
        return _joined(sorted(found))

    def _rows(self, pages: Pages) -> list[tuple[_Piece, slice]]:
        at = pages.searchsorted(self._bounds).tolist()
        found = zip(self._pieces, at[::2], at[1::2], strict=True)
        return [(piece, slice(lo, hi)) for piece, lo, hi in found if lo < hi]

    def _cut_at_bounds(self, ranges: Sequence[tuple[int, int]]) -> _Intervals:
        bounds = np.unique(np.concatenate([self._bounds, np.array(ranges, np.uint64).ravel()]))
        kept = [bounds[(first <= bounds) & (bounds <= end)] for first, end in ranges]
        return np.concatenate([each[:-1] for each in kept]), np.concatenate([each[1:] for each in kept])

    def _range_of_probability(self, lo: Pages, hi: Pages) -> tuple[Floats, Floats]:
        """Bound the probability within intervals that no piece begins or ends in: the extremes are at their ends."""
        least, most = np.ones(len(lo)), np.ones(len(lo))
        for piece, rows in self._rows(lo):
            first, last = piece.factor(lo[rows]), piece.factor(hi[rows] - np.uint64(1))
            least[rows] *= np.minimum(first, last)
            most[rows] *= np.maximum(first, last)
        return 1.0 - most, 1.0 - least


class Memory:
    """An address space with scripted activity.

    Attributes:
        areas: What is mapped, sorted by address, disjoint.
        tracks: The activities; where they overlap, they are independent of each other.
    """

    def __init__(self, areas: Sequence[AddrRange], tracks: Sequence[Track]) -> None:
        self.areas = tuple(areas)
        self.tracks = tuple(tracks)

    def at(self, time_us: int, interval_us: int) -> Moment:
        """Look at one sampling interval, which begins at a virtual time. Microseconds."""
        pieces = [_Piece(*each) for track in self.tracks for each in track.misses(time_us, interval_us)]
        return Moment(self.areas, pieces)

    def touch_probability(self, pages: Pages, times_us: range) -> Floats:
        """Give the probability that pages are accessed within sampling intervals in a row.

        The same as :meth:`at` says, quicker: what a track does in several intervals alike is worked out once.

        Args:
            pages: Page numbers, of the shape (intervals, any): in ascending order in each of the intervals.
            times_us: When each of the intervals begins; the step is their length. Microseconds.
        """
        miss = np.ones(pages.shape)
        lows, highs = np.minimum.reduce(pages), np.maximum.reduce(pages)
        for track in self.tracks:
            for rows, origins, exposure_us in track.runs(times_us):
                least, most = min(origins), max(origins)
                column = np.array(origins, np.uint64)[:, None]
                for _, first, end, factor in track.misses_of(0, exposure_us, times_us.step):
                    left, right = highs.searchsorted(np.uint64(first + least)), lows.searchsorted(np.uint64(end + most))
                    if left >= right:
                        continue
                    place = pages[rows, left:right] - column  # below the origin: beyond all ends
                    missed = factor(place.astype(np.float64)) if callable(factor) else factor
                    part = miss[rows, left:right]
                    within = place < end if not first else (place >= first) & (place < end)
                    np.multiply(part, missed, out=part, where=within)
        return np.subtract(1.0, miss, out=miss)

    def access_rates(self, pages: Pages, time_us: int, interval_us: int) -> Floats:
        """Give the accesses per second to be expected for each page (by number), on average over an interval.

        A track that moves stays where it is at the begin of the interval, as in a sample.
        """
        touches = np.zeros(len(pages))
        for track in self.tracks:
            touches += track.touches(pages, time_us, interval_us)
        return touches * (USEC_PER_SEC / interval_us)


def _halves(lo: Pages, hi: Pages) -> _Intervals:
    middle = lo + (hi - lo) // np.uint64(2)
    return np.column_stack([lo, middle]).ravel(), np.column_stack([middle, hi]).ravel()


def _joined(ranges: Sequence[tuple[int, int]]) -> list[AddrRange]:
    joined: list[tuple[int, int]] = []
    for first, end in ranges:
        if joined and joined[-1][1] == first:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return [AddrRange(first * PAGE_SIZE, end * PAGE_SIZE) for first, end in joined]
