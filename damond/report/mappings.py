"""What processes have mapped: monitored ranges have holes in them, and a hole is no memory."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from damond.core import Snapshot, TargetSnapshot
from damond.core.regions import Addrs

_LINE: Final = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S{3})\S \S+ \S+ (\d+) *(.*)$", re.MULTILINE)
"""A line of /proc/PID/maps: show_map_vma, fs/proc/task_mmu.c, Linux 6.12."""

_GATES: Final = (b"[vsyscall]", b"[vectors]")
"""Shown in maps, and no mapping of the process (get_gate_vma, arch/x86 and arch/arm, Linux 6.12)."""

_DELETED: Final = " (deleted)"

ANONYMOUS: Final = "anonymous"
SHARED: Final = "shared memory"
NO_ACCESS: Final = "reserved"
"""Mapped with no permission at all: address space that is kept free, guards of stacks."""


@dataclass(frozen=True, slots=True, eq=False)
class Mappings:
    """What one process has mapped, by address; sorted and disjoint.

    Attributes:
        start: First address of each mapping. Bytes.
        end: First address behind each mapping. Bytes.
        code: Which of the names each mapping has.
        names: Names for people: ``[heap]``, ``libc.so.6``, ``anonymous``.
    """

    start: Addrs
    end: Addrs
    code: NDArray[np.intp]
    names: tuple[str, ...]

    @classmethod
    def parse(cls, maps: bytes) -> Self:
        """Read the content of /proc/PID/maps."""
        rows = [row for row in _LINE.findall(maps) if row[4] not in _GATES]
        known: dict[str, int] = {}
        code = [known.setdefault(_name(*row[2:]), len(known)) for row in rows]
        start, end = ([int(row[i], 16) for row in rows] for i in range(2))
        return cls(np.array(start, np.uint64), np.array(end, np.uint64), np.array(code, np.intp), tuple(known))

    def __len__(self) -> int:
        return len(self.start)

    def cut(self, target: TargetSnapshot) -> TargetSnapshot:
        """Leave of each region what is mapped: none, one or several pieces, with its counts and their share of samples.

        A sample that hit a hole found no access, so what is left of a region with holes looks colder than it is.
        """
        start, end = self._without_seams()
        region_end = target.start + target.size
        first = np.searchsorted(end, target.start, side="right")
        nr_pieces = np.searchsorted(start, region_end, side="left") - first
        region = np.repeat(np.arange(len(target.start)), nr_pieces)
        piece = np.arange(len(region)) - np.repeat(np.cumsum(nr_pieces) - nr_pieces - first, nr_pieces)
        left = np.maximum(target.start[region], start[piece])
        size = np.minimum(region_end[region], end[piece]) - left
        share = size / target.size[region]
        return replace(
            target,
            start=left,
            size=size,
            nr_accesses=target.nr_accesses[region],
            age=target.age[region],
            nr_samples=(target.nr_samples[region] * share).astype(np.uint32),
        )

    def name(self, start: int, end: int) -> str:
        """Name what is in a range: "" is nothing, ``libc.so.6`` half of it or more, ``libc.so.6 +7`` less."""
        first = int(np.searchsorted(self.end, np.uint64(start), side="right"))
        behind = int(np.searchsorted(self.start, np.uint64(end), side="left"))
        if first >= behind:
            return ""
        within = slice(first, behind)
        size = np.minimum(self.end[within], np.uint64(end)) - np.maximum(self.start[within], np.uint64(start))
        by_name = np.bincount(self.code[within], size.astype(np.float64))
        mixed = 2 * by_name.max() < by_name.sum()
        return self.names[int(by_name.argmax())] + (f" +{np.count_nonzero(by_name) - 1}" if mixed else "")

    def _without_seams(self) -> tuple[Addrs, Addrs]:
        """Join mappings that have no gap between them."""
        seam = self.end[:-1] == self.start[1:]
        there = np.ones(min(len(self), 1), np.bool_)
        return self.start[np.concatenate([there, ~seam])], self.end[np.concatenate([~seam, there])]


MapsByTarget = Mapping[int, Mappings]
"""Target id -> what its process has mapped; a target that is no process is not in it."""

NOTHING_MAPPED: Final[MapsByTarget] = MappingProxyType({})
"""No target is a process, or nothing is known about any."""


def cut(snapshot: Snapshot, maps: MapsByTarget) -> Snapshot:
    """Leave of every target what is mapped; one whose mappings are not known stays whole."""
    if not maps:
        return snapshot
    targets = (maps[each.id].cut(each) if each.id in maps else each for each in snapshot.targets)
    return replace(snapshot, targets=tuple(targets))


def _name(permissions: bytes, inode: bytes, path: bytes) -> str:
    """Name a mapping as short as it can be told from others."""
    text = path.decode(errors="replace").removesuffix(_DELETED)
    if permissions == b"---":
        return NO_ACCESS
    if not text:
        return ANONYMOUS if inode == b"0" else SHARED
    if text.startswith("["):
        return text
    # Shared memory without a name is a file of this one (shmem_zero_setup, mm/shmem.c, Linux 6.12).
    return SHARED if text == "/dev/zero" else os.path.basename(text).removeprefix("memfd:")  # noqa: PTH119 - no file
