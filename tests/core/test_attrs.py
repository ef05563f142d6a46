"""Attributes of a context."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Attrs
from damond.core.attrs import attrs_problems
from damond.errors import InvalidAttrsError
from damond.units import Usec


def test_defaults_are_the_kernels() -> None:
    """5 ms, 100 ms, 60 s, 10 to 1000 regions (damon_new_ctx, Linux 5.15)."""
    attrs = Attrs()
    assert (attrs.sample_interval, attrs.aggr_interval, attrs.primitive_update_interval) == (5_000, 100_000, 60_000_000)
    assert (attrs.min_nr_regions, attrs.max_nr_regions) == (10, 1000)
    assert (attrs.samples_per_aggr, attrs.samples_per_update) == (20, 12_000)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        pytest.param({"min_nr_regions": 1}, "min_nr_regions", id="one region"),
        pytest.param({"min_nr_regions": 2}, "min_nr_regions", id="two regions"),
        pytest.param({"max_nr_regions": 9}, "max_nr_regions", id="max below min"),
        pytest.param({"aggr_interval": 4_999}, "aggr_interval", id="aggregation shorter than a sample"),
        pytest.param({"sample_interval": 0}, "sample_interval", id="no sampling interval, which 5.15 allows"),
        pytest.param({"sample_interval": -1}, "sample_interval", id="a negative one"),
        pytest.param({"primitive_update_interval": -1}, "primitive_update_interval", id="a negative update interval"),
    ],
)
def test_impossible_attrs(values: dict[str, Any], field: str) -> None:
    """Impossible values are EINVAL and blame one field (kernel core-test.h, set_attrs; damon_set_attrs)."""
    with pytest.raises(InvalidAttrsError) as caught:
        Attrs(**values)
    assert (caught.value.field, caught.value.errno, caught.value.code) == (field, 22, "invalid_attrs")


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"min_nr_regions": 10, "max_nr_regions": 1000}, id="of the kernel's test"),
        pytest.param({"min_nr_regions": 3, "max_nr_regions": 3}, id="the fewest regions"),
        pytest.param({"sample_interval": 100_000}, id="one sample per aggregation"),
        pytest.param({"primitive_update_interval": 0}, id="an update with every sample"),
    ],
)
def test_possible_attrs(values: dict[str, Any]) -> None:
    """What is at the edge is allowed."""
    attrs = Attrs(**values)
    assert {name: getattr(attrs, name) for name in values} == values


@pytest.mark.parametrize(
    ("sample", "aggr", "expected"),
    [
        pytest.param(1, 5_000, 5_000, id="a multiple"),
        pytest.param(5_000, 99_999, 19, id="rounded down"),
        pytest.param(5_000, 5_000, 1, id="at least one"),
        pytest.param(1, 2**40, 2**32 - 1, id="UINT_MAX at most"),
    ],
)
def test_samples_per_aggr(sample: int, aggr: int, expected: int) -> None:
    """The greatest nr_accesses (kernel core-test.h, nr_accesses_to_accesses_bp and nr_samples_per_aggr)."""
    assert Attrs(sample_interval=Usec(sample), aggr_interval=Usec(aggr)).samples_per_aggr == expected


@given(sample=st.integers(1, 10**7), factor=st.integers(1, 1000), rest=st.integers(0, 10**7))
def test_window_is_no_longer_than_asked_for(sample: int, factor: int, rest: int) -> None:
    """The samples of an aggregation fit into aggr_interval, and one more would not."""
    attrs = Attrs(sample_interval=Usec(sample), aggr_interval=Usec(sample * factor + rest % sample))
    assert attrs.samples_per_aggr * sample <= attrs.aggr_interval < (attrs.samples_per_aggr + 1) * sample


def test_attrs_are_values() -> None:
    """Equal attributes are equal, and none can be changed."""
    assert Attrs() == Attrs(sample_interval=Usec(5_000))
    with pytest.raises(AttributeError):
        Attrs().sample_interval = Usec(1)  # type: ignore[misc]


def test_all_problems_are_found() -> None:
    """Every attribute that is impossible is named, with what to do; one that is not given contradicts none."""
    values = {"sample_interval": 0, "primitive_update_interval": -1, "min_nr_regions": 2, "max_nr_regions": 1}
    found = list(attrs_problems(values))
    assert [each.field for each in found] == [
        "sample_interval",
        "primitive_update_interval",
        "min_nr_regions",
        "max_nr_regions",
    ]
    assert all(each.hint for each in found)
    assert list(attrs_problems({"sample_interval": 10**9})) == []


def test_different_intervals_look_different() -> None:
    """What contradicts is written in a large unit only where that is exact."""
    (problem,) = attrs_problems({"sample_interval": 100_000, "aggr_interval": 99_999})
    assert problem.message == "aggr_interval = 99999 us: must not be shorter than sample_interval, 100 ms"


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        pytest.param({}, {"sample_interval": 5_000, "max_nr_regions": 1000}, id="nothing"),
        pytest.param({"sample_interval": 10_000}, {"aggr_interval": 100_000}, id="a sample that goes with 100 ms"),
        pytest.param({"sample_interval": 1_000_000}, {"aggr_interval": 10_000_000}, id="a long sample"),
        pytest.param({"aggr_interval": 20_000}, {"sample_interval": 5_000}, id="an aggregation that goes with 5 ms"),
        pytest.param({"aggr_interval": 1_000}, {"sample_interval": 100}, id="a short aggregation"),
        pytest.param({"min_nr_regions": 2000}, {"max_nr_regions": 2000}, id="many regions"),
        pytest.param({"max_nr_regions": 5}, {"min_nr_regions": 5}, id="few regions"),
    ],
)
def test_what_is_not_asked_for_fits(asked: dict[str, int], chosen: dict[str, int]) -> None:
    """One attribute alone contradicts nothing: the others are chosen to go with it."""
    attrs = Attrs.fitting(asked)
    assert {name: getattr(attrs, name) for name in {**asked, **chosen}} == {**asked, **chosen}


_FIELD = {
    **dict.fromkeys(("sample_interval", "aggr_interval", "primitive_update_interval"), st.integers(-5, 10**14)),
    **dict.fromkeys(("min_nr_regions", "max_nr_regions"), st.integers(-5, 2_000_000)),
}


@given(asked=st.fixed_dictionaries({}, optional=_FIELD))
def test_fitting_fails_for_what_was_asked_only(asked: dict[str, int]) -> None:
    """Attributes can be made of what was asked for exactly if that has no problem, and keep all of it."""
    if list(attrs_problems(asked)):
        with pytest.raises(InvalidAttrsError):
            Attrs.fitting(asked)
    else:
        attrs = Attrs.fitting(asked)
        assert {name: getattr(attrs, name) for name in asked} == asked
