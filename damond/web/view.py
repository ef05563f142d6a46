"""What a browser draws of one context: plain values, made here so that page, terminal and record agree."""

import base64
import itertools
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from damond.core import Snapshot, Summary, TargetSnapshot, summarize
from damond.report import Area, Heatmap, Mappings
from damond.report.idle import idle_times
from damond.report.scrolling import NO_DATA
from damond.units import USEC_PER_SEC, format_interval, format_size
from damond.web.watched import Watched

MAX_REGIONS: Final = 256
"""Rows of the table of regions: the most accessed, then the largest."""

FULL: Final = 253
"""Value of a cell that every sample found accessed; 0 is one that none did."""

NOTHING_KNOWN: Final = 254
NOT_MONITORED: Final = 255

_NSEC_PER_MSEC: Final = 1_000_000


def live_view(name: str, watched: Watched, *, target_id: int | None, span_s: float, everything: bool) -> dict[str, Any]:
    """Make the picture of one context as it is now."""
    snapshot = watched.newest
    if snapshot is None:
        return {"kind": "view", "context": name, "newest": None}
    targets = watched.targets()
    chosen = target_id if target_id in targets else next(iter(targets), None)
    heatmap = None if chosen is None else watched.heatmap(chosen, span_s, everything=everything)
    mappings = _mappings(watched.summary, chosen)
    return {
        "kind": "view",
        "context": name,
        "targets": [{"id": each.id, "pid": each.pid} for each in snapshot.targets],
        "target": chosen,
        "newest": {**_figures(snapshot), **_memory(watched.summary)},
        "lost": {"missed": watched.missed, "skipped": watched.skipped, "restarts": watched.restarts},
        "heatmap": None if heatmap is None else heatmap_map(heatmap, (heatmap.heat != NO_DATA).any(axis=1), mappings),
        "working_set": [[time_ns / _NSEC_PER_MSEC, sz] for time_ns, sz in watched.working_set(span_s)],
        "idle": _idle(snapshot),
        "regions": [] if chosen is None else _regions(snapshot, chosen, mappings),
    }


def _mappings(summary: Summary | None, target_id: int | None) -> Mappings | None:
    """Take what the process of a target had mapped, where the worker could read that."""
    found = (each.mappings for each in (summary.memory if summary else ()) if each.target_id == target_id)
    rows = next(found, ())
    return Mappings.of(rows) if rows else None


def _memory(summary: Summary | None) -> dict[str, Any]:
    """Sum up the memory of the processes; PSS only where it is known of all."""
    memory = summary.memory if summary else ()
    if not memory:
        return {}
    pss = [each.pss_bytes for each in memory]
    limits = {each.limit_bytes for each in memory if each.limit_bytes is not None}
    return {
        "rss_bytes": sum(each.rss_bytes for each in memory),
        "pss_bytes": sum(each for each in pss if each is not None) if None not in pss else None,
        "limit_bytes": limits.pop() if len(limits) == 1 else None,
    }


def _confidence(snapshot: Snapshot, summary: Summary) -> dict[str, Any]:
    """Tell what is cold from what is unseen; nothing, where the writer does not say how much was looked at."""
    told = any(each.nr_samples.any() for each in snapshot.targets)
    names = ("cold_bytes", "unseen_bytes", "smallest_found_bytes")
    return {name: getattr(summary, name) if told else None for name in names}


def _figures(snapshot: Snapshot) -> dict[str, Any]:
    summary = summarize(snapshot)
    return {
        "end_ms": snapshot.end_ns / _NSEC_PER_MSEC,
        "primitive": snapshot.primitive,
        "accessed_bytes": summary.accessed_bytes,
        "total_bytes": summary.total_bytes,
        **_confidence(snapshot, summary),
        "bandwidth_bps": summary.bandwidth_bps,
        "nr_regions": summary.nr_regions,
        "checks_per_s": summary.checks_per_s,
        "cpu_fraction": summary.cpu_fraction,
        "unknown": snapshot.unknown,
        "overruns": snapshot.overruns,
        "granularity": snapshot.granularity,
        "budget": None if snapshot.budget is None else asdict(snapshot.budget),
        "sample_us": snapshot.sample_us,
        "aggr_us": snapshot.aggr_us,
        "window_ms": (snapshot.end_ns - snapshot.start_ns) / _NSEC_PER_MSEC,
    }


