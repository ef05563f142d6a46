"""Monitoring regions: as columns in the engine, as values in the hands of people."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from damond.errors import InvalidRegionError
from damond.units import PAGE_SIZE

MIN_REGION_SZ: Final = PAGE_SIZE
"""The least size of a region, and the alignment of all (DAMON_MIN_REGION). Bytes."""

MISSED_ALL: Final = 2**62
"""Samples that an aggregation never has: so many are missed by what has come in the course of it."""

ROUNDING: Final = 1e-6
"""What a product of whole numbers and parts may lose by rounding, before it is rounded down."""

_AHEAD: Final = 2**15
"""Sampling addresses that are chosen at once for passes to come: 256 KiB."""

ADDRESS_LIMIT: Final = 2**64
"""Addresses are below this: they are columns of uint64."""

Addrs = NDArray[np.uint64]
Counts = NDArray[np.uint32]
Missed = NDArray[np.int64]


@dataclass(frozen=True, slots=True, order=True)
class AddrRange:
    """A half-open range of addresses ``[start, end)``. Bytes.

    Raises:
        InvalidRegionError: The range is empty, negative or beyond all addresses.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end < ADDRESS_LIMIT:
            raise InvalidRegionError(
                f"[{self.start:#x}, {self.end:#x}) is no address range",
                hint="start must be below end, and both from 0 to 2**64 - 1",
            )

    @property
    def size(self) -> int:
        """Bytes in the range."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Region:
    """One row of :class:`Regions`, as a value (``struct damon_region``).

    Attributes:
        start: First address. Bytes.
        end: First address behind the region. Bytes.
        nr_accesses: In how many samples of this aggregation the region was found accessed.
        age: For how many aggregations the access frequency has been about the same.
        last_nr_accesses: ``nr_accesses`` of the aggregation before.
        sampling_addr: The address that the next access check looks at.
        nr_samples: How many samples stand behind ``nr_accesses`` and ``age``; see :class:`Regions`.
        nr_missed: How many samples of this aggregation did not look at the region; see :class:`Regions`.
        exposure: See :class:`Regions`; None is that all samples were as long as now.
    """

    start: int
    end: int
    nr_accesses: int = 0
    age: int = 0
    last_nr_accesses: int = 0
    sampling_addr: int = 0
    nr_samples: int = 0
    nr_missed: int = 0
    exposure: float | None = None

    @property
    def ar(self) -> AddrRange:
        """The address range (the kernel's name)."""
        return AddrRange(self.start, self.end)


def align_down(value: int, alignment: int) -> int:
    """Round down to a multiple of ``alignment``."""
    return value // alignment * alignment


def align_up(value: int, alignment: int) -> int:
    """Round up to a multiple of ``alignment``."""
    return -(-value // alignment) * alignment


def evidence_of(nr_samples: Counts, exposure: NDArray[np.float64]) -> Counts:
    """Say how many samples stand behind something; see :class:`Regions`."""
    found: Counts = np.minimum(nr_samples, np.floor(exposure + ROUNDING)).astype(np.uint32)
    return found


class Regions:
    """The regions of one target: columns of equal length, sorted by address, disjoint, page aligned.

    Columns, not objects: check_accesses() touches every region every sample_interval, and 1000 regions
    cost 30 us in columns against 310 us in slotted objects (CPython 3.11). Whoever changes the columns
    replaces all of them, by :meth:`assign`.

    Attributes:
        start: uint64, bytes.
        end: uint64, bytes; exclusive.
        sampling_addr: uint64, bytes; where the access check under way looks.
        nr_accesses: uint32, samples of this aggregation in which the region was found accessed.
        last_nr_accesses: uint32, the same of the aggregation before.
        age: uint32, aggregations for which the access frequency has been about the same.
        nr_samples: uint32, samples that stand behind that: those since the age began, evenly over the region. Where
            ages begin anew they are those of one aggregation; a merged region has as many as if all of it had been
            looked at as seldom as its least looked-at part (of equal parts: the sum); pieces share them by size;
            memory that is new to a region makes them 0. So they may be too few, and never too many.
        exposure: float64, the same, each weighed by how long it was, in sampling intervals of now: samples that were
            shorter have seen less.
        nr_missed: int64, samples of this aggregation that did not look at the region: it was not there yet, it was part
            of a larger one, its page can't be marked, or they are not worth as much. Below 0 where the samples of an
            aggregation have become fewer.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "age",
        "end",
        "exposure",
        "last_nr_accesses",
        "nr_accesses",
        "nr_missed",
        "nr_samples",
        "sampling_addr",
        "start",
    )
    __slots__ = (*COLUMNS, "_ahead")

    start: Addrs
    end: Addrs
    sampling_addr: Addrs
    nr_accesses: Counts
    last_nr_accesses: Counts
    age: Counts
    nr_samples: Counts
    exposure: NDArray[np.float64]
    nr_missed: Missed

    def __init__(self, regions: Iterable[AddrRange | Region | tuple[int, int]] = ()) -> None:
        """Take ranges in address order; counters start at zero unless whole :class:`Region` values are given.

        Raises:
            InvalidRegionError: A range is empty or negative, or the ranges are unsorted or overlap.
        """
        rows = [
            r if isinstance(r, Region) else Region(*r) if isinstance(r, tuple) else Region(r.start, r.end)
            for r in regions
        ]
        for row in rows:
            AddrRange(row.start, row.end)
        for left, right in itertools.pairwise(rows):
            if right.start < left.end:
                raise InvalidRegionError(
                    f"[{right.start:#x}, {right.end:#x}) is not behind [{left.start:#x}, {left.end:#x})",
                    hint="give the ranges sorted by address, without overlap",
                )
        self.assign_rows(rows)

    def assign(
        self,
        start: Addrs | list[int],
        end: Addrs | list[int],
        nr_accesses: Counts | list[int],
        last_nr_accesses: Counts | list[int],
        age: Counts | list[int],
        sampling_addr: Addrs | list[int] | None = None,
        nr_samples: Counts | list[int] | None = None,
        nr_missed: Missed | list[int] | None = None,
        exposure: NDArray[np.float64] | list[float] | None = None,
    ) -> None:
        """Replace all columns at once; the caller keeps them sorted, disjoint and of equal length.

        Without ``nr_samples`` nothing is known to stand behind the numbers; without ``exposure`` all of them were as
        long as one is now; without ``nr_missed`` each sample looked.
        """
        self.start = np.asarray(start, np.uint64)
        self.end = np.asarray(end, np.uint64)
        self.nr_accesses = np.asarray(nr_accesses, np.uint32)
        self.last_nr_accesses = np.asarray(last_nr_accesses, np.uint32)
        self.age = np.asarray(age, np.uint32)
        self.sampling_addr = self.start.copy() if sampling_addr is None else np.asarray(sampling_addr, np.uint64)
        self.nr_samples = (
            np.zeros(len(self.start), np.uint32) if nr_samples is None else np.asarray(nr_samples, np.uint32)
        )
        self.exposure = np.asarray(self.nr_samples if exposure is None else exposure, np.float64)
        self.nr_missed = np.zeros(len(self.start), np.int64) if nr_missed is None else np.asarray(nr_missed, np.int64)
        self._ahead: list[Addrs] = []

    def assign_rows(self, rows: Sequence[Region]) -> None:
        """Replace all columns by rows, which the caller keeps sorted and disjoint."""
        self.assign(
            [r.start for r in rows],
            [r.end for r in rows],
            [r.nr_accesses for r in rows],
            [r.last_nr_accesses for r in rows],
            [r.age for r in rows],
            [r.sampling_addr for r in rows],
            [r.nr_samples for r in rows],
            [r.nr_missed for r in rows],
            [r.nr_samples if r.exposure is None else r.exposure for r in rows],
        )

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, index: int) -> Region:
        nr_samples, exposure = int(self.nr_samples[index]), float(self.exposure[index])
        return Region(
            int(self.start[index]),
            int(self.end[index]),
            int(self.nr_accesses[index]),
            int(self.age[index]),
            int(self.last_nr_accesses[index]),
            int(self.sampling_addr[index]),
            nr_samples,
            int(self.nr_missed[index]),
            None if exposure == nr_samples else exposure,
        )

    def __iter__(self) -> Iterator[Region]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<Regions: {len(self)}, {self.total_sz} B>"

    @property
    def size(self) -> Addrs:
        """Bytes of each region, uint64."""
        return self.end - self.start

    @property
    def total_sz(self) -> int:
        """Bytes of all regions."""
        return int((self.end - self.start).sum())

    @property
    def highest(self) -> int:
        """The highest ``nr_accesses``; 0 without regions."""
        counts = self.nr_accesses
        # Once per sample, with cold caches: half of what max() takes, which goes through numpy's reductions.
        return int(counts[counts.argmax()]) if len(counts) else 0

    def ranges(self) -> list[AddrRange]:
        """Address ranges as values, in address order."""
        return [AddrRange(start, end) for start, end in zip(self.start.tolist(), self.end.tolist(), strict=True)]

    def copy(self) -> Self:
        """Return columns of their own."""
        new = type(self)()
        new.assign(
            self.start.copy(),
            self.end.copy(),
            self.nr_accesses.copy(),
            self.last_nr_accesses.copy(),
            self.age.copy(),
            self.sampling_addr.copy(),
            self.nr_samples.copy(),
            self.nr_missed.copy(),
            self.exposure.copy(),
        )
        return new

    @property
    def evidence(self) -> Counts:
        """How many samples stand behind the regions, uint32: no more than have seen as much as one of now would."""
        return evidence_of(self.nr_samples, self.exposure)

    def miss(self, nr_samples: int | NDArray[np.bool_]) -> None:
        """Take note of samples of this aggregation that did not look: so many, or one in some of the regions."""
        self.nr_missed += nr_samples

    def miss_all(self) -> None:
        """Take note that these regions are new, and this aggregation is not: nothing of it stands behind them."""
        self.nr_missed[:] = MISSED_ALL

    def miss_none(self) -> None:
        """Begin to count for another aggregation."""
        self.nr_missed = np.zeros(len(self.start), np.int64)

    def recount(self, before: int, now: int, worth: float | NDArray[np.float64]) -> None:
        """Take note that the samples of this aggregation count as others.

        Args:
            before: How many there have been.
            now: As how many they count.
            worth: How much of what each region has of them stays behind it: one part for all, or one for each, 0 to 1.
        """
        looked = np.floor((before - self.nr_missed) * worth + ROUNDING).astype(np.int64)
        self.nr_missed = np.where(self.nr_missed >= MISSED_ALL // 2, self.nr_missed, now - looked)

    def pick_sampling_addrs(self, rng: np.random.Generator, nr_passes: int = 1) -> Addrs:
        """Choose one address in each region, evenly over the whole region, and keep it as ``sampling_addr``.

        64 bits wide: the 32-bit span of the kernel before 7.3 never looks beyond 4 GiB of a region.
        The product can't round up to the size of the region below 2**53 bytes.

        Args:
            rng: Chance.
            nr_passes: Over the same regions, this one included: their addresses are chosen at once, at a fraction of
                the cost. What was chosen for other regions is dropped.
        """
        if not self._ahead:
            nr_passes = max(1, min(nr_passes, _AHEAD // max(len(self.start), 1)))
            offset = (rng.random((nr_passes, len(self.start))) * (self.end - self.start)).astype(np.uint64)
            offset += self.start
            self._ahead = list(offset)
        self.sampling_addr = self._ahead.pop()
        return self.sampling_addr

    @property
    def addrs_ahead(self) -> list[Addrs]:
        """Sampling addresses of the next passes, in their order, as far as they are chosen already."""
        return self._ahead[::-1]

    def pick_sampling_blocks(self, rng: np.random.Generator, nr_pages: int, nr_passes: int = 1) -> tuple[Addrs, Addrs]:
        """Choose one block of pages in each region: the one that an evenly chosen address lies in.

        Args:
            rng: Chance.
            nr_pages: As in :meth:`blocks_around`.
            nr_passes: As in :meth:`pick_sampling_addrs`.

        Returns:
            First address and end of each block, uint64. Bytes.
        """
        return self.blocks_around(self.pick_sampling_addrs(rng, nr_passes), nr_pages)

    def blocks_around(self, addrs: Addrs, nr_pages: int) -> tuple[Addrs, Addrs]:
        """Give the block of pages that one address in each region lies in.

        Blocks are aligned to their size and cut at the bounds of their region, so that no check looks at a
        neighbour's memory.

        Args:
            addrs: One per region. Bytes.
            nr_pages: Pages of a block, a power of two.

        Returns:
            First address and end of each block, uint64. Bytes.
        """
        sz_block = np.uint64(nr_pages * PAGE_SIZE)
        first = addrs // sz_block * sz_block
        return np.maximum(first, self.start), np.minimum(first + sz_block, self.end)
