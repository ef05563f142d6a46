"""What is kept of a context that is, or was, shown: its recent past, and what its processes have mapped."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from damond.cli.maps import MapsReader
from damond.core import Snapshot
from damond.core.mappings import NOTHING_MAPPED, MapsByTarget, cut
from damond.report.recent import Recent
from damond.report.scrolling import Scrolling
from damond.report.series import WorkingSets

MAX_DIGESTED: Final = 64
"""Snapshots that are worked in at a time, 0.2 ms each: a replay of hundreds must not stop the keys."""

MAX_PROCESSES: Final = 128
"""Of contexts with more targets nothing is read of mappings: each takes an open file, and time."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A context at one time: what all panels show together.

    Attributes:
        snapshot: As it came.
        memory: The same without what is known to be no memory.
        maps: What the targets had mapped.
        end_ns: Where time ends in the panels. Unix time, nanoseconds.
    """

    snapshot: Snapshot
    memory: Snapshot
    maps: MapsByTarget
    end_ns: int


class Shown:
    """One context. Snapshots are put into a queue, and worked in when there is time.

    Attributes:
        name: Of the context.
        recent: Where the accesses were.
        working_sets: How much was accessed.
        scrolling: The heat map of it.
        moment: The newest that was worked in; None before the first.
        last: Epoch and seq of that; what is not newer is known already.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.recent = Recent()
        self.working_sets = WorkingSets()
        self.scrolling = Scrolling(self.recent)
        self.moment: Moment | None = None
        self.last = (0, -1)
        self._queue: deque[Snapshot] = deque()
        self._waits = False
        self._reader = MapsReader()

    def expect_past(self) -> None:
        """Hold back what comes until :meth:`add_past`, so that all is in the order of time."""
        self._waits = True

    def add_past(self, snapshots: Iterable[Snapshot]) -> None:
        """Put what was published before in front."""
        self._queue.extendleft(reversed(list(snapshots)))
        self._waits = False

    def add(self, snapshots: Iterable[Snapshot]) -> None:
        """Take what has just come."""
        self._queue.extend(snapshots)

    def digest(self, at_most: int = MAX_DIGESTED) -> bool:
        """Work in what waits; return whether there was anything."""
        if self._waits or not self._queue:
            return False
        for _ in range(min(at_most, len(self._queue))):
            self._work_in(self._queue.popleft())
        return True

    def _work_in(self, snapshot: Snapshot) -> None:
        if snapshot.origin is not None:
            epoch, seq = snapshot.origin.epoch, snapshot.origin.seq
            if epoch == self.last[0] and seq <= self.last[1]:
                return
            self.last = (epoch, seq)
        maps = self._maps(snapshot)
        memory = cut(snapshot, maps)
        self.recent.add(memory)
        self.working_sets.add(memory)
        self.moment = Moment(snapshot, memory, maps, self.recent.end_ns)

    def _maps(self, snapshot: Snapshot) -> MapsByTarget:
        """Read what is mapped, of targets that are processes that can be looked at."""
        if not 0 < sum(each.pid is not None for each in snapshot.targets) <= MAX_PROCESSES:
            return NOTHING_MAPPED
        if len(self._reader) > 2 * MAX_PROCESSES:  # of those that have ended
            self._reader.close()
        found = self._reader.read(snapshot)
        # A process that shares no address with its target is another one: of another pid namespace, say.
        return {each.id: found[each.id] for each in snapshot.targets if each.id in found and found[each.id].holds(each)}

    def close(self) -> None:
        """Let go of the processes."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
