"""What a configuration may say."""

from typing import Any

import pytest

from damond.core import AddrRange, Attrs
from damond.errors import InvalidAttrsError, InvalidOptionError, UnknownNameError
from damond.plugin import parse_options
from damond.units import Usec
from damond_kdamond import IntervalsGoal, KdamondPaddrOptions, KdamondVaddrOptions


def parsed(**given: Any) -> KdamondVaddrOptions:
    options = parse_options("kdamond", KdamondVaddrOptions, given)
    assert isinstance(options, KdamondVaddrOptions)
    return options


def test_defaults() -> None:
    """All of a process, from whichever source works, at fixed intervals."""
    assert parsed() == KdamondVaddrOptions(ops="vaddr", source="auto", intervals_goal=None, ranges=())


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"access_bp": 300, "aggrs": 2, "min_sample_us": 1000, "max_sample_us": 9000}, id="table"),
        pytest.param("access_bp=300,aggrs=2,min_sample_us=1000,max_sample_us=9000", id="text"),
        pytest.param(" access_bp = 300, aggrs = 2, min_sample_us = 1_000, max_sample_us = 9000", id="with blanks"),
    ],
)
def test_goal(given: object) -> None:
    """A goal is a table in a file, and a text on a command line."""
    assert parsed(intervals_goal=given).intervals_goal == IntervalsGoal(300, 2, 1_000, 9_000)


def test_goal_in_part() -> None:
    """What a goal does not say is as the kernel's documentation recommends."""
    assert parsed(intervals_goal={"aggrs": 5}).intervals_goal == IntervalsGoal(400, 5, 5_000, 10_000_000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        pytest.param({"acess_bp": 3}, "unknown: acess_bp; known: access_bp", id="misspelt"),
        pytest.param({"access_bp": 0}, "from 1 to 10000", id="no accesses"),
        pytest.param({"access_bp": 10_001}, "from 1 to 10000", id="more than all"),
        pytest.param({"aggrs": 0}, "at least 1", id="no aggregation"),
        pytest.param({"min_sample_us": 9, "max_sample_us": 8}, "min <= max", id="bounds crossed"),
        pytest.param({"aggrs": True}, "whole number", id="truth value"),
        pytest.param({"aggrs": 1.5}, "whole number", id="fraction"),
        pytest.param("aggrs", "invalid literal", id="no number"),
        pytest.param(3, "a table is needed", id="no table"),
    ],
)
def test_goal_refused(given: object, message: str) -> None:
    """An impossible goal is refused with its name."""
    with pytest.raises(InvalidOptionError, match=message):
        parsed(intervals_goal=given)


@pytest.mark.parametrize("sample_us", [4_999, 20_001])
def test_goal_and_attrs(sample_us: int) -> None:
    """Tuning begins within its bounds, or not at all."""
    goal = IntervalsGoal(min_sample_us=5_000, max_sample_us=20_000)
    goal.check(Attrs(sample_interval=Usec(20_000)))
    with pytest.raises(InvalidAttrsError, match="sample_interval"):
        goal.check(Attrs(sample_interval=Usec(sample_us)))


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
