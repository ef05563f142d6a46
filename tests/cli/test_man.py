"""The manual page."""

import re

from damond.cli import COMMANDS
from damond.cli.man import page
from damond.cli.report import TYPES


def test_every_command_has_a_section() -> None:
    """The page follows the commands, in their order."""
    found = [line.removeprefix(".SS damond ") for line in page() if line.startswith(".SS ")]
    assert [each for each in found if " " not in each] == list(COMMANDS)
    assert [each.removeprefix("report ") for each in found if each.startswith("report ")] == list(TYPES)


def test_text_is_no_request() -> None:
    """Only macros of man(7) begin with a full stop; nothing that a help text says is taken for one."""
    known = {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".BR", ".nf", ".fi"}
    assert {line.split()[0] for line in page() if re.match(r"[.']", line)} <= known


def test_lists_stay_lists() -> None:
    """Lines of a help text that are to stay as they are are no paragraph."""
    rows = list(page())
    where = next(number for number, row in enumerate(rows) if row.startswith("telescope "))
    assert rows[where - 1] == ".nf"
    assert rows[where + 1].startswith("shapes ")


def test_options_are_described() -> None:
    """An option has its term and its meaning; a dash is one that can be copied."""
    rows = list(page())
    where = rows.index(r"\fB\-\-primitive TEXT\fR")
    assert rows[where - 1] == ".TP"
    assert rows[where + 1].startswith("How to check accesses")
