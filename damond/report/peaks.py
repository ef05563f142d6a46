"""Where a subject was hot at its best time: decides which addresses are drawn and where they are divided."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.report.profile import EMPTY, Profile
from damond.report.subject import Subject
from damond.report.windows import Windows

_MAX_PIECES: Final = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """The greatest heat per address, as far as a sample of the windows shows it.

    Attributes:
        profiles: Target id -> the greatest heat that any few neighbouring windows had on average, per address.
    """

    profiles: dict[int, Profile]

    def targets(self) -> list[int]:
        """List the targets that have regions, the one with the most accesses first."""
        accessed = {each: float((peak.accessed * peak.size).sum()) for each, peak in self.profiles.items()}
        return sorted(accessed, key=lambda each: (-accessed[each], each))


def find_peaks(subject: Subject) -> Peaks:
    """Look at a sample of the windows. Those in which regions still adapt are left out, if there are others."""
    settled: dict[int, Profile] = {}
    everything: dict[int, Profile] = {}
    for windows in subject.sample():
        _raise(everything, windows)
        _raise(settled, windows.take(~windows.adapting))
    return Peaks({each: profile for each, profile in (everything | settled).items() if len(profile)})


def _raise(profiles: dict[int, Profile], windows: Windows) -> None:
    span_ns = windows.span_ns.astype(np.float64)
    for target_id, regions in windows.targets.items():
        if not len(regions):
            continue
        found = Profile.mean(regions.start, regions.end, regions.heat, span_ns[regions.window])
        peak = profiles.get(target_id, EMPTY).combine(found, np.maximum)
        profiles[target_id] = peak.without_seams().coarsen(_MAX_PIECES)
