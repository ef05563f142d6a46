"""Numbers in the words of the pictures."""

import datetime as dt
from typing import Final

from damond.units import NSEC_PER_USEC, PAGE_SIZE, USEC_PER_SEC, format_interval, format_size

_PERCENT: Final = 100
_NSEC_PER_SEC: Final = 1_000_000_000


def granularity_words(granularity: int) -> str:
    """Say what one access check looks at."""
    if granularity == 0:
        return "whole mapping"
    return f"{format_size(granularity)} {'page' if granularity == PAGE_SIZE else 'block'}"


def percent(share: float) -> str:
    """Write a share for people; little is not nothing, and not quite all is not all."""
    exact = share * _PERCENT
    if 0 < exact < 1:
        return "<1 %"
    return f"{min(round(exact), _PERCENT - 1) if exact < _PERCENT else round(exact)} %"


def shortened(name: str, width: int) -> str:
    """Fit a name into a column; what it ends with, if it counts others, stays."""
    if len(name) <= width:
        return name
    base, plus, others = name.rpartition(" +")
    ending = plus + others if plus else ""
    return (base or name)[: max(width - len(ending) - 2, 0)] + ".." + ending


def share_of(part: float, total: float) -> float:
    """Divide; nothing of nothing is nothing."""
    return part / total if total > 0 else 0.0


def seconds(nsec: float) -> str:
    """Write nanoseconds as an interval."""
    return format_interval(nsec / NSEC_PER_USEC)


def per_second(count: float, span_ns: float) -> float:
    """Turn a count over a span into a rate."""
    return share_of(count * NSEC_PER_USEC * USEC_PER_SEC, span_ns)


def address(addr: int) -> str:
    """Write an address as pictures label it: twelve hexadecimal digits hold any of user space."""
    return f"{addr:012x}"


def clock(wall_ns: int) -> str:
    """Write Unix time as the time of day here."""
    moment = dt.datetime.fromtimestamp(wall_ns // _NSEC_PER_SEC, dt.UTC)
    return moment.astimezone().strftime("%H:%M:%S")
