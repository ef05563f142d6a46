"""What a configuration may say."""

from typing import Any

import pytest

from damond.core import AddrRange
from damond.errors import InvalidOptionError, UnknownNameError
from damond.plugin import parse_options
from damond_kdamond import KdamondPaddrOptions, KdamondVaddrOptions


def parsed(**given: Any) -> KdamondVaddrOptions:
    options = parse_options("kdamond", KdamondVaddrOptions, given)
    assert isinstance(options, KdamondVaddrOptions)
    return options


def test_defaults() -> None:
    """All of a process, from whichever source works."""
    assert parsed() == KdamondVaddrOptions(ops="vaddr", source="auto", ranges=())


def test_ops() -> None:
    """The operations for processes are options; those for physical memory are another primitive."""
    assert parsed(ops="fvaddr", ranges=["4KiB-8KiB"]).ranges == (AddrRange(4096, 8192),)
    with pytest.raises(InvalidOptionError, match="kdamond_paddr"):
        parsed(ops="paddr")
    with pytest.raises(InvalidOptionError, match="must be vaddr or fvaddr"):
        parsed(ops="x")


def test_ranges_need_fvaddr() -> None:
    """Ranges beside vaddr are refused: they would be forgotten at its first update."""
    with pytest.raises(InvalidOptionError, match="fvaddr"):
        parsed(ranges=["4KiB-8KiB"])


def test_source() -> None:
    """A source that is not known is refused."""
    with pytest.raises(UnknownNameError, match="tracepiont"):
        parsed(source="tracepiont")


def test_paddr_options() -> None:
    """Physical memory takes ranges, and no operations."""
    options = parse_options("kdamond_paddr", KdamondPaddrOptions, {"ranges": ["1MiB-2MiB"]})
    assert options.ranges == (AddrRange(1 << 20, 2 << 20),)
    with pytest.raises(UnknownNameError, match="ops"):
        parse_options("kdamond_paddr", KdamondPaddrOptions, {"ops": "paddr"})
