"""The table of contexts, as plain values."""

from collections.abc import Mapping
from typing import Any

from damond.web.live import Live


def table(live: Live) -> dict[str, Any]:
    """Make the table of contexts."""
    status = live.status or {"contexts": [], "host": "", "version": ""}
    missed = status.get("drops", {}).get("missed", {})
    return {
        "kind": "overview",
        "trouble": live.trouble,
        "host": status["host"],
        "version": status["version"],
        "recorded": live.recorded,
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
        "hint": each.get("hint", ""),
        "stale": bool(newest) and each.get("stale", False),
        "primitive": each.get("primitive", ""),
        "pid": each.get("pid"),
        "rss_bytes": (each.get("process") or {}).get("rss_bytes"),
        **{
            name: newest.get(name)
            for name in ("accessed_bytes", "total_bytes", "nr_regions", "checks_per_s", "cpu_fraction", "bandwidth_bps")
        },
    }
