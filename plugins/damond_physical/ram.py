"""Where the memory of a machine is."""

import itertools
import re
from collections.abc import Iterable
from typing import Final

from damond.core import MIN_REGION_SZ, AddrRange
from damond.core.regions import align_down, align_up
from damond.errors import SourceUnavailableError
from damond.units import PAGE_SIZE, parse_size
from damond_accessbits import Root

_SYSTEM_RAM: Final = re.compile(rb"^ *([0-9a-f]+)-([0-9a-f]+) : System RAM", re.MULTILINE)
_NODE: Final = re.compile(rb"^Node ", re.MULTILINE)
_ZONE: Final = re.compile(rb"^ +spanned +(\d+)$.*?^ +start_pfn: +(\d+)$", re.MULTILINE | re.DOTALL)


def system_ram(root: Root) -> list[AddrRange]:
    """Return the ranges of memory, sorted, aligned to pages.

    /proc/iomem says it best, but holds zeros for all without CAP_SYS_ADMIN, and nothing on some machines (user-mode
    Linux); there the zones in /proc/zoneinfo must do, which have holes.

    Raises:
        SourceUnavailableError: Neither of them tells.
    """
    ranges = _parse_iomem(_content(root, "proc/iomem")) or _parse_zoneinfo(_content(root, "proc/zoneinfo"))
    if not ranges:
        raise SourceUnavailableError(
            "physical",
            "neither /proc/iomem nor /proc/zoneinfo says where the memory is",
            hint='run as root, or give the option ranges = ["START-END", ...]',
        )
    return ranges


def _content(root: Root, relative: str) -> bytes:
    try:
        return root.read(relative)
    except (FileNotFoundError, PermissionError):
        return b""


def _parse_iomem(data: bytes) -> list[AddrRange]:
    """Read the ranges called "System RAM"; their last address is part of them."""
    found = [(int(start, 16), int(last, 16) + 1) for start, last in _SYSTEM_RAM.findall(data)]
    return _whole_pages((start, end) for start, end in found if end > 1)


def _parse_zoneinfo(data: bytes) -> list[AddrRange]:
    """Read the zones: ``spanned`` frames from ``start_pfn`` on, holes included."""
    # One by one: a zone without a frame has no start_pfn (zoneinfo_show_print, mm/vmstat.c, Linux 6.12).
    found = [_ZONE.search(each) for each in _NODE.split(data)]
    zones = [(int(each[2]) * PAGE_SIZE, int(each[1]) * PAGE_SIZE) for each in found if each]
    return _whole_pages((start, start + size) for start, size in zones if size)


def _whole_pages(found: Iterable[tuple[int, int]]) -> list[AddrRange]:
    """Keep the pages that lie in a range as a whole, and let no two ranges overlap (zones of two nodes may)."""
    ranges: list[AddrRange] = []
    for start, end in sorted(found):
        first = max(align_up(start, MIN_REGION_SZ), ranges[-1].end if ranges else 0)
        last = align_down(end, MIN_REGION_SZ)
        if first < last:
            ranges.append(AddrRange(first, last))
    return ranges


def parse_ranges(given: object) -> tuple[AddrRange, ...]:
    """Read the option ``ranges``: ``"START-END"`` texts, each bound in hexadecimal (0x...) or with a unit (1GiB).

    Raises:
        ValueError: A text is no range, or two of them overlap.
    """
    texts = given.split(",") if isinstance(given, str) else given
    if not isinstance(texts, list | tuple) or not all(isinstance(each, str) for each in texts):
        raise ValueError('a list of texts such as "0x100000-0x80000000" or "1MiB-2GiB" is needed')
    ranges = sorted(_parse_range(text) for text in texts)
    for left, right in itertools.pairwise(ranges):
        if right.start < left.end:
            raise ValueError(f"{right.start:#x}-{right.end:#x} overlaps {left.start:#x}-{left.end:#x}")
    return tuple(ranges)


def _parse_range(text: str) -> AddrRange:
    start, dash, end = text.strip().partition("-")
    if not dash:
        raise ValueError(f"{text!r} has no '-' between START and END")
    return AddrRange(align_down(_parse_addr(start), MIN_REGION_SZ), align_up(_parse_addr(end), MIN_REGION_SZ))


def _parse_addr(text: str) -> int:
    text = text.strip()
    return int(text, 16) if text.lower().startswith("0x") else parse_size(text)
