"""Options of primitives: what is taken, and what is said of what is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from damond.errors import InvalidOptionError, InvalidRegionError, UnknownNameError
from damond.plugin import option, parse_options
from damond.units import parse_interval, parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    needed: str = option()
    size: int = option(4096, parse=parse_size)
    every: int | None = option(None, parse=parse_interval)
    source: str = option("auto", choices=("auto", "page_idle", "soft_dirty"))
    mode: int = option(1, choices=(1, 2))
    count: int = option(1)
    part: float = option(0.5)
    deep: bool = option(False)
    maybe: int | None = option(None)
    names: tuple[str, ...] = option(())
    table: Mapping[str, Any] = option(None)
    sum: str = ""

    def __post_init__(self) -> None:
        if self.count > 100:
            raise ValueError("count and part do not fit together")
        if self.count < 0:
            raise InvalidRegionError("of its own kind")


def parse(**given: Any) -> Schema:
    schema: Schema = parse_options("mine", Schema, {"needed": "x"} | given)
    return schema


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        pytest.param("size", "1MiB", 1024**2, id="a size"),
        pytest.param("size", 8192, 8192, id="a size in bytes"),
        pytest.param("every", "5ms", 5000, id="an interval"),
        pytest.param("source", "page_idle", "page_idle", id="a choice"),
        pytest.param("mode", 2, 2, id="a choice of numbers"),
        pytest.param("mode", "2", 2, id="a choice of numbers as text"),
        pytest.param("count", 7, 7, id="a number"),
        pytest.param("count", "1_0", 10, id="a number as text"),
        pytest.param("part", 1, 1.0, id="a whole number for a fraction"),
        pytest.param("part", "0.25", 0.25, id="a fraction as text"),
        pytest.param("deep", True, True, id="a truth value"),
        pytest.param("deep", "Yes", True, id="yes"),
        pytest.param("deep", "off", False, id="off"),
        pytest.param("maybe", 3, 3, id="a number or nothing: a number"),
        pytest.param("maybe", "3", 3, id="a number or nothing: a number as text"),
        pytest.param("maybe", None, None, id="a number or nothing: nothing"),
        pytest.param("names", ["a", "b"], ("a", "b"), id="a list"),
        pytest.param("table", {"a": 1}, {"a": 1}, id="a table"),
        pytest.param("sum", "plain", "plain", id="a plain field"),
    ],
)
def test_values(name: str, given: Any, expected: Any) -> None:
    """Values from TOML, and text from the command line, become what the field says."""
    value = getattr(parse(**{name: given}), name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        pytest.param("size", "1XB", "mine: size = '1XB': '1XB' has an unknown unit", id="bad size"),
        pytest.param("every", "soon", "mine: every = 'soon'", id="bad interval"),
        pytest.param("size", [1], "mine: size", id="no text"),
        pytest.param("count", "many", "mine: count = 'many': must be of type int", id="text for a number"),
        pytest.param("count", 1.5, "mine: count = 1.5: must be of type int", id="fraction for a number"),
        pytest.param("count", True, "mine: count = True: must be of type int", id="truth for a number"),
        pytest.param("count", None, "mine: count = None: must be of type int", id="nothing for a number"),
        pytest.param("part", True, "mine: part = True: must be of type float", id="truth for a fraction"),
        pytest.param("deep", 1, "mine: deep = 1: must be of type bool", id="number for a truth"),
        pytest.param("deep", "perhaps", "mine: deep = 'perhaps': must be of type bool", id="text for a truth"),
        pytest.param("names", "a", "mine: names = 'a': must be of type tuple", id="text for a list"),
        pytest.param("maybe", "x", "mine: maybe = 'x': must be of type int", id="text for a number or nothing"),
        pytest.param("count", 101, "mine: count and part do not fit together", id="fields that do not fit"),
    ],
)
def test_refused_values(name: str, given: Any, message: str) -> None:
    """What can't be taken is EINVAL; primitive, option and value are named."""
    with pytest.raises(InvalidOptionError) as caught:
        parse(**{name: given})
    assert str(caught.value).startswith(message)
    assert (caught.value.code, caught.value.errno) == ("invalid_option", 22)


def test_defaults() -> None:
    """What is not given is the schema's."""
    assert parse() == Schema(needed="x")


def test_missing_option() -> None:
    """An option without a default must be given."""
    with pytest.raises(InvalidOptionError, match="mine: needed must be given"):
        parse_options("mine", Schema, {})


@pytest.mark.parametrize(("name", "near"), [("siz", "size"), ("need", "needed"), ("sources", "source")])
def test_unknown_option(name: str, near: str) -> None:
    """The nearest known option is suggested."""
    with pytest.raises(UnknownNameError, match=f"unknown option '{name}'") as caught:
        parse(**{name: 1})
    assert f"did you mean '{near}'?" in caught.value.hint
    assert caught.value.code == "unknown_option"


def test_unknown_choice() -> None:
    """The nearest allowed value is suggested."""
    with pytest.raises(UnknownNameError) as caught:
        parse(source="page-idle")
    assert "did you mean 'page_idle'?" in caught.value.hint
    assert caught.value.code == "unknown_source"


def test_errors_of_the_schema_pass() -> None:
    """An error that the schema raises on purpose reaches the user as it is."""
    with pytest.raises(InvalidRegionError, match="of its own kind"):
        parse(count=-1)
