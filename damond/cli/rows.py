"""Regions as the rows of the live view: neighbours are grouped where there are more than lines."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import TargetSnapshot

_NARROW_GAP_SHARE: Final = 1 / 256
"""A gap below this share of the target's memory is not worth a line, and no boundary."""

_MAX_GAP_SHARE: Final = 3
"""No more than one line in three separates."""


@dataclass(frozen=True, slots=True)
class Row:
    """One region, or neighbouring ones: averages are weighted by size.

    Attributes:
        start: First address. Bytes.
        end: First address behind it. Bytes.
        size: Bytes monitored; gaps within are not counted.
        heat: Share of samples that found an access.
        age: Aggregations for which it has been about the same.
        nr_regions: How many regions it stands for.
        gap_after: Bytes of the gap between this row and the next, if that is shown; else 0.
        unseen: No access was found in it, and of most of it not enough is known to call it cold.
    """

    start: int
    end: int
    size: int
    heat: float
    age: float
    nr_regions: int
    gap_after: int
    unseen: bool = False


def group(
    target: TargetSnapshot, max_nr_accesses: int, nr_lines: int, unseen: NDArray[np.bool_] | None = None
) -> list[Row]:
    """Make rows that fit into so many lines, a gap that is shown being one line more.

    The widest gaps and the greatest contrasts of heat stay boundaries.

    Args:
        target: Its regions.
        max_nr_accesses: Samples of the window.
        nr_lines: Lines that there are.
        unseen: Which regions are unseen; None where nothing is known about that.
    """
    if not len(target.start):
        return []
    heat = np.minimum(target.nr_accesses / max(max_nr_accesses, 1), 1.0)
    gap = np.append(target.start[1:] - (target.start + target.size)[:-1], np.uint64(0))
    gap[gap < _NARROW_GAP_SHARE * target.size.sum()] = 0
    last = np.append(_boundaries(heat, gap[:-1], nr_lines), len(heat) - 1).astype(np.intp)
    first = np.concatenate([[0], last[:-1] + 1]).astype(np.intp)
    size = np.add.reduceat(target.size, first)
    weight = target.size.astype(np.float64)
    unseen = np.zeros(len(heat), bool) if unseen is None else unseen
    columns = (
        target.start[first],
        (target.start + target.size)[last],
        size,
        np.add.reduceat(heat * weight, first) / size,
        np.add.reduceat(target.age * weight, first) / size,
        last - first + 1,
        gap[last],
        2 * np.add.reduceat(np.where(unseen, weight, 0.0), first) > np.add.reduceat(weight, first),
    )
    return [Row(*each) for each in zip(*(column.tolist() for column in columns), strict=True)]


def _boundaries(heat: NDArray[np.float64], gap: NDArray[np.uint64], nr_lines: int) -> NDArray[np.intp]:
    """Choose the regions behind which a row ends."""
    gaps = np.flatnonzero(gap)
    widest = gaps[np.argsort(gap[gaps], kind="stable")[::-1]][: nr_lines // _MAX_GAP_SHARE]
    seams = np.flatnonzero(gap == 0)
    contrast = np.abs(np.diff(heat))[seams]
    free = max(nr_lines - 1 - 2 * len(widest), 0)
    sharpest = seams[np.argsort(-contrast, kind="stable")][:free]
    return np.sort(np.concatenate([widest, sharpest]))


def height(rows: list[Row]) -> int:
    """Count the lines that rows and the gaps between them take."""
    return len(rows) + sum(row.gap_after > 0 for row in rows)
