"""What the monitoring loop needs of the world: time, a reason to stop, and somebody who takes what it finds."""

from typing import Protocol

from damond.core.attrs import Attrs
from damond.core.context import Context
from damond.core.primitive import Primitive
from damond.core.snapshot import Snapshot


class Clock(Protocol):
    """Where the loop's time comes from."""

    def wall_ns(self) -> int:
        """Return Unix time. Nanoseconds."""

    def monotonic_ns(self) -> int:
        """Return a time that never steps. Nanoseconds."""

    def cpu_us(self) -> int:
        """Return the CPU time that the monitoring has used. Microseconds."""


class StopSource(Protocol):
    """Sleeping and listening are one thing (``kdamond_need_stop``)."""

    def wait(self, timeout_s: float) -> bool:
        """Wait that long, or until the monitoring is to stop: then return True at once."""


class Sink(Protocol):
    """Who takes what the monitoring finds."""

    def started(self, ctx: Context, primitive: Primitive) -> None:
        """Take note that the regions are there and sampling begins."""

    def aggregated(self, snapshot: Snapshot) -> None:
        """Take the result of one aggregation."""

    def tuned(self, ctx: Context, old: Attrs) -> None:
        """Take note that the attributes have changed, as somebody asked for."""

    def paced(self, ctx: Context, old: Attrs) -> None:
        """Take note that goal or budget have changed the attributes: up to once per aggregation."""
