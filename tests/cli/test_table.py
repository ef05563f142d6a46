import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from damond.cli.table import Column, lines
from damond.cli.words import shortened

COLUMNS = [Column("name"), Column("state"), Column("size", right=True, rank=1), Column("pid", right=True, rank=2)]


def _plain(rows: list[list[str]], width: int | None) -> list[str]:
    return [line.plain for line in lines(COLUMNS, [[Text(cell) for cell in row] for row in rows], width)]


ROWS = [["web", "running", "1 MiB", "77"], ["x" * 30, "failed", "", ""]]


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (None, ["name", "state", "size", "pid"]),
        (80, ["name", "state", "size", "pid"]),
        (40, ["name", "state", "size"]),
        (33, ["name", "state"]),
    ],
)
def test_what_matters_least_is_left_out_first(width: int | None, heads: list[str]) -> None:
    """Columns go by rank as the terminal becomes narrow."""
    assert _plain(ROWS, width)[0].split() == heads


def test_the_first_column_is_cut_before_it_wraps() -> None:
    """A long name ends with an ellipsis; numbers are aligned to the right."""
    assert _plain(ROWS, 40) == [
        "name                       state    size",
        "web                        running 1 MiB",
        "xxxxxxxxxxxxxxxxxxxxxxxxx… failed       ",
    ]


@given(
    rows=st.lists(st.lists(st.text("abc", max_size=40), min_size=4, max_size=4), max_size=4), width=st.integers(60, 200)
)
def test_all_lines_are_equally_long(rows: list[list[str]], width: int) -> None:
    """Whatever the cells are, columns stand below each other; a name alone never makes a line too long."""
    short = [[row[0], *(cell[:8] for cell in row[1:])] for row in rows]
    assert len({len(line) for line in _plain(rows, None)}) == 1
    assert max(map(len, _plain(short, width))) <= width


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("libc.so.6", "libc.so.6"),
        ("libpython3.11.so.1.0", "libpython3.1.."),
        ("libpython3.11.so.1.0 +12", "libpytho.. +12"),
        ("0123456789abcd", "0123456789abcd"),
    ],
)
def test_names_are_shortened(name: str, short: str) -> None:
    """The begin of a name stays, and how many others it stands for."""
    assert shortened(name, 14) == short
