"""Chance without a state."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from damond_synthetic.draws import draw, draw_key

PAGES = np.arange(200_000, dtype=np.uint64) + np.uint64(2**34)


@given(parts=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
def test_keys_are_64_bits(parts: list[int]) -> None:
    """A key fits into 64 bits, and each part changes it."""
    key = draw_key(*parts)
    assert 0 <= key < 2**64
    assert all(draw_key(*parts[:at], parts[at] ^ 1, *parts[at + 1 :]) != key for at in range(len(parts)))


@given(key=st.integers(0, 2**64 - 1), page=st.integers(0, 2**40))
def test_a_page_has_one_result(key: int, page: int) -> None:
    """A page draws the same number whatever is drawn beside it; it is in [0, 1)."""
    (alone,) = draw(key, np.array([page], np.uint64))
    beside = draw(key, np.array([page - 1 if page else 7, page, page + 1], np.uint64))
    assert alone == beside[1]
    assert 0 <= alone < 1


def test_numbers_are_even() -> None:
    """Neighbouring pages draw evenly: each tenth gets its share, within five sigma."""
    counts = np.histogram(draw(draw_key(1), PAGES), bins=10, range=(0, 1))[0]
    # Binomial, n = 200,000, p = 1/10: sigma 134.
    assert np.abs(counts - 20_000).max() < 5 * 134


def test_neighbours_and_passes_are_independent() -> None:
    """No correlation between neighbouring pages, nor between one pass and the next, within five sigma."""
    first, second = (draw(draw_key(1, each), PAGES) for each in (0, 1))
    limit = 5 / np.sqrt(len(PAGES))
    assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < limit
    assert abs(np.corrcoef(first, second)[0, 1]) < limit


def test_passes_of_one_page_are_even() -> None:
    """One page over many passes draws evenly as well."""
    page = np.array([12_345], np.uint64)
    drawn = np.array([draw(draw_key(3, each), page)[0] for each in range(20_000)])
    counts = np.histogram(drawn, bins=10, range=(0, 1))[0]
    # Binomial, n = 20,000, p = 1/10: sigma 42.4.
    assert np.abs(counts - 2_000).max() < 5 * 42.4
