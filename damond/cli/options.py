"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from damond.errors import DamondError
from damond.units import parse_interval, parse_percent, parse_size

PID_MAX: Final = 2**22
"""PID_MAX_LIMIT of 64-bit machines (include/linux/threads.h, Linux 6.12)."""


class Interval(click.ParamType[int]):
    """An interval with its unit; microseconds in the program."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the text."""
        if isinstance(value, int):
            return value
        try:
            return parse_interval(value)
        except DamondError as error:
            self.fail(str(error), param, ctx)


class Pid(click.ParamType[int]):
    """A process id."""

    name = "pid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the text."""
        if not (str(value).isdecimal() and 0 < int(value) <= PID_MAX):
            self.fail(f"{value!r} is no pid, a number from 1 to {PID_MAX}", param, ctx)
        return int(value)


class Size(click.ParamType[int]):
    """A size with its unit; bytes in the program."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the text."""
        try:
            return parse_size(value)
        except DamondError as error:
            self.fail(str(error), param, ctx)


class Autotune(click.ParamType[int]):
    """The longest aggregation that tuning may come to, or ``off``: 0. Microseconds in the program."""

    name = "interval"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the text."""
        if value == "off":
            return 0
        return Interval().convert(value, param, ctx)


class Percent(click.ParamType[float]):
    """A share with its sign; 0.01 is 1 %."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse the text."""
        if isinstance(value, float):
            return value
        try:
            share = parse_percent(value)
        except DamondError as error:
            self.fail(str(error), param, ctx)
        if not share:
            self.fail(f"{value!r} is nothing at all", param, ctx)
        return share


class Bound(click.ParamType[str]):
    """A share with its sign, or ``off``, as text: the service reads it."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the text."""
        if value != "off":
            Percent().convert(value, param, ctx)
        return str(value)


class RegionsRange(click.ParamType[tuple[int, int]]):
    """``MIN:MAX``."""

    name = "min:max"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Parse the text."""
        if isinstance(value, tuple):
            return value
        least, _, most = value.partition(":")
        if not (least.isdecimal() and most.isdecimal()):
            self.fail(f"{value!r} is not MIN:MAX, two numbers of regions", param, ctx)
        return int(least), int(most)


class KeyValue(click.ParamType[tuple[str, str]]):
    """``KEY=VALUE``."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split the text."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not (key and equals):
            self.fail(f"{value!r} is not KEY=VALUE", param, ctx)
        return key, text


def runtime_dir(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--runtime-dir``."""
    return click.option(
        "--runtime-dir",
        type=click.Path(path_type=Path, readable=False),  # who may not read it is told by whoever connects
        help="Directory of the supervisor's sockets.  [default: /run/damond for root, else one of the user's own]",
    )(function)


def as_json(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)
