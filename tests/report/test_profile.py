import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.report.profile import EMPTY, Profile

BASE = 0x7F00_0000_0000


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    bounds = sorted(draw(st.sets(st.integers(0, 400), min_size=2, max_size=24)))
    there = draw(st.lists(st.booleans(), min_size=len(bounds) - 1, max_size=len(bounds) - 1))
    rows = [pair for pair, used in zip(itertools.pairwise(bounds), there, strict=True) if used]
    heat = draw(st.lists(st.integers(0, 20), min_size=len(rows), max_size=len(rows)))
    start = np.array([BASE + row[0] for row in rows], np.uint64)
    end = np.array([BASE + row[1] for row in rows], np.uint64)
    return Profile(start, end, np.array(heat) / 20, np.ones(len(rows)))


def _by_byte(profile: Profile) -> tuple[np.ndarray, np.ndarray]:
    accessed, weight = np.zeros(401), np.zeros(401)
    for start, end, value, each in zip(
        profile.start - BASE, profile.end - BASE, profile.accessed, profile.weight, strict=True
    ):
        accessed[int(start) : int(end)] = value
        weight[int(start) : int(end)] = each
    return accessed, weight


@given(profile=profiles(), edges=st.sets(st.integers(0, 400), min_size=2, max_size=20).map(sorted))
def test_integrate_sums_every_byte_once(profile: Profile, edges: list[int]) -> None:
    """The integral between two edges is the sum over the bytes between them, high addresses included."""
    accessed, weight = profile.integrate(np.array(edges, np.uint64) + np.uint64(BASE))
    by_byte = _by_byte(profile)
    for index, (left, right) in enumerate(itertools.pairwise(edges)):
        assert accessed[index] == pytest.approx(by_byte[0][left:right].sum())
        assert weight[index] == pytest.approx(by_byte[1][left:right].sum())


@given(left=profiles(), right=profiles())
@pytest.mark.parametrize("how", [np.add, np.maximum], ids=["add", "maximum"])
def test_combine_works_byte_by_byte(left: Profile, right: Profile, how: np.ufunc) -> None:
    """Two profiles are combined at every address, whatever their boundaries; pieces stay sorted and disjoint."""
    both = left.combine(right, how)
    for mine, a, b in zip(_by_byte(both), _by_byte(left), _by_byte(right), strict=True):
        assert mine == pytest.approx(how(a, b))
    assert np.all(both.start < both.end)
    assert np.all(both.end[:-1] <= both.start[1:])


@given(profile=profiles(), max_pieces=st.integers(1, 30))
def test_coarsen_keeps_sums_and_its_bound(profile: Profile, max_pieces: int) -> None:
    """Fewer pieces say less about where, but the same about how much."""
    coarse = profile.coarsen(max_pieces)
    assert len(coarse) == min(len(profile), max_pieces)
    for column in ("accessed", "weight"):
        assert (getattr(coarse, column) * coarse.size).sum() == pytest.approx(
            (getattr(profile, column) * profile.size).sum()
        )


def test_coarsen_joins_what_differs_least_and_gaps_last() -> None:
    """The boundary between hot and cold and the gap survive; that between lukewarm neighbours does not."""
    bounds = np.array([(0, 10), (10, 20), (20, 30), (90, 100)], np.uint64)
    profile = Profile(bounds[:, 0], bounds[:, 1], np.array([0.2, 0.25, 1.0, 1.0]), np.ones(4))
    coarse = profile.coarsen(3)
    assert coarse.start.tolist() == [0, 20, 90]
    assert coarse.end.tolist() == [20, 30, 100]
    assert coarse.heat == pytest.approx([0.225, 1.0, 1.0])


def test_narrow_gaps_do_not_use_up_all_pieces() -> None:
    """Guard pages between a hundred stacks, and one boundary between hot and cold: that is what stays."""
    start = np.arange(100, dtype=np.uint64) * np.uint64(100_000)
    heat = (np.arange(100) >= 50).astype(np.float64)
    coarse = Profile(start, start + np.uint64(99_999), heat, np.ones(100)).coarsen(2)
    assert coarse.start.tolist() == [0, 5_000_000]
    assert coarse.heat == pytest.approx([0.0, 1.0])


def test_nothing_combined_with_nothing_is_nothing() -> None:
    """The empty profile is the neutral one."""
    assert len(EMPTY.combine(EMPTY, np.add)) == 0
    assert EMPTY.integrate(np.array([0, 10], np.uint64))[0].tolist() == [0.0]
