"""What processes have mapped: monitored ranges have holes in them, and a hole is no memory."""

import bisect
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from damond.core import Snapshot, TargetSnapshot
from damond.core.regions import Addrs

_LINE: Final = re.compile(rb"^([0-9a-f]+)-([0-9a-f]+) (\S{3})\S \S+ \S+ (\d+) *(.*)$", re.MULTILINE)
"""A line of /proc/PID/maps: show_map_vma, fs/proc/task_mmu.c, Linux 6.12."""

_GATES: Final = (b"[vsyscall]", b"[vectors]")
"""Shown in maps, and no mapping of the process (get_gate_vma, arch/x86 and arch/arm, Linux 6.12)."""

_DELETED: Final = " (deleted)"

MAX_FACTOR: Final = 2.0
"""How many times hotter a region may be taken to be because of its holes: from here on hardly a sample hit memory."""

ANONYMOUS: Final = "anonymous"
SHARED: Final = "shared memory"
NO_ACCESS: Final = "reserved"
"""Mapped with no permission at all: address space that is kept free, guards of stacks."""


class Pieces(NamedTuple):
    """Parts of ranges.

    Attributes:
        region: Row of the range that each is a part of.
        start: First address. Bytes.
        end: First address behind. Bytes.
    """

    region: NDArray[np.intp]
    start: Addrs
    end: Addrs


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
        return cls.of((int(row[0], 16), int(row[1], 16), _name(*row[2:])) for row in rows)

    def __len__(self) -> int:
        return len(self.start)

    @classmethod
    def of(cls, rows: Iterable[tuple[int, int, str]]) -> Self:
        """Take mappings as start, end (bytes) and name; sorted and disjoint."""
        found = list(rows)
        known: dict[str, int] = {}
        code = [known.setdefault(name, len(known)) for _, _, name in found]
        start, end = ([row[i] for row in found] for i in range(2))
        return cls(np.array(start, np.uint64), np.array(end, np.uint64), np.array(code, np.intp), tuple(known))

    def cut(self, target: TargetSnapshot) -> TargetSnapshot:
        """Leave of each region what is mapped: none, one or several pieces, with its age.

        Accesses are those of the region as :func:`unmixed` has them; samples are shared by size, as when regions are
        split.
        """
        cut = self.pieces(target.start, target.start + target.size)
        if cut is None:
            return target
        size = cut.end - cut.start
        accesses = np.rint(unmixed(target.nr_accesses, cut.region, size, target.size)).astype(np.uint32)
        samples = target.nr_samples[cut.region] * (size / target.size[cut.region])
        return replace(
            target,
            start=cut.start,
            size=size,
            nr_accesses=accesses,
            age=target.age[cut.region],
            nr_samples=samples.astype(np.uint32),
        )

    def pieces(self, start: Addrs, end: Addrs) -> Pieces | None:
        """Say what of some ranges is mapped, range by range; None if all of all ranges is."""
        mapped_start, mapped_end = self._without_seams()
        first = np.searchsorted(mapped_end, start, side="right")
        nr_pieces = np.searchsorted(mapped_start, end, side="left") - first
        if len(self) and (nr_pieces == 1).all() and _within(start, end, mapped_start[first], mapped_end[first]):
            return None
        region = np.repeat(np.arange(len(start)), nr_pieces)
        piece = np.arange(len(region)) - np.repeat(np.cumsum(nr_pieces) - nr_pieces - first, nr_pieces)
        return Pieces(
            region, np.maximum(start[region], mapped_start[piece]), np.minimum(end[region], mapped_end[piece])
        )

    def holds(self, target: TargetSnapshot) -> bool:
        """Say whether anything of a target is mapped."""
        return bool(len(self.cut(target).start))

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


@dataclass(frozen=True, slots=True, eq=False)
class MapsOverTime:
    """What processes had mapped when.

    Attributes:
        versions: Target id -> from when on what was mapped, in the order of time. Nanoseconds, Unix time.
    """

    versions: Mapping[int, Sequence[tuple[int, Mappings]]] = field(default_factory=dict)

    def between(self, target_id: int, from_ns: int, to_ns: int) -> Sequence[tuple[int, Mappings]]:
        """List the versions of a span, that of its begin first: the earliest, if none is as old; [] is not known."""
        known = self.versions.get(target_id, ())
        times = [time_ns for time_ns, _ in known]
        first = max(bisect.bisect_right(times, from_ns) - 1, 0)
        return known[first : max(bisect.bisect_left(times, to_ns), first + 1)]

    def newest(self, before_ns: int) -> dict[int, Mappings]:
        """Return what each target had mapped at some time."""
        return {each: self.between(each, before_ns, before_ns)[0][1] for each, known in self.versions.items() if known}


def unmixed(values: NDArray[Any], region: NDArray[np.intp], size: Addrs, region_size: Addrs) -> NDArray[np.float64]:
    """Put what samples found in whole regions down to the pieces of them that are mapped.

    A sample that hit a hole found no access, so a region of which two thirds are mapped was found accessed in two
    thirds of the samples at most: what was counted is divided by that share. (Size times accesses, as in sums over
    memory, is the same before and after.) Of a region that is hardly mapped only few samples say anything: they are
    not taken for more than twice what they are, so that one hit does not make it hot.

    Args:
        values: Of each region: accesses, or heat.
        region: Row of the region that each piece belongs to.
        size: Bytes of each piece.
        region_size: Bytes of each region.
    """
    mapped = np.bincount(region, size.astype(np.float64), minlength=len(region_size))
    factor = region_size / np.maximum(mapped, region_size / MAX_FACTOR)
    result: NDArray[np.float64] = values[region] * factor[region]
    return result


def cut(snapshot: Snapshot, maps: MapsByTarget) -> Snapshot:
    """Leave of every target what is mapped; one whose mappings are not known stays whole."""
    if not maps:
        return snapshot
    most = np.uint32(snapshot.max_nr_accesses)
    cuts = (maps[each.id].cut(each) if each.id in maps else each for each in snapshot.targets)
    targets = (replace(each, nr_accesses=np.minimum(each.nr_accesses, most)) for each in cuts)
    return replace(snapshot, targets=tuple(targets))


def _within(start: Addrs, end: Addrs, outer_start: Addrs, outer_end: Addrs) -> bool:
    return bool((start >= outer_start).all() and (end <= outer_end).all())


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
    return SHARED if text == "/dev/zero" else text.rsplit("/", 1)[-1].removeprefix("memfd:")
