"""Microseconds and bytes."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from damond.errors import InvalidUnitError
from damond.units import (
    PAGE_SIZE,
    format_interval,
    format_percent,
    format_size,
    format_times,
    parse_interval,
    parse_percent,
    parse_size,
)

HOUR = 3_600_000_000


@pytest.mark.parametrize(
    ("text", "usec"),
    [
        ("5ms", 5_000),
        ("100 ms", 100_000),
        ("1us", 1),
        ("60s", 60_000_000),
        ("1.5s", 1_500_000),
        ("2min", 120_000_000),
        ("2m", 120_000_000),
        ("1h", HOUR),
        ("1_000us", 1_000),
        ("1,000us", 1_000),
        (" 7 us ", 7),
        ("0s", 0),
    ],
)
def test_parse_interval(text: str, usec: int) -> None:
    """A number and a unit are microseconds."""
    assert parse_interval(text) == usec


@pytest.mark.parametrize(
    "text", ["5", "", "ms", "5 parsecs", "-5ms", "5ms5", "1e3us", "5MS", "\u0665ms", ".5s", "nan s"]
)
def test_no_interval(text: str) -> None:
    """A missing or unknown unit, a sign or anything else is refused, and the units are named."""
    with pytest.raises(InvalidUnitError, match=re.escape(repr(text))) as caught:
        parse_interval(text)
    assert "us, ms, s" in caught.value.hint
    assert (caught.value.code, caught.value.errno) == ("invalid_unit", 22)


@pytest.mark.parametrize(("number", "text"), [(1.05, "1.1"), (9.4, "9.4"), (10, "10"), (1510.4, "1,510")])
def test_format_times(number: float, text: str) -> None:
    """Two digits or a whole number, and never an exponent."""
    assert format_times(number) == text


def test_a_number_of_any_length() -> None:
    """What is far too much is exactly that, with and without a fraction; who takes it says what is too much for him."""
    assert parse_interval(f"{10**400}.5s") == 10**406 + 500_000
    assert parse_size(f"{10**400}KiB") == 10**400 * 1024


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.5, "50 %"),
        (0.125, "12 %"),
        (0.05, "5 %"),
        (0.0123, "1.2 %"),
        (4e-5, "0.004 %"),
        (0, "0 %"),
    ],
)
def test_format_percent(share: float, text: str) -> None:
    """Two digits, and never an exponent."""
    assert format_percent(share) == text


@pytest.mark.parametrize("number", [5, 0, -1, 5.0, True, None, ["5ms"]])
def test_a_bare_number_is_no_interval(number: Any) -> None:
    """What is no text has no unit: it is refused, and the hint shows how one is written."""
    with pytest.raises(InvalidUnitError, match=f"^{re.escape(repr(number))} has no unit") as caught:
        parse_interval(number)
    assert '"5ms"' in caught.value.hint


@pytest.mark.parametrize(
    ("text", "sz_bytes"),
    [
        ("4096", 4096),
        ("4096B", 4096),
        ("4K", 4096),
        ("4KiB", 4096),
        ("32MiB", 32 * 1024**2),
        ("1.5G", 3 * 1024**3 // 2),
        ("5T", 5 * 1024**4),
        ("1PiB", 1024**5),
        ("1,073,741,824", 1024**3),
        (7, 7),
    ],
)
def test_parse_size(text: str | int, sz_bytes: int) -> None:
    """Units are powers of 1024; a bare number is bytes."""
    assert parse_size(text) == sz_bytes


@pytest.mark.parametrize("text", ["", "MiB", "4kb", "4 KB", "-4K", "0x1000", "4Ki", "1e9"])
def test_no_size(text: str) -> None:
    """What is ambiguous (KB) or no number is refused, and the units are named."""
    with pytest.raises(InvalidUnitError) as caught:
        parse_size(text)
    assert "KiB" in caught.value.hint


@pytest.mark.parametrize(
    ("usec", "text"),
    [
        (0, "0 us"),
        (999, "999 us"),
        (1_000, "1 ms"),
        (5_250, "5.25 ms"),
        (100_000, "100 ms"),
        (59_990_000, "59.99 s"),
        (60_000_000, "1 min"),
        (5_400_000_000, "1.5 h"),
        (-2_000, "-2 ms"),
    ],
)
def test_format_interval(usec: int, text: str) -> None:
    """The largest unit that leaves at least one."""
    assert format_interval(usec) == text


@pytest.mark.parametrize(
    ("sz_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (150 * 1024**2, "150 MiB"),
        (1023 * 1024**2, "1023 MiB"),
        (5 * 1024**4, "5 TiB"),
        (2**60, "1024 PiB"),
        (-2048, "-2 KiB"),
    ],
)
def test_format_size(sz_bytes: int, text: str) -> None:
    """Three digits and a binary unit."""
    assert format_size(sz_bytes) == text


@settings(deadline=None)
@given(usec=st.integers(0, 9_999 * HOUR))
def test_interval_round_trip(usec: int) -> None:
    """What is printed can be read again, to the four digits that are printed."""
    assert parse_interval(format_interval(usec)) == pytest.approx(usec, rel=5.1e-4)


@settings(deadline=None)
@given(sz_bytes=st.integers(0, 2**60))
def test_size_round_trip(sz_bytes: int) -> None:
    """What is printed can be read again, to the three digits that are printed."""
    assert parse_size(format_size(sz_bytes)) == pytest.approx(sz_bytes, rel=5.1e-3)


@settings(deadline=None)
@given(number=st.integers(0, 2**62), unit=st.sampled_from(["us", "ms", "s", "min", "h"]))
def test_whole_numbers_are_exact(number: int, unit: str) -> None:
    """Whole numbers are never rounded, however great."""
    assert parse_interval(f"{number}{unit}") == number * parse_interval(f"1{unit}")
    assert parse_size(f"{number}") == number


@settings(deadline=None)
@given(text=st.text(max_size=12))
def test_any_text(text: str) -> None:
    """Any text is a size from 0 or is refused: nothing else happens."""
    try:
        assert parse_size(text) >= 0
    except InvalidUnitError as error:
        assert error.hint  # noqa: PT017 - either outcome is right


def test_page_size() -> None:
    """The page size is a power of two."""
    assert PAGE_SIZE & (PAGE_SIZE - 1) == 0
    assert PAGE_SIZE >= 4096


@pytest.mark.parametrize(("text", "share"), [("1%", 0.01), ("0.5 %", 0.005), (" 200% ", 2.0), ("0%", 0.0)])
def test_parse_percent(text: str, share: float) -> None:
    """A share has its sign."""
    assert parse_percent(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["1", "%", "-1%", "1e3%", "one %", ""])
def test_parse_percent_refuses(text: str) -> None:
    """Without the sign it could be anything."""
    with pytest.raises(InvalidUnitError, match="is not a share"):
        parse_percent(text)
