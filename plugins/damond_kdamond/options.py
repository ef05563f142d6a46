"""What the configuration of a context may say."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

from damond.core import AddrRange, Attrs
from damond.errors import InvalidAttrsError
from damond.plugin import option
from damond_physical.ram import parse_ranges

SOURCES: Final = ("tracepoint", "tried_regions")
"""Where results are read from, in the order in which they are tried."""

_BP: Final = 10_000


@dataclass(frozen=True, slots=True)
class IntervalsGoal:
    """How many of the possible accesses the kernel is to see, by tuning the intervals (Linux 6.15).

    Defaults are those that the kernel's documentation recommends: 4 % and 3 aggregations, 5 ms to 10 s.

    Attributes:
        access_bp: Observed accesses as a share of the greatest possible number. 1/10,000.
        aggrs: Aggregations from one adjustment to the next.
        min_sample_us: Least sampling interval. Microseconds.
        max_sample_us: Greatest sampling interval. Microseconds.
    """

    access_bp: int = 400
    aggrs: int = 3
    min_sample_us: int = 5_000
    max_sample_us: int = 10_000_000

    def __post_init__(self) -> None:
        if not 1 <= self.access_bp <= _BP:
            raise ValueError(f"access_bp = {self.access_bp}: must be from 1 to {_BP} (400 is 4 %)")
        if self.aggrs < 1:
            raise ValueError(f"aggrs = {self.aggrs}: must be at least 1")
        if not 1 <= self.min_sample_us <= self.max_sample_us:
            raise ValueError(
                f"min_sample_us = {self.min_sample_us}, max_sample_us = {self.max_sample_us}: need 1 <= min <= max"
            )

    def check(self, attrs: Attrs) -> None:
        """Raise if tuning could not begin at these intervals: the kernel would say EINVAL.

        Raises:
            InvalidAttrsError: It could not.
        """
        if not self.min_sample_us <= attrs.sample_interval <= self.max_sample_us:
            raise InvalidAttrsError(
                "sample_interval",
                f"{attrs.sample_interval} us",
                f"intervals_goal tunes from {self.min_sample_us} us to {self.max_sample_us} us",
                hint="begin within these bounds",
            )


def parse_goal(given: object) -> IntervalsGoal | None:
    """Read the option ``intervals_goal``: a table, or a text such as ``"access_bp=400,aggrs=3"``.

    Raises:
        ValueError: A name is unknown, or a value impossible.
    """
    if given is None:
        return None
    table: object = given
    if isinstance(given, str):
        table = dict(each.partition("=")[::2] for each in given.split(","))
    if not isinstance(table, Mapping):
        raise ValueError("a table is needed: {access_bp = 400, aggrs = 3, min_sample_us = 5000, ...}")  # noqa: TRY004 - the contract of a parser
    known = [field.name for field in fields(IntervalsGoal)]
    values = {str(name).strip(): value for name, value in table.items()}
    unknown = sorted(values.keys() - set(known))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return IntervalsGoal(**{name: _whole(name, value) for name, value in values.items()})


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"{name} = {value!r}: must be a whole number")  # noqa: TRY004 - the contract of a parser
    return int(value)


def _parse_ops(given: object) -> str:
    if given == "paddr":
        raise ValueError("physical memory is the business of the primitive kdamond_paddr")
    if given not in ("vaddr", "fvaddr"):
        raise ValueError("must be vaddr or fvaddr")
    return str(given)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    source: str = option("auto", help="where results are read from", choices=("auto", *SOURCES))
    intervals_goal: IntervalsGoal | None = option(  # noqa: RUF009 - option() makes a field
        None,
        help="let the kernel tune the intervals: {access_bp, aggrs, min_sample_us, max_sample_us}",
        parse=parse_goal,
    )


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
