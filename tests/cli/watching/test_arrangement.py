"""How a screen is shared out."""

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.cli.watching.arrangement import NARROW, arrange
from damond.cli.watching.view import Shape

ORDER = ("idle", "regions", "working_set", "facts")


@given(width=st.integers(1, 400), height=st.integers(0, 200), shape=st.sampled_from(Shape))
def test_it_fits(width: int, height: int, shape: Shape) -> None:
    """What has a fixed size leaves room for what gets the rest, however small the screen."""
    found = arrange(width, height, shape)
    rows = found.facts + found.working_set + max(found.bottom, 0)
    assert rows < max(height, 1)
    assert max(found.contexts, 0) + max(found.idle, 0) < width
    assert any(astuple(found))


@given(width=st.integers(NARROW, 400), height=st.integers(1, 200))
def test_panels_go_in_order(width: int, height: int) -> None:
    """The less room there is, the fewer panels, and always the same ones first."""
    there = [bool(getattr(arrange(width, height, Shape.OVERVIEW), name)) for name in ORDER]
    fewer = [bool(getattr(arrange(width, height - 1, Shape.OVERVIEW), name)) for name in ORDER]
    assert there == sorted(there)
    assert all(had or not has for had, has in zip(there, fewer, strict=True))


@pytest.mark.parametrize("width", [NARROW - 1, NARROW], ids=["narrow", "just wide enough"])
def test_the_list_goes_where_it_is_narrow(width: int) -> None:
    """It has less than half of the screen, or nothing."""
    assert (arrange(width, 22, Shape.OVERVIEW).contexts > 0) == (width >= NARROW)
