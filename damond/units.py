"""Microseconds and bytes: parsed from what people write, printed for people to read.

Inside damond an interval is an ``int`` of microseconds and a size an ``int`` of
bytes. Text exists at the edges only: configuration, command line, pictures.
"""

import mmap
import re
from fractions import Fraction
from typing import Final, NewType

from damond.errors import InvalidUnitError

Usec = NewType("Usec", int)
"""An interval in microseconds."""

PAGE_SIZE: Final = mmap.PAGESIZE
"""Bytes of one page of this machine."""

USEC_PER_SEC: Final = 1_000_000
NSEC_PER_USEC: Final = 1_000

_USEC: Final = {
    "us": 1,
    "ms": 1_000,
    "s": USEC_PER_SEC,
    "min": 60 * USEC_PER_SEC,
    "m": 60 * USEC_PER_SEC,
    "h": 3600 * USEC_PER_SEC,
    "d": 24 * 3600 * USEC_PER_SEC,
}
_BYTES: Final = {
    unit: 1024**power
    for power, units in enumerate([("B", ""), ("K", "KiB"), ("M", "MiB"), ("G", "GiB"), ("T", "TiB"), ("P", "PiB")])
    for unit in units
}
_PERCENT: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*%\s*")
_QUANTITY: Final = re.compile(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*")


def _quantity(text: str, units: dict[str, int], default_unit: str | None, what: str) -> int:
    known = ", ".join(unit for unit in units if unit)
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise InvalidUnitError(text, f"is not {what}", hint=f"write a number and a unit: {known}")
    number, unit = match[1].replace(",", "").replace("_", ""), match[2] or default_unit
    if unit is None or unit not in units:
        raise InvalidUnitError(
            text,
            f"has {'no' if unit is None else 'an unknown'} unit",
            hint=f"write a number and a unit: {known}",
        )
    return round(Fraction(number) * units[unit])


def parse_interval(text: str) -> Usec:
    """Read an interval such as ``"5ms"``. A bare number is refused, as a text and as a number: its unit is hidden.

    Raises:
        InvalidUnitError: It is no text of a number and one of the units us, ms, s, min, h, d.
    """
    if not isinstance(text, str):
        raise InvalidUnitError(text, "has no unit", hint='write a text with its unit, such as "5ms" or "1s"')
    return Usec(_quantity(text, _USEC, None, "an interval"))


def parse_size(text: str | int) -> int:
    """Read a size such as ``"32MiB"`` or ``"4096"``; units are powers of 1024. Bytes.

    Raises:
        InvalidUnitError: The text is no number with one of the units B, K, M, G, T, P (or KiB, MiB, ...).
    """
    if isinstance(text, int):
        return text
    return _quantity(text, _BYTES, "B", "a size")


def parse_percent(text: str) -> float:
    """Read a share such as ``"1%"`` or ``"0.5 %"``: 0.01 is 1 %.

    Raises:
        InvalidUnitError: The text is no number with a percent sign.
    """
    match = _PERCENT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise InvalidUnitError(str(text), "is not a share", hint='write a number and a percent sign: "1%"')
    return float(match[1]) / 100


def format_percent(share: float) -> str:
    """Write a share for people: two significant digits, and no exponent; 0.01 is 1 %."""
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"  # noqa: PLR2004 - 10 % has two already


def format_times(number: float) -> str:
    """Write how many times more something is, for people: two digits or whole numbers, and no exponent."""
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"  # noqa: PLR2004


def format_interval(usec: float) -> str:
    """Write microseconds for people, in the largest unit that leaves a number of at least one."""
    for unit in ("h", "min", "s", "ms"):
        number = usec / _USEC[unit]
        if abs(number) >= 10_000:  # noqa: PLR2004 - from here on .4g would write an exponent
            return f"{number:.0f} {unit}"
        if abs(number) >= 1:
            return f"{number:.4g} {unit}"
    return f"{usec:.4g} us"


def format_size(sz_bytes: float) -> str:
    """Write bytes for people: three significant digits and a binary unit."""
    for unit in ("PiB", "TiB", "GiB", "MiB", "KiB"):
        if abs(sz_bytes) >= _BYTES[unit]:
            number = sz_bytes / _BYTES[unit]
            return f"{number:.0f} {unit}" if abs(number) >= 100 else f"{number:.3g} {unit}"  # noqa: PLR2004
    return f"{sz_bytes:.0f} B"
