import io
import logging

import pytest
from rich.console import Console

from damond.cli.notes import Notes

LOGGED = b"2026-11-23 03:48:19,678 WARNING web: this source costs time\n"


def _notes(*, terminal: bool = False, width: int = 40) -> tuple[Notes, io.StringIO]:
    file = io.StringIO()
    return Notes(Console(file=file, width=width, force_terminal=terminal, _environ={}), "web"), file


def test_they_wait_until_there_is_room() -> None:
    """Nothing is printed over a picture; later everything is, at once."""
    notes, file = _notes()
    notes.feed(LOGGED)
    notes.add("regions are few")
    assert file.getvalue() == ""
    notes.print_held()
    assert file.getvalue() == "note: this source costs time\nnote: regions are few\n"
    notes.add("more")
    assert file.getvalue().endswith("note: more\n")


CASES = [
    (LOGGED, "note: this source costs time\n"),
    (b"WARNING of all contexts\n", "note: of all contexts\n"),
    (b"2026-11-23 03:48:19,678 ERROR web: there is no process 5\n", ""),
    (b"2026-11-23 03:48:19,678 INFO web: 10 regions\n", "2026-11-23 03:48:19,678 INFO web: 10 regions\n"),
    (b"Traceback (most recent call last):\n", "Traceback (most recent call last):\n"),
    (b"cut off", "cut off\n"),
]


@pytest.mark.parametrize(("raw", "printed"), CASES, ids=["warning", "no date", "error", "info", "traceback", "no end"])
@pytest.mark.parametrize("sz_piece", [1, 7, 1000])
def test_what_workers_write(raw: bytes, printed: str, sz_piece: int) -> None:
    """Warnings become notes, the error is told elsewhere, the rest is passed on; pieces may end anywhere."""
    notes, file = _notes()
    for at in range(0, len(raw), sz_piece):
        notes.feed(raw[at : at + sz_piece])
    notes.print_held()
    assert file.getvalue() == printed


def test_on_a_terminal_they_are_wrapped_under_themselves() -> None:
    """No word is cut."""
    notes, file = _notes(terminal=True, width=30)
    notes.add("some words that are longer than one line is")
    notes.print_held()
    assert file.getvalue().splitlines() == ["note: some words that are", "      longer than one line is"]


def test_a_start_that_failed_has_its_error_and_no_notes() -> None:
    """But a traceback is not forgotten."""
    notes, file = _notes()
    notes.feed(LOGGED + b"Traceback\n")
    notes.forget()
    notes.print_held()
    assert file.getvalue() == "Traceback\n"


def test_the_log_of_the_supervisor_comes_here(capsys: pytest.CaptureFixture[str]) -> None:
    """While it is entered, nothing of it is written over the picture; afterwards the log goes where it went."""
    notes, file = _notes()
    log = logging.getLogger("damond.service.supervisor")
    with notes:
        log.warning("%s: does not stop; sending %s", "web", "SIGTERM")
        assert file.getvalue() == ""
    assert file.getvalue() == "note: does not stop; sending SIGTERM\n"
    assert notes not in logging.getLogger("damond.service").handlers
    assert logging.getLogger("damond.service").propagate
    assert capsys.readouterr().err == ""
