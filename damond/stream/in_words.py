"""Events in words, for the log and the command line."""

from collections.abc import Mapping
from typing import Any


def event_in_words(event: str, reason: str, details: Mapping[str, Any]) -> str:
    """Say what happened: the event, what has changed by it, and why."""
    changes = [f"{each['id']} came" for each in details.get("added", ())]
    changes += [f"{each['id']} gone" for each in details.get("removed", ())]
    changes += [f"{name} {old} -> {new}" for name, (old, new) in details.get("changed", {}).items()]
    words = f"{event}: {', '.join(changes)}" if changes else event
    return f"{words} ({reason})" if reason else words
