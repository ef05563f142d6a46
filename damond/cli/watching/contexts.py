"""All contexts of a service as the viewer knows them: state, newest snapshot, and what was lost of each."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from damond.core import Snapshot
from damond.stream.wire import Event
from damond.units import NSEC_PER_USEC, USEC_PER_SEC

STALE_WINDOWS: Final = 3
"""Windows without a snapshot after which the last one is called stale: as the supervisor judges health."""

STALE_S: Final = 2.0
"""What is added to that: a viewer that was short of CPU has not lost anybody. Seconds."""

DELIVERING: Final = ("running", "late")

_STATE_OF: Final = {
    "starting": "starting",
    "started": "running",
    "restarting": "backoff",
    "stopping": "stopping",
    "stopped": "stopped",
    "failed": "failed",
}
"""Event -> state of a context; other events change none."""

_WORDS: Final = {"backoff": "restarting"}


@dataclass(slots=True)
class Row:
    """What is known of one context.

    Attributes:
        name: Its name.
        state: As the service calls it.
        reason: Why it is in that state.
        hint: What would help, or "".
        paused: Sampling rests.
        waits: There is no process yet that it could monitor.
        healthy: Snapshots arrive in time, as the service sees it.
        primitive: How accesses are checked.
        newest: Its last snapshot; of contexts that are not shown, one of the last second.
        missed: Snapshots lost on the way.
        skipped: Snapshots passed over on purpose.
        restarts: How often its worker was another one than before.
    """

    name: str
    state: str = ""
    reason: str = ""
    hint: str = ""
    paused: bool = False
    waits: bool = False
    healthy: bool = True
    primitive: str = ""
    newest: Snapshot | None = None
    missed: int = 0
    skipped: int = 0
    restarts: int = 0

    def take(self, snapshot: Snapshot) -> None:
        """Take a snapshot that came over the stream."""
        self.newest = snapshot
        if snapshot.origin is not None:
            self.missed += snapshot.origin.missed
            self.skipped += snapshot.origin.skipped
            self.restarts += snapshot.origin.restarted


@dataclass(slots=True)
class Contexts:
    """The contexts of one service.

    Attributes:
        arrived_s: Tells when the last snapshot of a context came, by ``now``; None is never.
        rows: Name -> what is known; those that the service no longer has are called removed.
        host: Name of the machine.
        gone: The service does not answer.
    """

    arrived_s: Callable[[str], float | None]
    now: Callable[[], float] = time.monotonic
    rows: dict[str, Row] = field(default_factory=dict)
    host: str = ""
    gone: bool = False

    def row(self, name: str) -> Row:
        """Look a context up; what was never heard of before is known from now on."""
        return self.rows.setdefault(name, Row(name))

    def take_status(self, status: Mapping[str, Any]) -> None:
        """Take the answer to ``status``."""
        self.host, self.gone = status["host"], False
        for each in status["contexts"]:
            row, error = self.row(each["name"]), each.get("error") or {}
            row.state, row.primitive = each["state"], each["primitive"]
            row.reason, row.hint = error.get("message") or each["reason"], each["hint"]
            row.paused, row.healthy = each.get("paused", False), each.get("healthy", True)
            row.waits = each.get("waits", False) and not each.get("targets")
        for name in self.rows.keys() - {each["name"] for each in status["contexts"]}:
            self.rows[name].state = "removed"

    def take_event(self, event: Event) -> None:
        """Take what happened to a context; it is known earlier so than by asking."""
        row = self.row(event.context)
        if event.event in _STATE_OF:
            row.state, row.reason = _STATE_OF[event.event], event.reason
            row.hint = str(event.details.get("hint", ""))
            row.paused = row.paused and row.state == "running"
        elif event.event in ("paused", "resumed"):
            row.paused = event.event == "paused"

    def condition(self, row: Row) -> str:
        """Say in a word how a context is."""
        if row.state != "running":
            return _WORDS.get(row.state, row.state) or "unknown"
        if row.paused and not self.gone:
            return "paused"
        if row.waits and not self.gone:
            return "waiting"
        silent_s = self.silent_s(row)
        if silent_s is None:
            return "no data"
        if self.gone or silent_s > stale_after_s(row.newest):
            return "stale"
        return "running" if row.healthy else "late"

    def silent_s(self, row: Row) -> float | None:
        """Tell for how long no snapshot has come; None if none ever came. Seconds."""
        arrived_s = self.arrived_s(row.name)
        return None if arrived_s is None else self.now() - arrived_s


def stale_after_s(newest: Snapshot | None) -> float:
    """Tell how long a context may be silent, by what its windows take. Seconds."""
    if newest is None:
        return STALE_S
    window_us = max(newest.aggr_us, (newest.end_ns - newest.start_ns) / NSEC_PER_USEC)
    return STALE_S + STALE_WINDOWS * window_us / USEC_PER_SEC


def hint_of(row: Row) -> str:
    """Say what would help a context that does not run."""
    if row.state == "failed":
        return row.hint or "damond status says more"
    return "" if row.state == "running" else row.hint
