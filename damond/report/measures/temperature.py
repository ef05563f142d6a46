"""Which pieces of memory were hot and which were cold, by address and by name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.core.mappings import Mappings
from damond.report.cells import Cells, cell_edges
from damond.report.coverage import Coverage, gather
from damond.report.newest import Newest
from damond.report.peaks import find_peaks
from damond.report.recency import TIMES_NS
from damond.report.subject import Subject

_ALIKE: Final = 0.1
"""Neighbours whose mean heat differs by less than this are one piece: two samples of twenty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of the memory of one target, about equally hot all over.

    Attributes:
        target_id: The target.
        start: First address. Bytes.
        end: First address behind. Bytes.
        size: Bytes.
        heat: Share of samples that found an access, averaged over its bytes and the time, 0 to 1.
        busy: Share of the time in which any access was found somewhere in it, in steps of a 256th of the span.
        idle_ns: Time from the last access to the end of the span, less than such a step too short; None if there was
            no access in the span. Nanoseconds.
        unseen_bytes: What of it shows no access at the end without being known to be cold: too little was looked at.
            0, too, where the record does not say.
        name: What was mapped there: ``[heap]``, ``libc.so.6``; "" if that is not known.
    """

    target_id: int
    start: int
    end: int
    size: int
    heat: float
    busy: float
    idle_ns: int | None
    unseen_bytes: int
    name: str

    @property
    def is_unseen(self) -> bool:
        """Whether no access was found in it, and of most of it not enough is known to call it cold."""
        return self.idle_ns is None and 2 * self.unseen_bytes > self.size


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Temperature:
    """The pieces of memory by temperature.

    Attributes:
        coverage: What this is based on.
        pieces: All pieces, the hottest first; what was never accessed comes last, larger pieces before smaller ones.
    """

    coverage: Coverage
    pieces: tuple[Piece, ...]

    def coldest(self) -> tuple[Piece, ...]:
        """Return the pieces, the coldest first: by the time since the last access, unseen ones behind, then by size."""
        never = self.coverage.to_ns - self.coverage.from_ns + 1

        def key(each: Piece) -> tuple[int, bool, int]:
            return -(never if each.idle_ns is None else each.idle_ns), each.is_unseen, -each.size

        return tuple(sorted(self.pieces, key=key))


def measure(subject: Subject) -> Temperature:
    """Find the pieces of memory, and how hot each was."""
    maps = subject.maps.newest(subject.to_ns)
    cells = [
        Cells.over(subject, target_id, cell_edges(peak, maps.get(target_id)))
        for target_id, peak in find_peaks(subject).profiles.items()
    ]
    newest = Newest()
    coverage = gather(subject, newest, *cells)
    pieces = [piece for each in cells for piece in _pieces(each, newest, maps.get(each.target_id))]
    ordered = sorted(pieces, key=lambda each: (-each.heat, -each.size, each.target_id, each.start))
    return Temperature(coverage=coverage, pieces=tuple(ordered))


def _pieces(cells: Cells, newest: Newest, mappings: Mappings | None) -> Iterator[Piece]:
    """Join neighbouring cells that are alike."""
    start, end, heat = cells.start.tolist(), cells.end.tolist(), cells.heat.tolist()
    idle_ns, unseen_bytes = _idle_ns(cells), cells.unseen_bytes(newest)
    kinds = np.where(idle_ns < 0, len(TIMES_NS) + 1, np.searchsorted(TIMES_NS, idle_ns, side="right")).tolist()
    names = [mappings.name(*bounds) if mappings is not None else "" for bounds in zip(start, end, strict=True)]
    first: int | None = None
    for cell in range(len(heat) + 1):
        there = cell < len(heat) and bool(cells.monitored[cell])
        alike = there and first is not None and (names[cell], kinds[cell]) == (names[first], kinds[first])
        if first is not None and not (alike and abs(heat[cell] - heat[first]) < _ALIKE):
            chosen = slice(first, cell)
            yield _piece(cells, chosen, names[first], idle_ns[chosen].tolist(), float(unseen_bytes[chosen].sum()))
            first = None
        if there and first is None:
            first = cell


def _piece(cells: Cells, chosen: slice, name: str, idle_ns: Sequence[int], unseen_bytes: float) -> Piece:
    accessed, monitored = cells.raster.accessed[:, chosen].sum(), cells.raster.monitored[:, chosen].sum()
    start, end = int(cells.start[chosen.start]), int(cells.end[chosen.stop - 1])
    nr_known = max(int(np.count_nonzero(cells.known)), 1)
    return Piece(
        target_id=cells.target_id,
        start=start,
        end=end,
        size=end - start,
        heat=float(accessed / monitored),
        busy=int(np.count_nonzero(cells.touched[:, chosen].any(axis=1))) / nr_known,
        idle_ns=None if min(idle_ns) < 0 else min(idle_ns),
        unseen_bytes=round(unseen_bytes),
        name=name,
    )


def _idle_ns(cells: Cells) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Say for each cell how long before the end the last step with an access ended; -1: there is none."""
    time_ns = cells.raster.time_ns
    touched = cells.touched
    last = touched.shape[0] - 1 - np.argmax(touched[::-1], axis=0)
    return np.where(touched.any(axis=0), time_ns[-1] - time_ns[last + 1], -1)
