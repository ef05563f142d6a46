"""Adaptive regions: age, merge, split, and fitting the regions to a changed address space.

Semantics of mm/damon/core.c. Each departure is named where it is made.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core.attrs import Attrs
from damond.core.regions import (
    MIN_REGION_SZ,
    MISSED_ALL,
    ROUNDING,
    AddrRange,
    Addrs,
    Counts,
    Region,
    Regions,
    align_down,
    align_up,
    evidence_of,
)
from damond.core.target import Target
from damond.errors import InvalidRegionError

_BP: Final = 10_000

_UINT_MAX: Final = 2**32 - 1

_SPLIT_STEPS: Final = 10
"""Regions are split at 1/10 to 9/10 of their size (damon_split_regions_of, Linux 5.15)."""


def nr_regions(targets: Sequence[Target]) -> int:
    """Count the regions of all targets."""
    return sum(len(target.regions) for target in targets)


def region_sz_limit(targets: Sequence[Target], min_nr_regions: int, min_region_sz: int = MIN_REGION_SZ) -> int:
    """Bytes that no region may grow above by merging (damon_region_sz_limit, Linux 5.15)."""
    total = sum(target.regions.total_sz for target in targets)
    return max(total // min_nr_regions if min_nr_regions else total, min_region_sz)


def evenly_split(whole: AddrRange, nr_pieces: int, min_region_sz: int = MIN_REGION_SZ) -> list[AddrRange]:
    """Cut a range into pieces of equal size; the last one absorbs the remainder.

    damon_va_evenly_split_region, Linux 5.15 (mm/damon/vaddr.c).

    Raises:
        InvalidRegionError: No pieces are asked for, or a piece would be smaller than ``min_region_sz``.
    """
    piece = align_down(whole.size // nr_pieces, min_region_sz) if nr_pieces > 0 else 0
    if piece == 0:
        raise InvalidRegionError(
            f"[{whole.start:#x}, {whole.end:#x}) can't be cut into {nr_pieces} pieces of {min_region_sz} bytes or more",
            hint="ask for fewer pieces, but one at least",
        )
    starts = range(whole.start, whole.end - piece + 1, piece)
    return [AddrRange(start, start + piece) for start in starts[:-1]] + [AddrRange(starts[-1], whole.end)]


def initial_regions(
    ranges: Sequence[AddrRange], min_nr_regions: int, min_region_sz: int = MIN_REGION_SZ
) -> list[AddrRange]:
    """Cut ranges so that about ``min_nr_regions`` pieces of equal size cover them all.

    __damon_va_init_regions, Linux 5.15: a range smaller than one piece stays whole.
    """
    piece = max(sum(each.size for each in ranges) // min_nr_regions, min_region_sz)
    pieces: list[AddrRange] = []
    for each in ranges:
        nr_pieces = each.size // piece
        pieces += evenly_split(each, nr_pieces, min_region_sz) if nr_pieces > 1 else [each]
    return pieces


def apply_min_nr_regions(
    targets: Sequence[Target],
    min_nr_regions: int,
    min_region_sz: int = MIN_REGION_SZ,
    window_samples: int | None = None,
) -> int:
    """Cut regions until none is larger than the least number of regions allows; return that size. Bytes.

    damon_apply_min_nr_regions, Linux 7.1: where older kernels only merge no further, a region that is large already
    (as after an update, or by the user's wish) is cut into pieces of exactly that size, and a rest.

    Args:
        targets: Whose regions.
        min_nr_regions: Of all targets together.
        min_region_sz: Alignment. Bytes.
        window_samples: As in :func:`cut`.
    """
    greatest = align_up(region_sz_limit(targets, min_nr_regions, min_region_sz), min_region_sz)
    for target in targets:
        size = target.regions.size
        nr_cuts = np.where(size > greatest, (size - np.uint64(1)) // np.uint64(greatest), 0).astype(np.int64)
        if nr_cuts.any():
            index = np.repeat(np.arange(len(size)), nr_cuts)
            number = np.arange(len(index)) - np.repeat(np.cumsum(nr_cuts) - nr_cuts, nr_cuts) + 1
            at = target.regions.start[index] + number.astype(np.uint64) * np.uint64(greatest)
            cut(target.regions, index, at, window_samples)
    return greatest


def age(regions: Regions, threshold: int | NDArray[np.float64], nr_samples: int) -> None:
    """Count for how many aggregations each region has kept its access frequency, before the merge.

    A change above ``threshold``, and one from or to no access at all, starts again at 0. The kernel does this
    within every merge pass, so that a repeated merge ages twice; here it is done once per aggregation.

    Args:
        regions: Changed in place.
        threshold: Accesses that two aggregations may differ by: one for all regions, or one for each.
        nr_samples: Samples of this aggregation: they add to those behind an age that goes on, and are all that is
            behind one that starts again. Those that missed a region are none of its.
    """
    changed = np.abs(regions.nr_accesses.astype(np.int64) - regions.last_nr_accesses) > threshold
    changed |= _came_or_went(regions)
    regions.age = np.where(changed, 0, regions.age + np.uint32(1)).astype(np.uint32)
    regions.nr_samples, regions.exposure = _behind(regions, changed, nr_samples)


def _came_or_went(regions: Regions) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (regions.nr_accesses == 0) != (regions.last_nr_accesses == 0)
    return found


def _behind(regions: Regions, changed: NDArray[np.bool_], nr_samples: int) -> tuple[Counts, NDArray[np.float64]]:
    """Say what stands behind regions after so many samples of an aggregation; only those, where that changes all.

    Returns:
        ``nr_samples`` and ``exposure``.
    """
    looked = np.maximum(nr_samples - regions.nr_missed, 0)
    number = np.where(changed, 0, regions.nr_samples.astype(np.int64)) + looked
    return np.minimum(number, _UINT_MAX).astype(np.uint32), np.where(changed, 0.0, regions.exposure) + looked


def samples_so_far(regions: Regions, window_samples: int) -> Counts:
    """Say how many samples stand behind the counts of an aggregation that is not finished."""
    return evidence_of(*_behind(regions, _came_or_went(regions), window_samples))


def merge(regions: Regions, threshold: int, sz_limit: int) -> None:
    """Join neighbours of about the same access frequency, in one pass from low to high addresses.

    damon_merge_regions_of, Linux 5.15: contiguous, at most ``threshold`` accesses apart (the grown region's
    average counts) and together at most ``sz_limit`` bytes. nr_accesses and age become averages by size.
    """
    if not _any_mergeable(regions, threshold, sz_limit):
        return
    columns = (regions.start, regions.end, regions.nr_accesses, regions.last_nr_accesses, regions.age)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    start, end, nr, last, years = next(rows)
    merged = []
    for r_start, r_end, r_nr, r_last, r_age in rows:
        if end == r_start and -threshold <= nr - r_nr <= threshold and r_end - start <= sz_limit:
            sz_l, sz = end - start, r_end - start
            if nr != r_nr:
                nr = (nr * sz_l + r_nr * (sz - sz_l)) // sz
            if years != r_age:
                years = (years * sz_l + r_age * (sz - sz_l)) // sz
            end = r_end
        else:
            merged.append((start, end, nr, last, years))
            start, end, nr, last, years = r_start, r_end, r_nr, r_last, r_age
    merged.append((start, end, nr, last, years))
    if len(merged) < len(regions):
        starts, ends, nrs, lasts, ages = map(list, zip(*merged, strict=True))
        number, exposure = merged_samples(regions, np.array(starts, np.uint64), np.array(ends, np.uint64))
        regions.assign(starts, ends, nrs, lasts, ages, nr_samples=number, exposure=exposure)


def _any_mergeable(regions: Regions, threshold: int, sz_limit: int) -> bool:
    """Say whether any two neighbours may be joined as they are: a walk that joins anything begins with such two."""
    counts = regions.nr_accesses.astype(np.int64)
    pairs = (regions.end[:-1] == regions.start[1:]) & (np.abs(np.diff(counts)) <= threshold)
    return bool((regions.end[1:][pairs] - regions.start[:-1][pairs] <= sz_limit).any())


def merged_samples(regions: Regions, start: Addrs, end: Addrs) -> tuple[Counts, NDArray[np.float64]]:
    """Say how many samples stand behind merged regions: by the part that was looked at least, for its size.

    The sum would say too much: 20 samples of a page and 20 of a gibibyte are no 40 samples of both.

    Returns:
        ``nr_samples`` and ``exposure``.
    """
    first, size = regions.start.searchsorted(start), end - start
    number, exposure = (
        np.minimum.reduceat(each / regions.size, first) * size for each in (regions.nr_samples, regions.exposure)
    )
    # By the quotient and back may lose the last bit, hence the rounding before the floor.
    return np.minimum(np.floor(number + ROUNDING), _UINT_MAX).astype(np.uint32), exposure


def merge_targets(
    targets: Sequence[Target], threshold: int, sz_limit: int, max_nr_regions: int, max_threshold: int
) -> None:
    """Merge the regions of all targets; while more than ``max_nr_regions`` remain, again with twice the threshold.

    kdamond_merge_regions, Linux 6.11.
    """
    while True:
        for target in targets:
            merge(target.regions, threshold, sz_limit)
        threshold = max(1, 2 * threshold)
        if nr_regions(targets) <= max_nr_regions or threshold // 2 >= max_threshold:
            return


def split_at(regions: Regions, index: int, sz: int) -> None:
    """Cut one region in two, ``sz`` bytes behind its start; both keep counters and age (damon_split_region_at)."""
    at = np.array([int(regions.start[index]) + sz], np.uint64)
    cut(regions, np.array([index]), at)


def cut(regions: Regions, index: NDArray[np.intp], at: Addrs, window_samples: int | None = None) -> None:
    """Cut ``regions[index]`` at the addresses ``at``, which lie inside; an index may occur more than once.

    All pieces keep counters and age, and share the samples behind them.

    Args:
        regions: Changed in place.
        index: Which regions.
        at: Where. Bytes.
        window_samples: As how many samples those of the aggregation under way count, which may be 0: those that looked
            at a region are shared by its pieces. None between two aggregations.
    """
    order = np.argsort(at, kind="stable")
    index, at = index[order], at[order]
    behind, size = _shared_samples(regions, index, at), regions.size
    regions.assign(
        np.insert(regions.start, index + 1, at),
        np.insert(regions.end, index, at),
        np.insert(regions.nr_accesses, index, regions.nr_accesses[index]),
        np.insert(regions.last_nr_accesses, index, regions.last_nr_accesses[index]),
        np.insert(regions.age, index, regions.age[index]),
        np.insert(regions.sampling_addr, index, regions.sampling_addr[index]),
        behind,
        np.insert(regions.nr_missed, index, regions.nr_missed[index]),
        np.insert(regions.exposure, index, regions.exposure[index]),
    )
    share = regions.size / np.insert(size, index, size[index])
    regions.exposure *= share
    if window_samples is not None:
        regions.recount(window_samples, window_samples, share)


def _shared_samples(regions: Regions, index: NDArray[np.intp], at: Addrs) -> Counts:
    """Share the samples behind regions that are cut among the pieces, by size; together they keep them all.

    Args:
        regions: Before the cut.
        index: As in :func:`cut`, sorted by ``at``.
        at: As in :func:`cut`, sorted.
    """
    share, rows = regions.nr_samples.astype(np.float64), np.arange(len(regions))
    up_to = np.insert(share, index, np.floor(share[index] * ((at - regions.start[index]) / regions.size[index])))
    before = np.concatenate([[0.0], up_to[:-1]])
    before[rows + index.searchsorted(rows)] = 0.0  # the first piece of each
    shared: Counts = (up_to - before).astype(np.uint32)
    return shared


def split(
    regions: Regions,
    nr_subs: int,
    rng: np.random.Generator,
    min_region_sz: int = MIN_REGION_SZ,
    rows: NDArray[np.intp] | None = None,
) -> None:
    """Cut every region at a random place, ``nr_subs - 1`` times; the left piece is what is cut again.

    damon_split_regions_of, Linux 5.15: a region of at most two minimal ones stays whole, and a cut that would
    leave an empty piece uses up its attempt.

    Args:
        regions: Changed in place.
        nr_subs: Pieces to make of each.
        rng: Chance.
        min_region_sz: Alignment. Bytes.
        rows: Which regions; None is all.
    """
    remaining = regions.size
    if rows is not None:
        others = np.ones(len(regions), np.bool_)
        others[rows] = False
        remaining[others] = 0
    index, at = [], []
    for _ in range(nr_subs - 1):
        tenths = rng.integers(1, _SPLIT_STEPS, size=len(regions), dtype=np.uint64)
        # In two parts: the product of all would overflow from 2^61 bytes on.
        tenth, rest = np.divmod(remaining, np.uint64(_SPLIT_STEPS))
        sub = tenth * tenths + rest * tenths // np.uint64(_SPLIT_STEPS)
        sub -= sub % np.uint64(min_region_sz)
        chosen = np.flatnonzero((remaining > 2 * min_region_sz) & (sub > 0) & (sub < remaining))
        index.append(chosen)
        at.append(regions.start[chosen] + sub[chosen])
        remaining[chosen] = sub[chosen]
    if sum(map(len, index)):
        cut(regions, np.concatenate(index), np.concatenate(at))


class Splitter:
    """Splits the regions of a context once per aggregation, and remembers how many there were.

    kdamond_split_regions, Linux 5.15, but for its memory of the last count, which is shared by all contexts there.
    """

    def __init__(self, rng: np.random.Generator, min_region_sz: int = MIN_REGION_SZ) -> None:
        self._rng = rng
        self._min_region_sz = min_region_sz
        self._last_nr_regions = 0

    def split(self, targets: Sequence[Target], max_nr_regions: int) -> None:
        """Cut every region in two, or in three where the last cut changed nothing and there is room.

        Nothing is cut above half of ``max_nr_regions``, so the number stays at most that.
        """
        count = nr_regions(targets)
        if count > max_nr_regions // 2:
            return
        stuck = count == self._last_nr_regions and count < max_nr_regions // 3
        for target in targets:
            split(target.regions, 3 if stuck else 2, self._rng, self._min_region_sz)
        self._last_nr_regions = count


def convert_results(regions: Regions, old: Attrs, new: Attrs, window_samples: int = 0) -> None:
    """Express counters and ages in new intervals, so that results survive a change of attributes.

    damon_update_monitoring_result, Linux 6.3: by way of 1/10,000 of the possible accesses, rounded down; but not
    where the number of samples stays, as it does when intervals are tuned: that would take one of thirty away each
    time. Ages are rounded to the nearest: rounded down, each of many small changes would take up to an aggregation.

    Samples count for as long as they have seen: shorter ones for less (those of the aggregation under way for good,
    those before it until the intervals are as short again). Where a count is rounded down to nothing, none of the
    samples that it is of stand behind that.

    Args:
        regions: Changed in place.
        old: The attributes before.
        new: Those from now on.
        window_samples: Samples of the aggregation under way, by the old attributes.
    """
    worth = min(1.0, old.sample_interval / new.sample_interval)
    counted, counted_last = regions.nr_accesses > 0, regions.last_nr_accesses > 0
    if old.samples_per_aggr != new.samples_per_aggr:
        for name in ("nr_accesses", "last_nr_accesses"):
            share_bp = getattr(regions, name).astype(np.uint64) * np.uint64(_BP) // np.uint64(old.samples_per_aggr)
            setattr(regions, name, (share_bp * np.uint64(new.samples_per_aggr) // np.uint64(_BP)).astype(np.uint32))
    age_us = regions.age.astype(np.uint64) * np.uint64(old.aggr_interval) + np.uint64(new.aggr_interval // 2)
    regions.age = (age_us // np.uint64(new.aggr_interval)).astype(np.uint32)
    is_lost = counted & (regions.nr_accesses == 0)
    samples = window_samples * new.samples_per_aggr // old.samples_per_aggr
    regions.recount(window_samples, samples, np.where(is_lost, 0.0, worth))
    is_lost |= counted_last & (regions.last_nr_accesses == 0)
    regions.nr_samples = np.where(is_lost, np.uint32(0), regions.nr_samples)
    regions.exposure = np.where(is_lost, 0.0, regions.exposure * (old.sample_interval / new.sample_interval))


def set_ranges(
    regions: Regions, ranges: Sequence[AddrRange], min_region_sz: int = MIN_REGION_SZ, window_samples: int = 0
) -> None:
    """Fit the regions to changed ranges: what lies outside goes, what is new comes, the rest keeps its results.

    damon_set_regions, Linux 6.1 (5.15 has it as damon_va_apply_three_regions and leaves inner holes). The first and
    the last region that meet a range are stretched or cut to its bounds; holes between are filled.

    Args:
        regions: Changed in place.
        ranges: Sorted by address and disjoint. Bytes; bounds are aligned outwards to ``min_region_sz``.
        min_region_sz: Alignment. Bytes.
        window_samples: Samples of the aggregation under way: what is left of a region has its share of them.

    Raises:
        InvalidRegionError: The ranges are unsorted or overlap once they are aligned.
    """
    rows: list[Region] = []
    old = list(regions)
    position = 0
    for wanted in Regions(
        AddrRange(align_down(r.start, min_region_sz), align_up(r.end, min_region_sz)) for r in ranges
    ):
        while position < len(old) and old[position].end <= wanted.start:
            position += 1
        inside = []
        while position < len(old) and old[position].start < wanted.end:
            inside.append(old[position])
            position += 1
        rows += _fit(inside, wanted, window_samples)
    regions.assign_rows(rows)


def _fit(inside: list[Region], wanted: Region, window_samples: int) -> list[Region]:
    """Make the regions that meet one range cover exactly that range."""
    if not inside:
        return [replace(wanted, nr_missed=MISSED_ALL)]
    rows: list[Region] = []
    for row in inside:
        start = row.start if rows else wanted.start
        if rows and rows[-1].end < start:
            rows.append(Region(rows[-1].end, start, nr_missed=MISSED_ALL))
        rows.append(_resized(row, start, row.end, window_samples))
    rows[-1] = _resized(rows[-1], rows[-1].start, wanted.end, window_samples)
    return rows


def _resized(row: Region, start: int, end: int, window_samples: int) -> Region:
    """Give a region other bounds: what is left of its samples is its share; nothing, if there is memory new to it."""
    grown = start < row.start or end > row.end
    if grown:
        return replace(row, start=start, end=end, nr_samples=0, exposure=None, nr_missed=MISSED_ALL)
    size, whole = end - start, row.end - row.start
    missed = row.nr_missed
    if missed < MISSED_ALL // 2:
        missed = window_samples - (window_samples - missed) * size // whole
    exposure = (row.nr_samples if row.exposure is None else row.exposure) * size / whole
    number = row.nr_samples * size // whole
    return replace(row, start=start, end=end, nr_samples=number, exposure=exposure, nr_missed=missed)
