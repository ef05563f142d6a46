"""Which mappings of a process were accessed (/proc/PID/clear_refs and smaps): coarse, and without privilege."""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond_accessbits.words import Words

CLEAR_ALL: Final = b"1"
"""What to write to clear_refs: all pages of the process (CLEAR_REFS_ALL, fs/proc/task_mmu.c, Linux 6.12)."""

_MAPPING: Final = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) ", re.MULTILINE)
_REFERENCED: Final = re.compile(rb"^Referenced: +(\d+) kB", re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Smaps:
    """What smaps says about accesses: one row per mapping, in address order.

    Attributes:
        start: First address. Bytes.
        end: First address behind the mapping. Bytes.
        referenced: Whether any page of it was accessed since the last write to clear_refs.
    """

    start: Words
    end: Words
    referenced: NDArray[np.bool_]

    def accessed(self, addrs: Words) -> NDArray[np.bool_]:
        """Say which addresses lie in a mapping that was accessed; outside of all mappings is not accessed."""
        row = np.searchsorted(self.start, addrs, side="right") - 1
        inside = row >= 0
        inside[inside] = addrs[inside] < self.end[row[inside]]
        inside[inside] = self.referenced[row[inside]]
        return inside


def parse_smaps(data: bytes) -> Smaps:
    """Read the content of smaps.

    The text of one mapping is never torn by the kernel (seq_read_iter, fs/seq_file.c, Linux 6.12): a mapping and its
    count are both there or neither is.
    """
    bounds = _MAPPING.findall(data)
    referenced = [int(kib) > 0 for kib in _REFERENCED.findall(data)]
    return Smaps(
        np.array([int(start, 16) for start, _ in bounds], np.uint64),
        np.array([int(end, 16) for _, end in bounds], np.uint64),
        np.array(referenced, bool),
    )
