import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.cli import ramp


@pytest.mark.parametrize(
    ("heat", "character"),
    [(0.0, " "), (1e-6, "."), (0.6, "+"), (1.0, "@"), (1.01, "@"), (math.nan, "~")],
    ids=["none", "hardly any", "more than half", "all", "beyond", "not monitored"],
)
def test_character(heat: float, character: str) -> None:
    """Only nothing is blank, and not monitored is not nothing."""
    assert ramp.character(heat) == character


@given(left=st.floats(0, 1), right=st.floats(0, 1))
def test_hotter_is_never_drawn_colder(left: float, right: float) -> None:
    """Characters, and the brightness of colours, rise with heat: the scale can be read in grey."""
    low, high = sorted((left, right))
    assert ramp.CHARACTERS.index(ramp.character(low)) <= ramp.CHARACTERS.index(ramp.character(high))
    assert _brightness(low) <= _brightness(high)


def _brightness(heat: float) -> float:
    background = ramp.cell(heat).bgcolor
    assert background is not None
    assert background.triplet is not None
    red, green, blue = background.triplet
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@given(heats=st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=30))
def test_colours_add_to_the_characters(heats: list[float]) -> None:
    """A row reads the same with and without colours."""
    assert ramp.row(heats, colours=True).plain == ramp.row(heats, colours=False).plain
    assert len(ramp.row(heats, colours=False)) == len(heats)
