"""How much a picture can be trusted: what is cold, what was merely not seen, and what would have been missed.

A check looks at one page (or block) of a region and sees whether it was touched within one sampling interval. Where n
of them found nothing, at most a share s of the region is touched so often, with 95 % certainty, if
``(1 - s) ** n <= 0.05``: 59 samples leave 5 %, 299 leave 1 %.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core.regions import MIN_REGION_SZ, Addrs, Counts
from damond.units import USEC_PER_SEC

MISSED: Final = 0.05
"""Chance to be wrong: what is said here is said with 95 % certainty."""

COLD_SHARE: Final = 0.05
"""A region is cold if no more than this part of it can be touched within a sampling interval."""

COLD_SHARE_OF_ALL: Final = 0.01
"""And no more than this part of all that is monitored: 5 % of a region of 300 GiB would be a lot to miss."""

HOT_PER_S: Final = 5.0
"""Touches per second and page of memory that is called hot: the threshold of Telescope (ATC'24), five in a second."""

WITHIN_US: Final = 60 * USEC_PER_SEC
"""Time in which a hot area is to be found. Microseconds."""

_USEFUL_US: Final = 370_000
"""A sampling interval that sees 84 % of the checks of hot pages; where in-kernel DAMON settles, too."""

_WORTH_IT: Final = 0.5
"""Advice is given for areas this much smaller."""


def is_cold(
    size: Addrs | NDArray[np.float64],
    nr_accesses: Counts,
    nr_samples: Counts,
    total_bytes: int | NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Say which regions are known to be cold; one without accesses that is not cold is *unseen*.

    Args:
        size: Of the regions. Bytes.
        nr_accesses: Accesses found.
        nr_samples: Samples that stand behind that.
        total_bytes: All that is monitored; of regions of several windows, for each of them.
    """
    share = np.minimum(COLD_SHARE, COLD_SHARE_OF_ALL * total_bytes / np.maximum(size.astype(np.float64), 1.0))
    result: NDArray[np.bool_] = (nr_accesses == 0) & (nr_samples * np.log1p(-share) <= math.log(MISSED))
    return result


def touched_share(sample_us: float, pages: int) -> float:
    """Give the chance that a check of so many hot pages sees one touched within a sampling interval."""
    return -math.expm1(-HOT_PER_S * pages * sample_us / USEC_PER_SEC)


def smallest_found(region_bytes: int, sample_us: int, granularity: int) -> int | None:
    """Say how large a hot area in a region must be to be seen within a minute, with 95 % certainty. Bytes.

    Each sample looks at one place of the region, evenly: it hits the area with the chance ``area / region`` and finds
    it touched with :func:`touched_share`; of as many samples as a minute has, one must. An area larger than the
    region is looked at in several.

    Args:
        region_bytes: The region that the area is in: the largest that is sampled as one, for an answer that holds
            wherever it is.
        sample_us: Sampling interval. Microseconds.
        granularity: Bytes that a check looks at.

    Returns:
        Bytes, at least ``granularity``; None where there is no answer: a minute has no sample, there is no region,
        or a check looks at whole mappings.
    """
    samples = WITHIN_US // sample_us
    if not samples or not region_bytes or not granularity:
        return None
    # What was written down where pages are larger than here says no less than one.
    touched = touched_share(sample_us, max(1, granularity // MIN_REGION_SZ))
    hit = -math.expm1(math.log(MISSED) / samples)
    if hit <= touched:
        return max(granularity, math.ceil(region_bytes * hit / touched))
    return math.ceil(region_bytes * math.log(MISSED) / (samples * math.log1p(-touched)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Settings that would find smaller hot areas.

    Attributes:
        sample_us: Sampling interval. Microseconds.
        max_nr_regions: Greatest number of regions.
        found_bytes: Hot areas from this size on would be found.
        cost: What it would cost, relative to now.
    """

    sample_us: int
    max_nr_regions: int
    found_bytes: int
    cost: float


def advise(region_bytes: int, sample_us: int, granularity: int, max_nr_regions: int) -> Advice | None:
    """Say what would find areas half as large or smaller, or nothing if nothing does.

    Short intervals miss what they hit: it was not touched just then. A longer one sees more of each check, and for the
    same cost there may be more regions, in the same proportion. Where intervals are long already, shorter ones help.

    Args:
        region_bytes: As in :func:`smallest_found`.
        sample_us: Sampling interval now. Microseconds.
        granularity: Bytes that a check looks at.
        max_nr_regions: Regions that there may be now.
    """
    if not region_bytes or not granularity:
        return None
    now = smallest_found(region_bytes, sample_us, granularity)
    times = max(1.0, _USEFUL_US / sample_us)
    most = int(max_nr_regions * times)
    then = smallest_found(max(int(region_bytes / times), MIN_REGION_SZ), _USEFUL_US, granularity)
    if not then or (now is not None and then > _WORTH_IT * now):
        return None
    cost = max(1.0, sample_us / _USEFUL_US)
    return Advice(sample_us=_USEFUL_US, max_nr_regions=most, found_bytes=then, cost=cost)
