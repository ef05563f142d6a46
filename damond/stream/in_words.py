"""Events in words, for the log and the command line."""

from collections.abc import Mapping
from typing import Any

from damond.units import format_interval


def event_in_words(event: str, reason: str, details: Mapping[str, Any]) -> str:
    """Say what happened: the event, what has changed by it, and why."""
    changes = [f"{each['id']} came" for each in details.get("added", ())]
    changes += [f"{each['id']} gone" for each in details.get("removed", ())]
    for name, (old, new) in details.get("changed", {}).items():
        changes.append(f"{name} {_value(name, old)} -> {_value(name, new)}")
    words = f"{event}: {', '.join(changes)}" if changes else event
    return f"{words} ({reason})" if reason else words


def _value(name: str, value: Any) -> str:
    return format_interval(value) if name.endswith("_interval") and isinstance(value, int) else str(value)