def heatmap_map(heatmap: Heatmap, recorded: NDArray[np.bool_], mappings: Mappings | None = None) -> dict[str, Any]:
    """Make plain values of a heat map: one byte a cell, rows are time; two values say why there is no heat."""
    cells = np.full(heatmap.heat.shape, NOT_MONITORED, np.uint8)
    cells[~recorded] = NOTHING_KNOWN
    known = heatmap.heat >= 0  # not NaN
    # Nothing and all are told from nearly nothing and nearly all, as in the terminal.
    steps = np.round(heatmap.heat[known] * FULL)
    cells[known] = np.where((heatmap.heat[known] > 0) & (steps == 0), 1, steps)
    return {
        "cells": base64.b64encode(cells.tobytes()).decode(),
        "nr_times": len(heatmap.time_ns) - 1,
        "nr_addrs": sum(each.nr_cells for each in heatmap.areas),
        "start_ms": int(heatmap.time_ns[0]) / _NSEC_PER_MSEC,
        "end_ms": int(heatmap.time_ns[-1]) / _NSEC_PER_MSEC,
        "drawn_bytes": heatmap.drawn_bytes,
        "total_bytes": heatmap.total_bytes,
        "areas": [_area(each, mappings) for each in heatmap.areas],
        "folds": [_fold_words(each.size, each.monitored) for each in heatmap.folds],
    }


def _area(area: Area, mappings: Mappings | None) -> dict[str, Any]:
    """Describe neighbouring rows: addresses as text, since JSON's numbers have 53 bits; a name for each row."""
    cells = [] if mappings is None else [area.cell_start(cell) for cell in range(area.nr_cells + 1)]
    return {
        "start": f"{area.start:#x}",
        "first": area.first,
        "nr_cells": area.nr_cells,
        "bytes": area.size,
        "names": [mappings.name(start, end) for start, end in itertools.pairwise(cells)] if mappings else [],
    }


def _fold_words(size: int, monitored: int) -> str:
    if not size:
        return ""
    words = [f"{format_size(monitored)} less accessed"] if monitored else []
    return "; ".join(words + ([f"{format_size(size - monitored)} not monitored"] if size > monitored else []))


def _idle(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Sort bytes by how long they have not been touched."""
    idle = idle_times(snapshot)
    bounds = [format_interval(int(each * USEC_PER_SEC)) for each in idle.bounds_s]
    labels = [f"< {bounds[0]}", *(f"{low} to {high}" for low, high in itertools.pairwise(bounds)), f"> {bounds[-1]}"]
    rows = [("accessed", idle.accessed), *zip(labels, idle.buckets, strict=True)]
    return [{"label": label, "bytes": sz} for label, sz in rows]


def _regions(snapshot: Snapshot, target_id: int, mappings: Mappings | None) -> list[dict[str, Any]]:
    target = next(each for each in snapshot.targets if each.id == target_id)
    order = np.lexsort((target.size, target.nr_accesses))[::-1][:MAX_REGIONS]
    return [_region(snapshot, target, int(row), mappings) for row in order]


def _region(snapshot: Snapshot, target: TargetSnapshot, row: int, mappings: Mappings | None) -> dict[str, Any]:
    start, size = int(target.start[row]), int(target.size[row])
    return {
        "start": f"{start:#x}",
        "bytes": size,
        "share": float(target.nr_accesses[row]) / max(snapshot.max_nr_accesses, 1),
        "age_s": int(target.age[row]) * snapshot.aggr_us / USEC_PER_SEC,
        "name": mappings.name(start, start + size) if mappings else "",
    }
