"""Takes snapshots while a monitor runs, however long, and draws or sums up what they held."""

from dataclasses import dataclass, field

from damond.core import Snapshot
from damond.report.heatmap import Heatmap, rasterise
from damond.report.history import History
from damond.report.touched import Touched, TouchedCounter


@dataclass(slots=True)
class Accumulator:
    """A run in bounded memory: time becomes coarser by two whenever the history is full.

    Attributes:
        history: The run in time slices.
        counter: What was touched.
    """

    history: History = field(default_factory=History)
    counter: TouchedCounter = field(default_factory=TouchedCounter)

    def add(self, snapshot: Snapshot) -> None:
        """Take one snapshot; they come in the order of time."""
        self.history.add(snapshot)
        self.counter.add(snapshot)

    def targets(self) -> list[int]:
        """List the targets that have regions, the one with the most accesses first."""
        accessed = {
            target_id: float((peak.accessed * peak.size).sum())
            for target_id, peak in self.counter.peaks.items()
            if len(peak)
        }
        return sorted(accessed, key=lambda target_id: (-accessed[target_id], target_id))

    def heatmap(
        self,
        target_id: int | None = None,
        *,
        nr_times: int = 64,
        nr_addrs: int = 40,
        everything: bool = False,
    ) -> Heatmap | None:
        """Draw one target: the hottest addresses, or everything that was monitored.

        Args:
            target_id: The target; None is the one with the most accesses.
            nr_times: Rows, time.
            nr_addrs: Columns, addresses.
            everything: Draw all that was monitored.

        Returns:
            The heat map, or None if nothing was monitored (of that target).
        """
        known = self.targets()
        if target_id is None and known:
            target_id = known[0]
        if target_id is None or target_id not in known:
            return None
        return rasterise(
            self.history.slices,
            self.counter.peaks[target_id],
            target_id,
            nr_times=nr_times,
            nr_addrs=nr_addrs,
            everything=everything,
        )

    def touched(self, rss_bytes: int | None = None) -> Touched:
        """Say how much was touched; ``rss_bytes`` is handed on for comparison."""
        return self.counter.touched(rss_bytes)
