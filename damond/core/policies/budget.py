"""The policy ``budget``: checks go where they tell most."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from damond.core import adaptation
from damond.core.context import Context
from damond.core.policies.alike import Alike, borders
from damond.core.policy import Policy
from damond.core.regions import Regions

_FINEST: Final = 1 / 64
"""The pieces that lie at a border, as a part of the smaller one of its two sides."""

_DOUBLINGS: Final = 2.0 ** np.arange(20)
"""By how much the pieces farther away are larger."""

_IDLE_WATCH: Final = 0.8
"""Part of the regions that watch where nothing is found, and a budget bounds what that costs."""

_FIRST: Final = 1e300
"""What a cut is worth that comes before all others."""

Cuts = tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]
"""Which region, at which address, and what it is worth; columns of equal length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetOptions:
    """Options of the policy.

    Attributes:
        watch: Part of the regions that watch all memory evenly, 0 to 1. While nothing is found, and a budget bounds
            what that costs, it is 0.8 at least.
        deviations: How many standard deviations two counts must differ by to be told apart.
    """

    watch: float = 0.25
    deviations: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.watch <= 1:
            raise ValueError(f"watch = {self.watch}: must be from 0 to 1")
        if self.deviations < 0:
            raise ValueError(f"deviations = {self.deviations}: must not be negative")


class BudgetPolicy(Policy):
    """Join what differs by chance only; cut finely where neighbours differ, and coarsely everywhere else.

    A part of the regions watches all memory evenly, so that heat is seen wherever it comes up. The rest looks for the
    borders between what differs, in pieces that are the smaller the nearer they lie to it: an aggregation narrows a
    border down to 1/64, where a cut at random halves it at best, and pieces that turn out to be alike are joined
    again. Cut, too, is where the variance is, size times standard deviation (Neyman's allocation of samples to strata).
    """

    name: ClassVar[str] = "budget"
    Options: ClassVar[type] = BudgetOptions

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._threshold = 0

    def merge(self, ctx: Context, max_nr_accesses: int, sz_limit: int) -> None:
        """Age and join; while there are more regions than allowed, with ever wider limits."""
        samples = ctx.window_samples
        self._threshold = threshold = max_nr_accesses // 10
        deviations: float = self.options.deviations
        alike = Alike(samples, threshold, deviations)
        for target in ctx.targets:
            regions = target.regions
            adaptation.age(regions, alike.limits(regions.nr_accesses, regions.last_nr_accesses), samples)
            alike.merge(regions, sz_limit)
        while ctx.nr_regions > ctx.region_budget and threshold < samples:
            threshold, deviations = max(1, 2 * threshold), 2 * deviations
            alike = Alike(samples, threshold, deviations, split_idle=False)
            for target in ctx.targets:
                alike.merge(target.regions, sz_limit)

    def split(self, ctx: Context) -> None:
        """Cut; if there is not room for all cuts, each has the chance that it is worth."""
        room = ctx.region_budget - ctx.nr_regions
        if room <= 0 or not ctx.targets:
            return
        samples = ctx.attrs.samples_per_aggr
        total = sum(target.regions.total_sz for target in ctx.targets)
        # As in the kernel, two minimal regions are not told apart without a reason.
        greatest = max(total / max(self._watching(ctx) * ctx.region_budget, 1), 2.0 * ctx.min_region_sz)
        found = [self._cuts(target.regions, samples, greatest, ctx) for target in ctx.targets]
        worth = np.concatenate([each[2] for each in found])
        drawn = _drawn(worth, room, ctx.rng)
        begin = 0
        for target, (index, at, value) in zip(ctx.targets, found, strict=True):
            kept = drawn[begin : begin + len(value)]
            begin += len(value)
            if kept.any():
                places, first = np.unique(at[kept], return_index=True)
                adaptation.cut(target.regions, index[kept][first], places.astype(np.uint64))

    def _watching(self, ctx: Context) -> float:
        """Give the part of the regions that watch: nearly all of them, while there is nothing else to do."""
        found = any(target.regions.last_nr_accesses.any() for target in ctx.targets)
        watch: float = self.options.watch
        return watch if found or ctx.budget is None else max(watch, _IDLE_WATCH)

    def _cuts(self, regions: Regions, samples: int, greatest: float, ctx: Context) -> Cuts:
        size = regions.size.astype(np.float64)
        alike = Alike(samples, self._threshold, self.options.deviations)
        found = [_to_borders(regions, alike, samples, ctx.rng), _evenly(regions, greatest, ctx.rng)]
        accessed = regions.last_nr_accesses > 0  # where nothing is, watching is enough
        rows = np.flatnonzero(accessed & (size <= greatest) & (size > 2 * ctx.min_region_sz))
        found.append(_by_variance(regions, samples, rows, ctx.rng))
        index, at, worth = (np.concatenate(column) for column in zip(*found, strict=True))
        at = at // ctx.min_region_sz * ctx.min_region_sz
        inside = (at > regions.start[index]) & (at < regions.end[index])
        return index[inside], at[inside], worth[inside]


