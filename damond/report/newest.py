"""The newest window: what is known of the memory at the end, and how sure that is."""

from dataclasses import dataclass
from typing import Self

from damond.core.confidence import smallest_found
from damond.report.extents import NOWHERE, Extents, TouchedSet, common, of_regions
from damond.report.windows import TargetRegions, Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """How sure it is, at the end of a span, that nothing happens where no access was found.

    Attributes:
        cold_bytes: Regions that are known to be cold. Bytes.
        unseen_bytes: Regions without accesses of which not enough is known to call them cold. Bytes.
        smallest_found_bytes: Size from which on a hot area is seen within a minute, with 95 % certainty, wherever it
            is; None where that is not known.
    """

    cold_bytes: int
    unseen_bytes: int
    smallest_found_bytes: int | None

    @classmethod
    def of(cls, windows: Windows) -> Self | None:
        """Judge the last window; None where it does not say how many samples stand behind its regions."""
        last = windows.newest()
        parts = list(last.targets.values())
        if not any(each.nr_samples.any() for each in parts):
            return None
        idle, unseen = (
            sum(int(each.size[chosen].sum()) for each, chosen in zip(parts, rows, strict=True))
            for rows in ([each.nr_accesses == 0 for each in parts], [last.unseen(each) for each in parts])
        )
        return cls(
            cold_bytes=idle - unseen,
            unseen_bytes=unseen,
            smallest_found_bytes=smallest_found(
                int(last.sampled_bytes[0]), int(last.sample_us[0]), int(last.granularity[0])
            ),
        )


@dataclass(slots=True, eq=False)
class Newest:
    """Keeps the last window, while windows come.

    Attributes:
        window: It; None before there is one.
    """

    window: Windows | None = None

    def add(self, windows: Windows) -> None:
        """Take some windows."""
        self.window = windows.newest()

    @property
    def regions(self) -> list[TargetRegions]:
        """Its regions, target by target."""
        return [] if self.window is None else list(self.window.targets.values())

    def untouched_bytes(self, touched: TouchedSet) -> int:
        """Count what is monitored in it and not among what was touched. Bytes."""
        return sum(
            _outside(Extents(regions.start, regions.end), touched.extents.get(target_id, NOWHERE))
            for target_id, regions in self._targets()
        )

    def unseen_bytes(self, touched: TouchedSet) -> int:
        """Count of the same what is not known to be cold. Bytes."""
        window = self.window
        if window is None:
            return 0
        return sum(
            _outside(of_regions(regions, window.unseen(regions)), touched.extents.get(target_id, NOWHERE))
            for target_id, regions in self._targets()
        )

    def _targets(self) -> list[tuple[int, TargetRegions]]:
        return [] if self.window is None else list(self.window.targets.items())


def _outside(there: Extents, touched: Extents) -> int:
    return there.nr_bytes - common(there, touched).nr_bytes
