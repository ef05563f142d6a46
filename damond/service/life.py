"""The life of one context as it is told: its state with the reason, and the events that a dead worker can't send."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from damond.errors import DamondError
from damond.stream import wire
from damond.stream.in_words import event_in_words

_log = logging.getLogger(__name__)

RUNNING: Final = ("starting", "running", "backoff", "stopping")
"""States in which a context is being monitored, or will be without being asked."""

PACED: Final = "paced"
"""Reason of the changes that a goal or a budget makes, every few seconds."""
NR_EVENTS: Final = 8
"""Events of a context that ``status`` shows."""

Announce = Callable[[wire.Event, int, int], None]
"""Publishes an event under an epoch and a seq."""


class Life:
    """State, reason and events of one context.

    Args:
        name: Of the context.
        announce: Publishes what is said in the place of a worker.

    Attributes:
        state: ``starting``, ``running``, ``backoff``, ``stopping``, ``stopped`` or ``failed``.
        reason: Why it is in that state.
        since_ns: Since when, Unix time.
        error: What it failed with last, or None.
        events: The last ones, oldest first: ``time_ns``, ``event``, ``reason`` and ``details``, as on the stream.
    """

    def __init__(self, name: str, announce: Announce) -> None:
        self.state, self.reason, self.since_ns = "stopped", "never started", time.time_ns()
        self.error: DamondError | None = None
        self.events: deque[dict[str, Any]] = deque(maxlen=NR_EVENTS)
        self._name = name
        self._announce = announce
        self._epoch, self._next_event = time.time_ns(), 0

    @property
    def runs(self) -> bool:
        """Whether it is being monitored, or will be without being asked."""
        return self.state in RUNNING

    @property
    def last_event(self) -> str:
        """What was told last; "" before anything was."""
        return str(self.events[-1]["event"]) if self.events else ""

    def become(self, state: str, reason: str = "") -> None:
        """Go over to a state."""
        is_news = (state, reason) != (self.state, self.reason)
        self.state, self.reason, self.since_ns = state, reason, time.time_ns()
        # Whoever lets a context fail or wait says so himself, with more words.
        level = logging.DEBUG if state in ("failed", "backoff") else logging.INFO
        if is_news:
            _log.log(level, "%s: %s%s", self._name, state, f" ({reason})" if reason else "")

    def heard(self, message: Mapping[str, Any]) -> None:
        """Take note of an event that the worker itself has sent."""
        self._epoch, self._next_event = message["epoch"], message["seq"] + 1
        self._note(message["time_ns"], message["event"], message["reason"], message["details"])

    def publish(self, event: str, reason: str, **details: Any) -> None:
        """Say on the stream what the dead worker can't, with the number that it would have used."""
        time_ns = time.time_ns()
        message = wire.Event(context=self._name, time_ns=time_ns, event=event, reason=reason, details=details)
        self._announce(message, self._epoch, self._next_event)
        self._next_event += 1
        # Its standard error is in status anyway.
        self._note(time_ns, event, reason, {key: value for key, value in details.items() if key != "stderr"})

    def _note(self, time_ns: int, event: str, reason: str, details: Mapping[str, Any]) -> None:
        if reason == PACED and self.events and self.events[-1]["reason"] == PACED:
            self.events.pop()  # intervals that tune themselves must not push out all else
        self.events.append({"time_ns": time_ns, "event": event, "reason": reason, "details": dict(details)})
        level = logging.INFO if event in _LOGGED and reason != PACED else logging.DEBUG
        _log.log(level, "%s: %s", self._name, event_in_words(event, reason, details))


_LOGGED: Final = ("paused", "resumed", "targets_changed", "attrs_changed")
"""Events that change no state, and are a line in the log all the same."""
