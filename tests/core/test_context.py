"""The monitoring context."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Attrs, Context, Primitive, Probe, Target
from damond.core.context import check_name
from damond.errors import InvalidAttrsError, InvalidNameError


@pytest.mark.parametrize("name", ["web", "host-ram", "A_1", "x" * 64])
def test_names(name: str) -> None:
    """Names that can be part of a topic are taken as they are."""
    assert Context(name=name).name == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a.b", "a b", "a\n", "ä", "../x", None, 7])
def test_refused_names(name: Any) -> None:
    """Everything else is refused, also what is no text, and the hint says what is allowed."""
    with pytest.raises(InvalidNameError) as caught:
        Context(name=name)
    assert "A-Z" in caught.value.hint


@given(name=st.text(max_size=70))
def test_a_name_has_no_character_of_topics(name: str) -> None:
    """Whatever passes is ASCII without dots and blanks, of at most 64 characters."""
    try:
        check_name(name)
    except InvalidNameError:
        return
    assert name.isascii()
    assert 1 <= len(name) <= 64
    assert not set(name) & set(". \n\t/")


def test_counts_over_all_targets() -> None:
    """Regions and the size limit are those of all targets."""
    ctx = Context(attrs=Attrs(min_nr_regions=4), targets=[Target(1), Target(2)])
    ctx.targets[0].set_ranges([(0, 4096 * 10)])
    ctx.targets[1].set_ranges([(0, 4096 * 10), (4096 * 20, 4096 * 40)])
    assert ctx.nr_regions == 3
    assert ctx.region_sz_limit() == 4096 * 10


class Least(Primitive):
    """The least that is a primitive."""

    name = "least"

    def check_accesses(self, ctx: Context) -> int:
        return 0


def test_defaults_of_a_primitive() -> None:
    """All but check_accesses may be left out: the rest does nothing, works everywhere and takes any attributes."""
    primitive, ctx = Least(None), Context()
    for function in (primitive.init, primitive.update, primitive.prepare_access_checks, primitive.cleanup):
        function(ctx)
    primitive.reset_aggregated(ctx)
    assert primitive.target_valid(Target(1))
    assert Least.probe() == Probe(works=True)
    assert primitive.attrs({"min_nr_regions": 5}) == Attrs(min_nr_regions=5)
    with pytest.raises(InvalidAttrsError):
        primitive.attrs({"min_nr_regions": 1})


def test_a_primitive_needs_check_accesses() -> None:
    """What does not check accesses can't be made."""

    class Nothing(Primitive):
        name = "nothing"

    with pytest.raises(TypeError, match="check_accesses"):
        Nothing(None)  # type: ignore[abstract]
