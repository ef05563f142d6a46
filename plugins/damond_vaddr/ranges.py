"""Three regions of an address space: all of it but the two big holes beside the heap and the stack."""

import itertools
import re
from collections.abc import Sequence
from typing import Final

from damond.core import MIN_REGION_SZ, AddrRange
from damond.core.adaptation import evenly_split
from damond.core.adaptation import set_ranges as apply_three_regions
from damond.core.regions import align_up
from damond.errors import InvalidRegionError

__all__ = ["apply_three_regions", "evenly_split", "parse_maps", "three_regions"]

_MAPPING: Final = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \S+ *(.*)$", re.MULTILINE)

_GATES: Final = (b"[vsyscall]", b"[vectors]")
"""Shown in maps, and no mapping of the process (get_gate_vma, arch/x86 and arch/arm, Linux 6.12)."""


def parse_maps(data: bytes) -> list[AddrRange]:
    """Read the mappings of a process from the content of /proc/PID/maps."""
    return [
        AddrRange(int(start, 16), int(end, 16)) for start, end, name in _MAPPING.findall(data) if name not in _GATES
    ]


def three_regions(mappings: Sequence[AddrRange], min_region_sz: int = MIN_REGION_SZ) -> list[AddrRange]:
    """Cover mappings by three ranges, leaving out the two biggest gaps between them.

    __damon_va_three_regions, Linux 5.15 (mm/damon/vaddr.c): of equal gaps the first counts, and bounds are rounded up.

    Args:
        mappings: Sorted by address.
        min_region_sz: Alignment. Bytes.

    Raises:
        InvalidRegionError: There are no two gaps, hence no three ranges.
    """
    gaps = [AddrRange(a.end, b.start) for a, b in itertools.pairwise(mappings) if a.end < b.start]
    biggest = sorted(gaps, key=lambda gap: -gap.size)[:2]  # sorted() is stable: the first of equals stays the first
    if len(biggest) < 2:  # noqa: PLR2004 - three ranges have two gaps
        raise InvalidRegionError(
            f"{len(mappings)} mappings with {len(gaps)} gaps between them can't be covered by three regions",
            hint="wait until it has mapped more, or give its regions",
        )
    first, second = sorted(biggest)
    bounds = [mappings[0].start, first.start, first.end, second.start, second.end, mappings[-1].end]
    return [
        AddrRange(align_up(start, min_region_sz), align_up(end, min_region_sz))
        for start, end in zip(bounds[::2], bounds[1::2], strict=True)
    ]
