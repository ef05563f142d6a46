"""The manual page."""

import re

from damond.cli import COMMANDS
from damond.cli.man import page


def test_every_command_has_a_section() -> None:
    """The page follows the commands, in their order."""
    assert [line.removeprefix(".SS damond ") for line in page() if line.startswith(".SS ")] == list(COMMANDS)


def test_text_is_no_request() -> None:
    """Only macros of man(7) begin with a full stop; nothing that a help text says is taken for one."""
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".BR"}
    assert {line.split()[0] for line in page() if re.match(r"[.']", line)} <= known


def test_options_are_described() -> None:
    """An option has its term and its meaning; a dash is one that can be copied."""
    rows = list(page())
    where = rows.index(r"\fB\-\-primitive TEXT\fR")
    assert rows[where - 1] == ".TP"
    assert rows[where + 1].startswith("How to check accesses")
