"""How accesses are spread over pages."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond_synthetic import spatial
from damond_synthetic.spatial import Shape

SHAPES = {
    "uniform": spatial.uniform(100),
    "one page": spatial.uniform(1),
    "hotspot": spatial.hotspot(100, 20, 10, 0.9),
    "hotspot at the begin": spatial.hotspot(100, 0, 10, 0.9),
    "hotspot at the end": spatial.hotspot(100, 90, 10, 0.9),
    "hotspot that is all": spatial.hotspot(100, 0, 100, 0.3),
    "cold spot": spatial.hotspot(100, 20, 10, 0.01),
    "zipf": spatial.zipf(1000, 1.0),
    "steep zipf": spatial.zipf(1000, 2.5),
    "shallow zipf": spatial.zipf(1000, 0.3),
    "zipf of many pages": spatial.zipf(200_000, 1.0),
    "shallow zipf of many pages": spatial.zipf(200_000, 0.5),
    "gaussian": spatial.gaussian(1000, 500, 100),
    "gaussian at the edge": spatial.gaussian(1000, 0, 100),
    "gaussian between pages": spatial.gaussian(10, 4.5, 1),
    "gaussian of many pages": spatial.gaussian(200_000, 60_000, 20_000),
    "wide gaussian of many pages": spatial.gaussian(200_000, 0, 500_000),
}


def shares(shape: Shape) -> np.ndarray:
    """List the share of every page."""
    found = []
    for piece in shape.pieces:
        page = np.arange(piece.first, piece.end, dtype=np.float64)
        found.append(piece.share(page) if callable(piece.share) else np.full(len(page), piece.share))
    return np.concatenate(found)


@pytest.mark.parametrize("name", SHAPES)
def test_shares_sum_up_to_one(name: str) -> None:
    """All accesses go somewhere, also where the sum is known by an integral only."""
    assert shares(SHAPES[name]).sum() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("name", SHAPES)
def test_pieces_are_monotone(name: str) -> None:
    """Pieces follow each other, each rises only or falls only, and the greatest share is the greatest."""
    shape = SHAPES[name]
    assert shape.pieces[0].first == 0
    for left, right in zip(shape.pieces, shape.pieces[1:], strict=False):
        assert left.end == right.first
    every = shares(shape)
    for piece in shape.pieces:
        steps = np.diff(every[piece.first : piece.end])
        assert (steps >= 0).all() or (steps <= 0).all()
    assert shape.greatest == pytest.approx(every.max())


def test_hotspot_ratio() -> None:
    """The hot part has the share that was asked for."""
    every = shares(SHAPES["hotspot"])
    assert every[20:30].sum() == pytest.approx(0.9)
    assert set(np.round(every, 9)) == {0.09, round(0.1 / 90, 9)}


def test_zipf_law() -> None:
    """Page i has the share of the first divided by i to the power of the exponent."""
    every = shares(SHAPES["steep zipf"])
    assert every[0] / every[9] == pytest.approx(10**2.5)


def test_gaussian_is_centered() -> None:
    """The density is symmetric around its center; one sigma away it has fallen to exp(-1/2)."""
    every = shares(SHAPES["gaussian"])
    assert every[:500] == pytest.approx(every[:499:-1])
    assert every[600] / every[500] == pytest.approx(np.exp(-0.5), rel=0.01)


@given(nr_pages=st.integers(4097, 20_000), exponent=st.floats(0.05, 4))
def test_harmonic_numbers(nr_pages: int, exponent: float) -> None:
    """The sum by integral is the sum term by term."""
    exact = (np.arange(1, nr_pages + 1, dtype=np.float64) ** -exponent).sum()
    assert 1 / spatial.zipf(nr_pages, exponent).greatest == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("shape", [spatial.zipf(2**35, 1.1), spatial.gaussian(2**35, 2**33, 2**31)])
def test_huge_tracks_are_cheap(shape: Shape) -> None:
    """128 TiB are a few numbers: shares far out are still shares."""
    (piece,) = [each for each in shape.pieces if each.first <= 2**34 < each.end]
    assert callable(piece.share)
    assert 0 <= float(piece.share(np.array([2.0**34]))[0]) < shape.greatest < 1
