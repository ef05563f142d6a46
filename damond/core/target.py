"""Monitoring targets: what is watched, and its regions."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from damond.core.regions import AddrRange, Regions


@dataclass(slots=True, eq=False)
class Target:
    """One thing to monitor within a context (``struct damon_target``).

    A target lives as long as its context; its regions are made by the primitive (or given by the user),
    adapted once per aggregation, and dropped when the monitoring ends.

    Attributes:
        id: Unique among the targets of the context. What it means is the primitive's business: a pid for
            ``vaddr``, a number for others.
        regions: The regions, sorted by address.
        pid: The process behind the target, or None where the target is no process.
        found: It was not named, but found by what it is: it may have ended since, which is no error.
    """

    id: int
    regions: Regions = field(default_factory=Regions)
    pid: int | None = None
    found: bool = False

    def set_ranges(self, ranges: Iterable[AddrRange | tuple[int, int]]) -> None:
        """Start over with these ranges as regions; counters and ages are zero."""
        self.regions = Regions(ranges)
