"""What ``status`` tells, as plain values."""

from typing import Any

import psutil

from damond.service.hub import Hub
from damond.service.managed import ManagedContext
from damond.service.privileges import describe
from damond.service.spec import ContextSpec
from damond.stream import wire


def never_started(spec: ContextSpec) -> dict[str, Any]:
    """Describe a context of the configuration that has not been started."""
    row = {"name": spec.name, "configured": True, "state": "stopped", "reason": "never started"}
    return {**row, "hint": f"'damond start {spec.name}' starts it", "primitive": spec.primitive}


def describe_context(context: ManagedContext, hub: Hub, host: str, configured: ContextSpec | None) -> dict[str, Any]:
    """Describe a context that has been started: its state, its worker, and the newest of what that found."""
    row = {"name": context.spec.name, "configured": configured is not None, **_state(context)}
    row["hint"] = _hint(context, configured)
    if row["pid"] is not None:
        row["process"] = _process(row["pid"])
    row["newest"] = _newest(context.spec.name, hub, host)
    row["stale"] = context.state != "running"
    return row


def _state(context: ManagedContext) -> dict[str, Any]:
    handle, life = context.handle, context.life
    row: dict[str, Any] = {
        "state": life.state,
        "reason": life.reason,
        "since_ns": (life.state == "running" and context.paused_ns) or life.since_ns,
        "healthy": context.health.healthy and life.state not in ("backoff", "failed"),
        "paused": context.paused,
        "restarts": context.nr_restarts,
        "primitive": context.started.get("primitive", context.spec.primitive),
        "options": dict(context.spec.options),
        "attrs": context.started.get("attrs", {}),
        "share": dict(context.share),
        "targets": context.watched if context.started else context.target_ids,
        "waits": context.spec.waits_for_targets,
        "pid": handle.pid if handle is not None and handle.is_alive else None,
        "exit": handle.describe_exit() if handle is not None else "",
        "stderr": list(handle.stderr) if handle is not None else [],
        "worker_before": context.worker_before,
        "events": list(life.events),
    }
    if life.error is not None:
        row["error"] = {"code": life.error.code, "message": life.error.message, "hint": life.error.hint}
    return row


def _hint(context: ManagedContext, configured: ContextSpec | None) -> str:
    """Say what would let a context run that does not; "" where it runs, or nothing that a person does would."""
    life = context.life
    if life.error is not None:
        return life.error.hint
    if life.state != "stopped" or configured is None:
        return ""
    ended = life.reason.startswith("target_gone")
    if ended and configured.targets and not configured.follows and not configured.command:
        return "its process has ended: name one that runs in the configuration, then 'damond reload'"
    return f"'damond start {configured.name}' starts it"


def _newest(name: str, hub: Hub, host: str) -> dict[str, Any] | None:
    """Show the newest summary and how old the newest snapshot is. Decoded here only, when somebody asks."""
    frames = hub.newest.get(wire.topic(name, "summary"))
    if frames is None:
        return None
    summary = wire.decode(frames)
    newest = wire.decode(hub.newest.get(wire.topic(name, "snapshot"), frames))
    row = {**wire.to_map(summary, host), "end_ns": getattr(newest, "end_ns", 0)}
    row.pop("memory", None)  # with its mappings it is larger than all the rest
    return row


def _process(pid: int) -> dict[str, Any]:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return {
                "rss_bytes": process.memory_info().rss,
                "cpu_s": times.user + times.system,
                **describe(pid),
            }
    except (OSError, psutil.Error):
        return {}
