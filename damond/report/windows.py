"""Many windows at once, as columns: reports over a day can't look at snapshots one by one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from damond.core.confidence import is_cold
from damond.core.mappings import Mappings, MapsOverTime, Pieces, unmixed
from damond.core.regions import Addrs, Counts
from damond.record.columns import Block

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

_SAME_WINDOW: Final = 0.5
"""A window that begins later than the one before ended, but by less than this share of itself, has no gap before it:
it took that long to sum up the one before."""

_PER_WINDOW: Final = (
    "start_ns",
    "end_ns",
    "max_nr_accesses",
    "sample_us",
    "aggr_us",
    "granularity",
    "seq",
    "min_nr_regions",
    "max_nr_regions",
    "missed",
    "sampled_bytes",
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TargetRegions:
    """The regions of one target in many windows: window by window, and sorted by address in each.

    Attributes:
        window: Row of the window of each region.
        start: First address. Bytes.
        end: First address behind. Bytes.
        heat: Share of the window's samples that found an access, 0 to 1.
        nr_accesses: The samples that did.
        age: Aggregations for which that has been about the same.
        nr_samples: Samples that stand behind that; 0 where it is not known.
    """

    window: Rows
    start: Addrs
    end: Addrs
    heat: Floats
    nr_accesses: Counts
    age: Counts
    nr_samples: Counts

    def __len__(self) -> int:
        return len(self.window)

    @property
    def size(self) -> Floats:
        """Bytes of each region; exact below 2**53."""
        return (self.end - self.start).astype(np.float64)

    def take(self, rows: Any) -> Self:
        """Leave some of the rows."""
        return replace(self, **{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    def cut(self, mappings: Mappings) -> Self:
        """Leave of each region what is mapped, as :meth:`damond.report.Mappings.cut` does."""
        cut = mappings.pieces(self.start, self.end)
        if cut is None:
            return self
        pieces = self.take(cut.region)
        found = np.rint(unmixed(self.nr_accesses, cut.region, cut.end - cut.start, self.end - self.start))
        some = pieces.heat > 0  # no more accesses than samples
        found[some] = np.minimum(found[some], np.rint(pieces.nr_accesses[some] / pieces.heat[some]))
        share = np.divide(found, pieces.nr_accesses, out=np.ones(len(found)), where=pieces.nr_accesses > 0)
        return replace(
            pieces,
            start=cut.start,
            end=cut.end,
            heat=np.minimum(pieces.heat * share, 1.0),
            nr_accesses=found.astype(self.nr_accesses.dtype),
            nr_samples=self._shared_samples(cut),
        )

    def _shared_samples(self, cut: Pieces) -> Counts:
        """Share samples by size, as when regions are split."""
        size = (cut.end - cut.start).astype(np.float64)
        shared: Counts = (self.nr_samples[cut.region] * (size / self.size[cut.region])).astype(np.uint32)
        return shared


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Windows:
    """Neighbouring windows of one context, in the order in which they came.

    Windows without any sample are no windows: nothing is known of them.

    Attributes:
        start_ns: Begin of each window. Nanoseconds, Unix time.
        end_ns: End of each window.
        max_nr_accesses: Samples in it.
        sample_us: Sampling interval. Microseconds.
        aggr_us: Aggregation interval asked for. Microseconds.
        granularity: Bytes that one check looks at; 0 is the whole mapping.
        seq: Number of the window since the worker began.
        min_nr_regions: Least number of regions.
        max_nr_regions: Greatest number of regions.
        partial: The monitoring ended before the window was full.
        missed: Windows that were lost just before this one.
        sampled_bytes: Size of the largest region that was sampled as one; 0 where that is not known.
        restarted: The worker is another one than before.
        targets: Target id -> its regions.
        nr_empty: Windows without any sample, which are not among them.
    """

    start_ns: Ints
    end_ns: Ints
    max_nr_accesses: Ints
    sample_us: Ints
    aggr_us: Ints
    granularity: Ints
    seq: Ints
    min_nr_regions: Ints
    max_nr_regions: Ints
    partial: Bools
    missed: Ints
    sampled_bytes: Ints
    restarted: Bools
    targets: Mapping[int, TargetRegions]
    nr_empty: int = 0

    @classmethod
    def of(cls, block: Block) -> Self:
        """Take the snapshots of a block; those without any sample are left out."""
        numbers: dict[str, Any] = {name: block.column(name) for name in _PER_WINDOW}
        whole = cls(
            **numbers,
            partial=block.column("partial") != 0,
            restarted=block.column("restarted") != 0,
            targets=_targets(block),
        )
        there = whole.max_nr_accesses > 0
        return replace(whole.take(there), nr_empty=int(np.count_nonzero(~there)))

    def __len__(self) -> int:
        return len(self.start_ns)

    @property
    def span_ns(self) -> Ints:
        """Length of each window, at least 1. Nanoseconds."""
        span_ns: Ints = np.maximum(self.end_ns - self.start_ns, 1)
        return span_ns

    @property
    def adapting(self) -> Bools:
        """Whether regions may still be as coarse as they were made: splitting doubles their number at least."""
        ratio = self.max_nr_regions / np.maximum(self.min_nr_regions, 1)
        nr_windows: Floats = np.ceil(np.log2(np.maximum(ratio, 1.0)))
        return self.seq < nr_windows

    @property
    def total_bytes(self) -> Floats:
        """Bytes that were monitored in each window, of all targets."""
        total = np.zeros(len(self))
        for regions in self.targets.values():
            total += np.bincount(regions.window, regions.size, len(self))
        return total

    def unseen(self, regions: TargetRegions) -> Bools:
        """Say which regions of a target show no access without being known to be cold (:mod:`damond.core.confidence`).

        None is, where the record does not say how many samples stand behind regions.
        """
        unseen: Bools = np.zeros(len(regions), np.bool_)
        rows = np.flatnonzero(regions.nr_accesses == 0)
        idle = regions.take(rows)
        cold = is_cold(idle.size, idle.nr_accesses, idle.nr_samples, self.total_bytes[idle.window])
        unseen[rows] = ~cold
        if not idle.nr_samples.all():
            unseen &= self._told()[regions.window]
        return unseen

    def _told(self) -> Bools:
        """Whether a window says how many samples stand behind its regions."""
        told = np.zeros(len(self), np.bool_)
        for each in self.targets.values():
            told[each.window[each.nr_samples > 0]] = True
        return told

    def newest(self) -> Self:
        """Leave the last window."""
        last = len(self) - 1
        rest = {name: getattr(self, name)[last:] for name in (*_PER_WINDOW, "partial", "restarted")}
        targets = {}
        for target_id, regions in self.targets.items():
            left = regions.take(slice(int(np.searchsorted(regions.window, last)), len(regions)))
            targets[target_id] = replace(left, window=np.zeros(len(left), np.intp))
        return replace(self, **rest, targets=targets)

    def take(self, keep: Bools) -> Self:
        """Leave some of the windows."""
        if keep.all():
            return self
        number = np.cumsum(keep) - 1
        targets = {}
        for target_id, regions in self.targets.items():
            rows = keep[regions.window]
            left = regions.take(rows)
            targets[target_id] = replace(left, window=number[left.window])
        rest = {name: getattr(self, name)[keep] for name in (*_PER_WINDOW, "partial", "restarted")}
        return replace(self, **rest, targets=targets)

    def joined_to(self, before_ns: int | None) -> Self:
        """Have windows begin where the one before ended, if that was only just before.

        Args:
            before_ns: End of the window before the first; None if there is none.
        """
        if not len(self):
            return self
        before = np.concatenate([[self.start_ns[0] if before_ns is None else before_ns], self.end_ns[:-1]])
        pause = self.start_ns - before
        near = (pause > 0) & (pause < _SAME_WINDOW * self.span_ns)
        return replace(self, start_ns=np.where(near, before, self.start_ns)) if near.any() else self

    def cut(self, maps: MapsOverTime) -> Self:
        """Leave of every target what was mapped at the time; one whose mappings are not known stays whole."""
        if not len(self):
            return self
        first_ns, last_ns = int(self.end_ns[0]), int(self.end_ns.max()) + 1
        targets = dict(self.targets)
        for target_id, regions in self.targets.items():
            versions = maps.between(target_id, first_ns, last_ns)
            targets[target_id] = self._cut(regions, versions) if versions else regions
        return replace(self, targets=targets)

    def _cut(self, regions: TargetRegions, versions: Sequence[tuple[int, Mappings]]) -> TargetRegions:
        end_ns = np.maximum.accumulate(self.end_ns)
        first = np.searchsorted(end_ns, [time_ns for time_ns, _ in versions[1:]])
        rows = np.searchsorted(regions.window, [0, *first.tolist(), len(self)]).tolist()
        stretches = zip(rows[:-1], rows[1:], versions, strict=True)
        return joined([regions.take(slice(lo, hi)).cut(mappings) for lo, hi, (_, mappings) in stretches if lo < hi])


def joined(parts: Sequence[TargetRegions]) -> TargetRegions:
    """Put regions of one target together, in order."""
    if len(parts) == 1:
        return parts[0]
    names = [each.name for each in fields(TargetRegions)]
    kinds = {"window": np.intp, "start": np.uint64, "end": np.uint64, "heat": np.float64}
    return TargetRegions(
        **{
            name: np.concatenate([np.zeros(0, kinds.get(name, np.uint32)), *(getattr(each, name) for each in parts)])
            for name in names
        }
    )


def _targets(block: Block) -> dict[int, TargetRegions]:
    """Sort the regions by target; that there is but one is usual, and free."""
    ids = block.part_target
    nr_regions = np.diff(block.part_first)
    window = np.repeat(block.part_snapshot, nr_regions)
    samples = np.maximum(block.column("max_nr_accesses"), 1).astype(np.float64)[window]
    everything = TargetRegions(
        window=window,
        start=block.start,
        end=block.start + block.size,
        heat=np.minimum(block.nr_accesses / samples, 1.0),
        nr_accesses=block.nr_accesses,
        age=block.age,
        nr_samples=block.nr_samples,
    )
    known = np.unique(ids)
    if len(known) == 1:
        return {int(known[0]): everything}
    of_target = np.repeat(ids, nr_regions)
    order = np.argsort(of_target, kind="stable")
    bounds = np.searchsorted(of_target[order], [*known.tolist(), known[-1] + 1] if len(known) else [])
    rows = zip(known.tolist(), bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    return {each: everything.take(order[lo:hi]) for each, lo, hi in rows}
