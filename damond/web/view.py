"""What a browser draws: plain values, made here so that page, terminal and record agree."""

import base64
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from damond.core import Snapshot, TargetSnapshot, summarize
from damond.report.heatmap import Heatmap
from damond.units import NSEC_PER_USEC, USEC_PER_SEC, format_size
from damond.web.live import Live
from damond.web.recent import Recent

NR_TIMES: Final = 240
NR_ADDRS: Final = 128
MAX_REGIONS: Final = 256
"""Rows of the table of regions: the most accessed, then the largest."""

NOT_MONITORED: Final = 255
_STEPS: Final = 254

_NSEC_PER_MSEC: Final = 1_000_000

_IDLE_S: Final = ((1, "< 1 s"), (10, "1 to 10 s"), (60, "10 to 60 s"), (600, "1 to 10 min"), (None, "> 10 min"))
"""Upper bounds of the idle times that are told apart. Seconds."""


def overview(live: Live) -> dict[str, Any]:
    """Make the table of contexts."""
    status = live.status or {"contexts": [], "host": "", "version": ""}
    missed = status.get("drops", {}).get("missed", {})
    return {
        "kind": "overview",
        "trouble": live.trouble,
        "host": status["host"],
        "version": status["version"],
        "contexts": [
            {**_row(each), "missed": missed.get(each["name"], 0), "spark": live.spark(each["name"])}
            for each in status["contexts"]
        ],
    }


def _row(each: Mapping[str, Any]) -> dict[str, Any]:
    newest = each.get("newest") or {}
    error = each.get("error") or {}
    return {
        "name": each["name"],
        "state": "paused" if each.get("paused") and each["state"] == "running" else each["state"],
        "reason": error.get("message") or each.get("reason", ""),
        "hint": error.get("hint", ""),
        "stale": bool(newest) and each.get("stale", False),
        "primitive": each.get("primitive", ""),
        "pid": each.get("pid"),
        "rss_bytes": (each.get("process") or {}).get("rss_bytes"),
        **{
            name: newest.get(name)
            for name in ("accessed_bytes", "total_bytes", "nr_regions", "checks_per_s", "cpu_fraction", "bandwidth_bps")
        },
    }


def live_view(name: str, recent: Recent, *, target_id: int | None, everything: bool) -> dict[str, Any]:
    """Make the picture of one context as it is now."""
    snapshot = recent.newest
    if snapshot is None:
        return {"kind": "view", "context": name, "newest": None}
    targets = list(recent.targets())
    chosen = target_id if target_id in targets else next(iter(targets), None)
    heatmap = None
    if chosen is not None:
        heatmap = recent.heatmap(chosen, nr_times=NR_TIMES, nr_addrs=NR_ADDRS, everything=everything)
    return {
        "kind": "view",
        "context": name,
        "targets": [{"id": each.id, "pid": each.pid} for each in snapshot.targets],
        "target": chosen,
        "newest": _figures(snapshot),
        "lost": {"missed": recent.missed, "skipped": recent.skipped, "restarts": recent.restarts},
        "heatmap": None if heatmap is None else heatmap_map(heatmap),
        "working_set": [[time_ns / _NSEC_PER_MSEC, sz] for time_ns, sz in recent.working_set()],
        "idle": _idle(snapshot),
        "regions": [] if chosen is None else _regions(snapshot, chosen),
    }


def _figures(snapshot: Snapshot) -> dict[str, Any]:
    summary = summarize(snapshot)
    return {
        "end_ms": snapshot.end_ns / _NSEC_PER_MSEC,
        "primitive": snapshot.primitive,
        "accessed_bytes": summary.accessed_bytes,
        "total_bytes": summary.total_bytes,
        "bandwidth_bps": summary.bandwidth_bps,
        "nr_regions": summary.nr_regions,
        "checks_per_s": summary.checks_per_s,
        "cpu_fraction": summary.cpu_fraction,
        "unknown": snapshot.unknown,
        "overruns": snapshot.overruns,
        "granularity": snapshot.granularity,
        "sample_us": snapshot.sample_us,
        "aggr_us": snapshot.aggr_us,
        "window_ms": (snapshot.end_ns - snapshot.start_ns) / _NSEC_PER_MSEC,
    }


def heatmap_map(heatmap: Heatmap) -> dict[str, Any]:
    """Make plain values of a heat map: one byte a cell, rows are time; 255 is not monitored."""
    cells = np.full(heatmap.heat.shape, NOT_MONITORED, np.uint8)
    known = ~np.isnan(heatmap.heat)
    # Nothing and all are told from nearly nothing and nearly all, as in the terminal.
    steps = np.clip(np.round(heatmap.heat[known] * _STEPS), 0, _STEPS)
    cells[known] = np.where((heatmap.heat[known] > 0) & (steps == 0), 1, steps)
    return {
        "cells": base64.b64encode(cells.tobytes()).decode(),
        "nr_times": len(heatmap.time_ns) - 1,
        "nr_addrs": sum(each.nr_cells for each in heatmap.areas),
        "start_ms": int(heatmap.time_ns[0]) / _NSEC_PER_MSEC,
        "end_ms": int(heatmap.time_ns[-1]) / _NSEC_PER_MSEC,
        "drawn_bytes": heatmap.drawn_bytes,
        "total_bytes": heatmap.total_bytes,
        "areas": [
            {"start": f"{each.start:#x}", "first": each.first, "nr_cells": each.nr_cells, "bytes": each.size}
            for each in heatmap.areas
        ],
        "folds": [_fold_words(each.size, each.monitored) for each in heatmap.folds],
    }


def _fold_words(size: int, monitored: int) -> str:
    if not size:
        return ""
    words = [f"{format_size(monitored)} less accessed"] if monitored else []
    return "; ".join(words + ([f"{format_size(size - monitored)} not monitored"] if size > monitored else []))


def _idle(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Sort bytes by how long they have not been touched."""
    size = np.concatenate([np.zeros(0), *(each.size.astype(np.float64) for each in snapshot.targets)])
    accessed = np.concatenate([np.zeros(0, bool), *(each.nr_accesses > 0 for each in snapshot.targets)])
    age = np.concatenate([np.zeros(0), *(each.age.astype(np.float64) for each in snapshot.targets)])
    idle_s = (age + 1) * snapshot.aggr_us / USEC_PER_SEC
    rows, lower = [{"label": "accessed", "bytes": int(size[accessed].sum())}], 0.0
    for upper, label in _IDLE_S:
        within = ~accessed & (idle_s >= lower) & (idle_s < (np.inf if upper is None else upper))
        rows.append({"label": label, "bytes": int(size[within].sum())})
        lower = upper or np.inf
    return rows


def _regions(snapshot: Snapshot, target_id: int) -> list[dict[str, Any]]:
    target = next(each for each in snapshot.targets if each.id == target_id)
    order = np.lexsort((target.size, target.nr_accesses))[::-1][:MAX_REGIONS]
    return [_region(snapshot, target, int(row)) for row in order]


def _region(snapshot: Snapshot, target: TargetSnapshot, row: int) -> dict[str, Any]:
    return {
        "start": f"{int(target.start[row]):#x}",
        "bytes": int(target.size[row]),
        "share": float(target.nr_accesses[row]) / max(snapshot.max_nr_accesses, 1),
        "age_s": int(target.age[row]) * snapshot.aggr_us * NSEC_PER_USEC / 1_000_000_000,
    }
