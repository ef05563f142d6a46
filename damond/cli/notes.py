"""What a worker wants the reader to know, in the words of the command line."""

import logging
import re
import sys
import textwrap
from typing import Final, Self

from rich.console import Console
from rich.text import Text

from damond.stream.wire import Event
from damond.units import format_interval

_LOGGED: Final = re.compile(r"(?:[-0-9]{10} [0-9:,]+ )?(DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)")
"""A line as workers log it to what is not the journal (damond/service/logs.py)."""

_SERVICE: Final = logging.getLogger("damond.service")
_LABEL: Final = "note: "
_MIN_WIDTH: Final = 20


class Notes(logging.Handler):
    """What workers and the supervisor log, and remarks of our own, printed on standard error when there is room.

    Notes are held until :meth:`print_held`. What is logged as an error is left out: the command ends with that error.
    A handler of ``damond.service``: while this is entered, what is logged there comes here and nowhere else.

    Args:
        console: Of standard error.
        context: Name of the context that every line begins with; the reader has but one.
    """

    def __init__(self, console: Console, context: str) -> None:
        super().__init__()
        self._console = console
        self._context = context
        self._hold = True
        self._rest = b""
        self._held: list[str] = []

    def __enter__(self) -> Self:
        _SERVICE.addHandler(self)
        self._propagate, _SERVICE.propagate = _SERVICE.propagate, False
        return self

    def __exit__(self, *_: object) -> None:
        _SERVICE.removeHandler(self)
        _SERVICE.propagate = self._propagate
        self.print_held()

    def emit(self, record: logging.LogRecord) -> None:
        """Take what the supervisor logs."""
        self._take(f"{record.levelname} {record.getMessage()}")

    def feed(self, raw: bytes) -> None:
        """Take what a worker wrote to its standard error, in pieces of any size."""
        *lines, self._rest = (self._rest + raw).split(b"\n")
        for line in lines:
            self._take(line.decode(errors="replace"))

    def add(self, words: str) -> None:
        """Take a remark."""
        self._print(_LABEL + words)

    def add_changes(self, event: Event) -> None:
        """Take an event ``attrs_changed``: what is not as it was asked for."""
        for name, (asked, real) in event.details["changed"].items():
            words = [format_interval(each) if name.endswith("interval") else str(each) for each in (asked, real)]
            self.add(f"{name} is {words[1]} instead of {words[0]}: {event.reason}")

    def forget(self) -> None:
        """Drop the notes that are held, but not what broke off with words of its own, such as a traceback."""
        self._held = [line for line in self._held if not line.startswith(_LABEL)]

    def print_held(self) -> None:
        """Print what was held, and from now on everything at once."""
        self._hold = False
        if self._rest:
            self._take(self._rest.decode(errors="replace"))
            self._rest = b""
        held, self._held = self._held, []
        for line in held:
            self._print(line)

    def _take(self, line: str) -> None:
        logged = _LOGGED.fullmatch(line)
        if logged is None or logged[1] in ("INFO", "DEBUG"):
            self._print(line)
        elif logged[1] == "WARNING":
            self._print(_LABEL + logged[2].removeprefix(f"{self._context}: "))

    def _print(self, line: str) -> None:
        if self._hold:
            self._held.append(line)
        elif line.startswith(_LABEL) and self._console.is_terminal:
            self._console.print(Text(_wrapped(line, self._console.width)), soft_wrap=True)
        else:
            self._console.print(Text(line), soft_wrap=True)
        sys.stderr.flush()


def _wrapped(line: str, width: int) -> str:
    indent = " " * len(_LABEL)
    return textwrap.fill(line, max(width, _MIN_WIDTH), subsequent_indent=indent, break_on_hyphens=False)
