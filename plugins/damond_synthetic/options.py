"""The options of the primitive: an address space and what happens in it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from damond.core import AddrRange
from damond.errors import InvalidOptionError, nearest
from damond.plugin import option
from damond.units import PAGE_SIZE
from damond_synthetic.memory import Memory
from damond_synthetic.presets import DEFAULT_PRESET, LEAST_PAGES, PRESETS
from damond_synthetic.tables import parse_pages, read_table
from damond_synthetic.track_options import TrackOptions, idle_keys

ADDRESS_LIMIT: Final = 2**52
"""Addresses stay below what a float64 holds exactly; physical addresses of x86-64 have 52 bits too."""

SIZE_LIMIT: Final = 2**47
"""Bytes of the user half of an address space with four levels of page tables on x86-64."""

DEFAULT_SIZE: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticOptions:
    """An address space and what happens in it; ``memory()`` makes both.

    Attributes:
        size: Bytes of the one area, 1 GiB if not given.
        start: Where the one area begins.
        areas: Instead of ``size`` and ``start``: several mappings, ``{start, size}`` each, by address.
        seed: Of all chance in the memory.
        block: Pages that one check looks at: the aligned block around the sampling address.
        preset: A ready-made script.
        tracks: The activities: tables with the keys of :class:`TrackOptions`.
    """

    size: int | None = option(None, parse=parse_pages, help="bytes of the address space; 1GiB if not given")
    start: int = option(0, parse=parse_pages, help="its first address")
    areas: tuple[Mapping[str, Any], ...] = option((), help="instead: several mappings, {start, size} each")
    seed: int = option(0, help="same seed, same accesses")
    block: int = option(1, choices=tuple(2**k for k in range(10)), help="pages that one check looks at at once")
    preset: str | None = option(None, help=f"a script: {', '.join(PRESETS)}; without tracks: {DEFAULT_PRESET}")
    tracks: tuple[Mapping[str, Any], ...] = option((), help="the activities, a table each")

    def __post_init__(self) -> None:
        self.memory()

    def memory(self) -> Memory:
        """Make the memory that the options describe.

        Raises:
            InvalidOptionError: They describe none; every problem is listed.
        """
        problems = self._problems()
        areas = self._areas(problems)
        _raise(problems)
        tables = self.tracks or PRESETS[self.preset or DEFAULT_PRESET](areas[0].size)
        if not self.tracks and areas[0].size < LEAST_PAGES * PAGE_SIZE:
            _raise([f"size: a preset needs at least {LEAST_PAGES} pages"])
        tracks = []
        for index, table in enumerate(tables):
            given = read_table(f"tracks[{index}]", table, TrackOptions, problems)
            found = [] if given is None else given.problems(areas) + idle_keys(given, table)
            problems += [f"tracks[{index}]: {problem}" for problem in found]
            if not problems:
                tracks.append(given.track(areas))
        _raise(problems)
        return Memory(areas, tracks)

    def _problems(self) -> list[str]:
        checks = {
            "seed: must be from 0 to 2**64 - 1": 0 <= self.seed < 2**64,
            "preset, tracks: only one can be given": self.preset is None or not self.tracks,
            "areas: size and start can't be given beside them": not self.areas
            or (self.size is None and not self.start),
        }
        if self.preset is not None and self.preset not in PRESETS:
            checks[f"unknown preset {self.preset!r}: {nearest(self.preset, PRESETS)}"] = False
        return [problem for problem, holds in checks.items() if not holds]

    def _areas(self, problems: list[str]) -> Sequence[AddrRange]:
        if not self.areas:
            return _valid_areas([(self.start, DEFAULT_SIZE if self.size is None else self.size)], problems)
        read = [read_table(f"areas[{index}]", table, _AreaOptions, problems) for index, table in enumerate(self.areas)]
        return _valid_areas([(each.start, each.size) for each in read if each is not None], problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class _AreaOptions:
    start: int = option(0, parse=parse_pages)
    size: int = option(DEFAULT_SIZE, parse=parse_pages)


def _valid_areas(given: Sequence[tuple[int, int]], problems: list[str]) -> Sequence[AddrRange]:
    areas = [AddrRange(start, start + size) for start, size in given if size]
    checks = {
        "size: must be above 0": len(areas) == len(given),
        f"size: must be at most {SIZE_LIMIT:#x} altogether": sum(area.size for area in areas) <= SIZE_LIMIT,
        f"areas: must end below {ADDRESS_LIMIT:#x}": all(area.end <= ADDRESS_LIMIT for area in areas),
        "areas: must be sorted by address, without overlap": all(
            left.end <= right.start for left, right in itertools.pairwise(areas)
        ),
    }
    problems += [problem for problem, holds in checks.items() if not holds]
    return areas


def _raise(problems: Sequence[str]) -> None:
    if problems:
        raise InvalidOptionError(
            "\n  - ".join(["synthetic: what can't be used of the options:", *problems]),
            hint="mend what is listed; 'python3 -m pydoc damond_synthetic.track_options' explains every key",
        )
