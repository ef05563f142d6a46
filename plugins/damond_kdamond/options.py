"""What the configuration of a context may say."""

from dataclasses import dataclass
from typing import Final

from damond.core import AddrRange
from damond.plugin import option
from damond_physical.ram import parse_ranges

SOURCES: Final = ("tracepoint", "tried_regions")
"""Where results are read from, in the order in which they are tried."""


def _parse_ops(given: object) -> str:
    if given == "paddr":
        raise ValueError("physical memory is the business of the primitive kdamond_paddr")
    if given not in ("vaddr", "fvaddr"):
        raise ValueError("must be vaddr or fvaddr")
    return str(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    source: str = option("auto", help="where results are read from", choices=("auto", *SOURCES))


@dataclass(frozen=True, slots=True, kw_only=True)
class KdamondVaddrOptions(_Common):
    """What the configuration of a context may say about the primitive ``kdamond``."""

    ops: str = option("vaddr", help="vaddr (all of a process), fvaddr (given ranges only)", parse=_parse_ops)
    ranges: tuple[AddrRange, ...] = option(
        default=(),
        help='with fvaddr: ranges of each process, such as "0x7f0000000000-0x7f0010000000"',
        parse=parse_ranges,
    )

    def __post_init__(self) -> None:
        if self.ranges and self.ops != "fvaddr":
            raise ValueError('ranges need ops = "fvaddr": vaddr takes all of the process')


@dataclass(frozen=True, slots=True, kw_only=True)
class KdamondPaddrOptions(_Common):
    """What the configuration of a context may say about the primitive ``kdamond_paddr``."""

    ranges: tuple[AddrRange, ...] = option(
        default=(), help='ranges of addresses, such as "1MiB-2GiB"; all System RAM if empty', parse=parse_ranges
    )
