"""Back in time: the same picture, from a record."""

import itertools
from pathlib import Path
from typing import Any, Final

import numpy as np

from damond.errors import DamondError
from damond.record import Record, RecordedContext
from damond.report.coverage import Coverage
from damond.report.measures import heat, idle, temperature, wss
from damond.report.source import of_record
from damond.report.subject import Subject
from damond.units import NSEC_PER_USEC, format_interval
from damond.web.view import MAX_REGIONS, heatmap_map
from damond.web.watched import NR_ADDRS, NR_TIMES

_NSEC_PER_MSEC: Final = 1_000_000
_NSEC_PER_SEC: Final = 1_000_000_000


def recorded(path: Path) -> dict[str, dict[str, float]]:
    """List what a record has: from when to when of each context. Milliseconds, Unix time.

    Raises:
        RecordError: It can't be read.
    """
    rows = Record.open(path).contexts()
    return {
        each.name: {"first_ms": each.first_ns / _NSEC_PER_MSEC, "last_ms": each.last_ns / _NSEC_PER_MSEC}
        for each in rows
    }


def past_view(
    path: Path, name: str, span_ms: tuple[float, float], *, target_id: int | None, everything: bool
) -> dict[str, Any]:
    """Make the picture of a span; what can't be drawn says why."""
    answer: dict[str, Any] = {
        "kind": "view",
        "context": name,
        "newest": None,
        "from_ms": span_ms[0],
        "to_ms": span_ms[1],
    }
    try:
        record = Record.open(path)
        from_ns, to_ns = (round(each * _NSEC_PER_MSEC) for each in span_ms)
        found = record.spanning(name, from_ns, to_ns)
        return {**answer, **_picture(of_record(record, found, from_ns, to_ns), found, target_id, everything=everything)}
    except DamondError as error:
        return {**answer, "why": str(error)}


def _picture(subject: Subject, found: RecordedContext, target_id: int | None, *, everything: bool) -> dict[str, Any]:
    canvas = heat.Canvas(nr_times=NR_TIMES, nr_addrs=NR_ADDRS, everything=everything, target_id=target_id)
    drawn = heat.measure(subject, canvas)
    if target_id not in drawn.target_ids and drawn.target_ids:
        drawn = heat.measure(subject, heat.Canvas(nr_times=NR_TIMES, nr_addrs=NR_ADDRS, everything=everything))
    working_set, idle_times, pieces = wss.measure(subject, (0.0,)), idle.measure(subject), temperature.measure(subject)
    chosen = drawn.heatmap.target_id if drawn.heatmap is not None else None
    shown = [each for each in pieces.pieces if each.target_id == chosen][:MAX_REGIONS]
    series, mappings = working_set.series[0], subject.maps.newest(subject.to_ns)
    known = ~np.isnan(series.mean)
    middle_ms = (series.time_ns[:-1] + series.time_ns[1:]) / (2 * _NSEC_PER_MSEC)
    return {
        "newest": _figures(drawn.coverage, working_set, len(pieces.pieces), found.primitive),
        "targets": [{"id": each, "pid": None} for each in drawn.target_ids],
        "target": chosen,
        "heatmap": None
        if drawn.heatmap is None
        else heatmap_map(drawn.heatmap, drawn.recorded, mappings.get(drawn.heatmap.target_id)),
        "working_set": list(zip(middle_ms[known].tolist(), series.mean[known].tolist(), strict=True)),
        "idle": _idle(idle_times),
        "regions": [
            {
                "start": f"{each.start:#x}",
                "bytes": each.size,
                "share": each.heat,
                "age_s": None if each.idle_ns is None else each.idle_ns / _NSEC_PER_SEC,
                "name": each.name,
            }
            for each in shown
        ],
    }


def _figures(coverage: Coverage, working_set: wss.WorkingSet, nr_regions: int, primitive: str) -> dict[str, Any]:
    at = dict(zip(working_set.percentiles, working_set.wss_bytes[0], strict=False))
    monitored = dict(zip(working_set.percentiles, working_set.monitored_bytes, strict=False))
    sample_us, aggr_us = coverage.intervals[-1] if coverage.intervals else (0, 0)
    return {
        "past": True,
        "end_ms": coverage.last_ns / _NSEC_PER_MSEC,
        "primitive": primitive,
        "accessed_bytes": at.get(50),
        "p95_bytes": at.get(95),
        "touched_bytes": working_set.touched_bytes[-1] if working_set.touched_bytes else None,
        "total_bytes": monitored.get(50),
        "nr_regions": nr_regions,
        "nr_windows": coverage.nr_windows,
        "nr_missed": coverage.nr_missed,
        "nr_gaps": coverage.nr_gaps,
        "sample_us": sample_us,
        "aggr_us": aggr_us,
    }


def _idle(found: idle.Idle) -> list[dict[str, Any]]:
    """Make buckets of the idle times at the end of the span."""
    at_least = [format_interval(each // NSEC_PER_USEC) for each in found.at_least_ns]
    sizes = [*found.newest_bytes, 0]
    rows = [("accessed", found.accessed_bytes)]
    rows.append((f"< {at_least[0]}", found.monitored_bytes - found.accessed_bytes - sizes[0]))
    names = [f"{low} to {high}" for low, high in itertools.pairwise(at_least)] + [f"> {at_least[-1]}"]
    rows += [(label, low - high) for label, (low, high) in zip(names, itertools.pairwise(sizes), strict=True)]
    return [{"label": label, "bytes": sz} for label, sz in rows]
