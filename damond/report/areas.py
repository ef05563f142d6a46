"""Which addresses to draw: the rest is folded, never drawn as if it were memory."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.core import AddrRange
from damond.report.profile import Profile

GAP_SHARE: Final = 0.05
"""A gap that is wider than this share of what is drawn is folded: half a row of a picture of ten."""

HOT_SHARE: Final = 0.25
"""Hot is what was, at its best time, a quarter as hot as the hottest."""

MAX_AREAS: Final = 32
"""More areas than this are no picture but a list. Of more gaps the narrower ones are drawn, as not monitored."""

MAX_HOT_AREAS: Final = 4
"""More areas than this leave none of them large enough to see anything in."""

_MARGIN: Final = 8
"""A hot area is drawn with an eighth of its size around it, so that its edges show."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Addresses that are not drawn.

    Attributes:
        size: Bytes of address space.
        monitored: How much of that was monitored, but is not worth drawing. Bytes.
    """

    size: int
    monitored: int = 0


def contiguous(profile: Profile) -> list[AddrRange]:
    """List the runs of pieces that have no gap between them."""
    if not len(profile):
        return []
    breaks = np.flatnonzero(profile.end[:-1] != profile.start[1:])
    start = profile.start[np.concatenate([[0], breaks + 1])].tolist()
    end = profile.end[np.append(breaks, len(profile) - 1)].tolist()
    return [AddrRange(*bounds) for bounds in zip(start, end, strict=True)]


def whole(profile: Profile) -> list[AddrRange]:
    """Draw everything that was monitored; gaps wider than ``GAP_SHARE`` of it are left out."""
    runs = contiguous(profile)
    gaps = sorted((right.start - left.end for left, right in itertools.pairwise(runs)), reverse=True)
    widest_drawn = max([GAP_SHARE * sum(run.size for run in runs), *gaps[MAX_AREAS - 1 : MAX_AREAS]])
    return _joined(runs, lambda left, right: right.start - left.end <= widest_drawn)


def hot_places(peak: Profile) -> list[AddrRange]:
    """Tell where the accesses were; everything, if nothing was accessed.

    Places that are nearer to each other than they are large are one area, unless a wide gap is between.
    """
    hot = (peak.heat > 0) & (peak.heat >= HOT_SHARE * peak.heat.max(initial=0))
    if not hot.any():
        return whole(peak)
    places = contiguous(Profile(peak.start[hot], peak.end[hot], peak.accessed[hot], peak.weight[hot]))
    areas = [area for run in whole(peak) for area in _joined(_within(places, run), _near)]
    return most_accessed(peak, areas, MAX_HOT_AREAS)


def hottest(peak: Profile) -> list[AddrRange]:
    """Draw where the accesses were, with a margin."""
    runs = whole(peak)
    padded = [_with_margin(area, runs) for area in hot_places(peak)]
    return _joined(padded, lambda left, right: right.start <= left.end)


def most_accessed(peak: Profile, areas: Sequence[AddrRange], max_areas: int) -> list[AddrRange]:
    """Choose at most so many areas, those with the most accesses; in the order of their addresses."""
    return sorted(sorted(areas, key=lambda area: _accessed(peak, area), reverse=True)[:max_areas])


def folds(peak: Profile, areas: Sequence[AddrRange]) -> tuple[Fold, ...]:
    """Say what is left out before each area and behind the last; a size of 0 is nothing."""
    runs = contiguous(peak)
    edges = [runs[0].start, *itertools.chain(*((area.start, area.end) for area in areas)), runs[-1].end]
    return tuple(_fold(peak, start, end) for start, end in zip(edges[::2], edges[1::2], strict=True))


def monitored_in(peak: Profile, start: int, end: int) -> float:
    """Count the bytes that were monitored between two addresses."""
    _, monitored = peak.integrate(np.array([start, end], np.uint64))
    return float(monitored[0])


def distribute(total: int, sizes: Sequence[int]) -> list[int]:
    """Share ``total`` rows out by size, at least one each, the largest remainders first."""
    free = max(total - len(sizes), 0)
    exact = [free * size / sum(sizes) for size in sizes]
    rows = [1 + int(each) for each in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: exact[i] - int(exact[i]), reverse=True)
    for index in by_remainder[: free - sum(map(int, exact))]:
        rows[index] += 1
    return rows


def _within(ranges: Sequence[AddrRange], run: AddrRange) -> list[AddrRange]:
    return [each for each in ranges if run.start <= each.start < run.end]


def _near(left: AddrRange, right: AddrRange) -> bool:
    return right.start - left.end <= left.size + right.size


def _joined(ranges: Sequence[AddrRange], near: Callable[[AddrRange, AddrRange], bool]) -> list[AddrRange]:
    """Join neighbours that are near to each other, until none are."""
    joined: list[AddrRange] = []
    for each in ranges:
        last = each
        while joined and near(joined[-1], last):
            first = joined.pop()
            last = AddrRange(first.start, max(first.end, last.end))
        joined.append(last)
    return joined


def _with_margin(area: AddrRange, runs: Sequence[AddrRange]) -> AddrRange:
    """Widen an area, but not beyond what was monitored around it."""
    margin = area.size // _MARGIN
    lower = max(run.start for run in runs if run.start <= area.start)
    upper = min(run.end for run in runs if run.end >= area.end)
    return AddrRange(max(area.start - margin, lower), min(area.end + margin, upper))


def _fold(peak: Profile, start: int, end: int) -> Fold:
    return Fold(end - start, round(monitored_in(peak, start, end))) if start < end else Fold(0)


def _accessed(peak: Profile, area: AddrRange) -> float:
    accessed, _ = peak.integrate(np.array([area.start, area.end], np.uint64))
    return float(accessed[0])