def _drawn(worth: NDArray[np.float64], room: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw some without replacement, each with a chance in proportion to what it is worth (by Gumbel's trick).

    Nobody remembers what was cut in vain: were it always those worth most, the coarse pieces far from a border would be
    cut again and again, and the fine ones beside it never.
    """
    drawn = np.ones(len(worth), np.bool_)
    if len(worth) > room:
        with np.errstate(divide="ignore"):
            key = np.log(worth) + rng.gumbel(size=len(worth))
        drawn[np.argpartition(-key, room)[room:]] = False
    return drawn


def _to_borders(regions: Regions, alike: Alike, samples: int, rng: np.random.Generator) -> Cuts:
    """Cut both sides of every border in pieces that become twice as large with each step away from it.

    Worth what would be known better: the difference, as a share, times the bytes between the cut and the border.
    """
    left = borders(regions, alike)
    size, nr = regions.size.astype(np.float64), regions.last_nr_accesses.astype(np.float64)
    border = regions.end[left].astype(np.float64)[:, None]
    difference = np.abs(nr[left] - nr[left + 1])[:, None] / samples
    finest = np.minimum(size[left], size[left + 1]) * _FINEST
    columns = []
    for side, direction in ((left, -1), (left + 1, 1)):
        distance = (finest * rng.uniform(0.7, 1.4, len(side)))[:, None] * _DOUBLINGS
        kept = distance < 0.7 * size[side][:, None]
        index = np.broadcast_to(side[:, None], kept.shape)[kept]
        columns.append((index, (border + direction * distance)[kept], (difference * distance)[kept]))
    return _joined(columns)


def _evenly(regions: Regions, greatest: float, rng: np.random.Generator) -> Cuts:
    """Cut what is larger than that evenly, at another offset each time; this comes first."""
    size = regions.size.astype(np.float64)
    nr_pieces = np.ceil(size / greatest).astype(np.intp)
    nr_pieces[nr_pieces < 2] = 0  # noqa: PLR2004 - one piece is no cut
    index = np.repeat(np.arange(len(size)), nr_pieces)
    number = np.arange(len(index)) - np.repeat(np.cumsum(nr_pieces) - nr_pieces, nr_pieces)
    offset = rng.random(len(size))[index]
    at = regions.start[index].astype(np.float64) + (number + offset) * (size / np.maximum(nr_pieces, 1))[index]
    return index, at, _FIRST * (1 + rng.random(len(index)))


def _by_variance(regions: Regions, samples: int, rows: NDArray[np.intp], rng: np.random.Generator) -> Cuts:
    """Cut regions once, anywhere; worth their size times the standard deviation of one check in them."""
    size, nr = regions.size[rows].astype(np.float64), regions.last_nr_accesses[rows].astype(np.float64)
    share = (nr + 0.5) / (samples + 1)
    at = regions.start[rows].astype(np.float64) + size * rng.uniform(0.1, 0.9, len(rows))
    return rows, at, size * np.sqrt(share * (1 - share))


def _joined(columns: list[Cuts]) -> Cuts:
    index, at, worth = (np.concatenate(column) for column in zip(*columns, strict=True))
    return index, at, worth
