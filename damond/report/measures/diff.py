"""What became hot and what became cold between two spans of time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from damond.core.mappings import Mappings
from damond.core.regions import Addrs
from damond.report.cells import Cells, cell_edges
from damond.report.coverage import Coverage, gather
from damond.report.measures.bandwidth import BandwidthCounter
from damond.report.measures.wss import WssCounter
from damond.report.memory import Memory, memory_of
from damond.report.peaks import find_peaks
from damond.report.profile import Profile, distinct
from damond.report.subject import Subject
from damond.report.windows import Floats

_ALIKE: Final = 0.1
"""Neighbours whose heat differs by less than this in both spans are one piece."""

_NO_CHANGE: Final = 0.05
"""A change of heat below this is none: one sample of twenty."""

_PERCENTILES: Final = (50, 99)

By = Literal["address", "name", "nothing"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Side:
    """One of the two spans in numbers.

    Attributes:
        coverage: What this is based on.
        wss_median_bytes: The working set (any access) in half of the time at most; None if there is no window.
        wss_p99_bytes: The same in 99 % of the time.
        bandwidth_bps: Estimate of the memory traffic. Bytes per second.
        memory: What the processes held.
    """

    coverage: Coverage
    wss_median_bytes: int | None
    wss_p99_bytes: int | None
    bandwidth_bps: int
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A piece of memory that became hotter or colder.

    Attributes:
        target_id: The target; None where memory is compared by name.
        start: First address; None where memory is compared by name. Bytes.
        end: First address behind. Bytes.
        size: Bytes; where memory is compared by name, those of the later span.
        name: What was mapped there; "" if that is not known.
        before: Heat in the earlier span, 0 to 1; None if it was not monitored then.
        after: Heat in the later span; None if it was not monitored then.
        hot_bytes: Change of size times heat.
    """

    target_id: int | None
    start: int | None
    end: int | None
    size: int
    name: str
    before: float | None
    after: float | None
    hot_bytes: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Diff:
    """Two spans compared.

    Attributes:
        before: The earlier span, or the first record.
        after: The later span, or the second record.
        by: Memory is the same in both if it has the same ``address``; of different processes, if it has the same
            ``name``; or nothing can be compared.
        changes: What changed, the greatest changes of size times heat first.
    """

    before: Side
    after: Side
    by: By
    changes: tuple[Change, ...]


def measure(before: Subject, after: Subject) -> Diff:
    """Compare two subjects."""
    peaks = [find_peaks(each).profiles for each in (before, after)]
    shared = sorted(peaks[0].keys() & peaks[1].keys()) if before.host == after.host else []
    named = bool(before.maps.versions and after.maps.versions)
    by: By = "address" if shared else "name" if named else "nothing"
    edges = [_edges(subject, profiles, shared) for subject, profiles in zip((before, after), peaks, strict=True)]
    for target_id in shared:
        edges[0][target_id] = edges[1][target_id] = distinct(np.concatenate([edges[0][target_id], edges[1][target_id]]))
    sides, cells = zip(*(_side(*each) for each in zip((before, after), edges, strict=True)), strict=True)
    changes: Iterator[Change] = iter(())
    if by == "address":
        maps = before.maps.newest(before.to_ns) | after.maps.newest(after.to_ns)
        changes = (
            change
            for target_id in shared
            for change in _by_address(cells[0][target_id], cells[1][target_id], maps.get(target_id))
        )
    elif by == "name":
        changes = _by_name(*(_named(each, subject) for each, subject in zip(cells, (before, after), strict=True)))
    ordered = sorted(changes, key=lambda each: (-abs(each.hot_bytes), -each.size))
    return Diff(before=sides[0], after=sides[1], by=by, changes=tuple(ordered))


def _edges(subject: Subject, profiles: dict[int, Profile], shared: Sequence[int]) -> dict[int, Addrs]:
    maps = subject.maps.newest(subject.to_ns)
    chosen = shared or list(profiles)
    return {each: cell_edges(profiles[each], maps.get(each)) for each in chosen}


def _side(subject: Subject, edges: dict[int, Addrs]) -> tuple[Side, dict[int, Cells]]:
    cells = {each: Cells.over(subject, each, bounds) for each, bounds in edges.items()}
    wss, bandwidth = WssCounter((0.0,)), BandwidthCounter()
    coverage = gather(subject, wss, bandwidth, *cells.values())
    median, p99 = wss.accessed[0].percentiles(_PERCENTILES) or (None, None)
    side = Side(
        coverage=coverage,
        wss_median_bytes=median,
        wss_p99_bytes=p99,
        bandwidth_bps=bandwidth.mean_bps,
        memory=memory_of(subject),
    )
    return side, cells


def _by_address(before: Cells, after: Cells, mappings: Mappings | None) -> Iterator[Change]:
    """Join neighbouring cells that changed alike."""
    start, end = before.start.tolist(), before.end.tolist()
    heats = np.column_stack([before.heat, after.heat])
    # One that is not monitored is as far from any heat as can be.
    levels = np.where(np.isnan(heats), -1.0, heats)
    names = [mappings.name(*bounds) if mappings is not None else "" for bounds in zip(start, end, strict=True)]
    first = 0
    for cell in range(1, len(start) + 1):
        if cell < len(start) and names[cell] == names[first] and (abs(levels[cell] - levels[first]) < _ALIKE).all():
            continue
        yield from _change(before, after, slice(first, cell), names[first])
        first = cell


def _change(before: Cells, after: Cells, chosen: slice, name: str) -> Iterator[Change]:
    heats = [_heat(each, chosen) for each in (before, after)]
    old, new = (each or 0.0 for each in heats)
    if abs(new - old) < _NO_CHANGE:
        return
    start, end = int(before.start[chosen.start]), int(before.end[chosen.stop - 1])
    yield Change(
        target_id=before.target_id,
        start=start,
        end=end,
        size=end - start,
        name=name,
        before=heats[0],
        after=heats[1],
        hot_bytes=round((new - old) * (end - start)),
    )


def _heat(cells: Cells, chosen: slice) -> float | None:
    accessed, monitored = cells.raster.accessed[:, chosen].sum(), cells.raster.monitored[:, chosen].sum()
    return float(accessed / monitored) if monitored > 0 else None


def _named(cells: dict[int, Cells], subject: Subject) -> dict[str, tuple[float, float]]:
    """Add up bytes, and bytes times heat, by what is mapped there."""
    maps = subject.maps.newest(subject.to_ns)
    found: dict[str, tuple[float, float]] = {}
    for target_id, each in cells.items():
        mappings = maps.get(target_id)
        if mappings is None:
            continue
        size: Floats = (each.end - each.start).astype(np.float64)
        heat = each.heat
        for cell in np.flatnonzero(each.monitored).tolist():
            name = mappings.name(int(each.start[cell]), int(each.end[cell]))
            total, hot = found.get(name, (0.0, 0.0))
            found[name] = (total + size[cell], hot + size[cell] * heat[cell])
    return found


def _by_name(before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]]) -> Iterator[Change]:
    for name in before.keys() | after.keys():
        (old_size, old_hot), (new_size, new_hot) = before.get(name, (0.0, 0.0)), after.get(name, (0.0, 0.0))
        heats = [hot / size if size else None for size, hot in ((old_size, old_hot), (new_size, new_hot))]
        if abs((heats[1] or 0.0) - (heats[0] or 0.0)) < _NO_CHANGE:
            continue
        yield Change(
            target_id=None,
            start=None,
            end=None,
            size=round(new_size or old_size),
            name=name,
            before=heats[0],
            after=heats[1],
            hot_bytes=round(new_hot - old_hot),
        )
