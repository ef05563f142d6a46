"""One scripted activity."""

import math
from typing import Any

import numpy as np
import pytest

from damond_synthetic import spatial, temporal
from damond_synthetic.temporal import Wave
from damond_synthetic.track import Movement, Track

CONST = Wave(1_000_000, 0.0, temporal.const())
SECOND = 1_000_000


def track(nr_pages: int = 10, **more: Any) -> Track:
    given: dict[str, Any] = {"first": 100, "shape": spatial.uniform(nr_pages), "wave": CONST}
    return Track(**(given | more))


def test_rate_is_a_poisson_process() -> None:
    """5000 accesses per ms over h pages touch one of them within T with p = 1 - exp(-r * T / h)."""
    hot_pages = 2_621_440  # 10 GiB
    ((origin, first, end, miss),) = track(hot_pages, rate=5e6).misses(0, 5_000)
    assert (origin, first, end) == (100, 100, 100 + hot_pages)
    assert miss == pytest.approx(math.exp(-5_000 * 5 / hot_pages))
    assert miss == pytest.approx(1 - 0.0095, abs=1e-4)


def test_rate_follows_the_shares() -> None:
    """A page with a share s of a rate r has s * r accesses per second."""
    shape = spatial.zipf(10, 2)
    ((_, _, _, miss),) = track(shape=shape, rate=300.0).misses(0, SECOND)
    assert callable(miss)
    total = sum(i**-2 for i in range(1, 11))
    assert miss(np.array([0.0, 3.0])) == pytest.approx(np.exp([-300 / total, -300 / 16 / total]))


@pytest.mark.parametrize("interval_us", [1_000, 5_000, 1_000_000])
def test_probability_is_per_sample(interval_us: int) -> None:
    """A probability is that of the busiest page per sampling interval, however long; others by their share."""
    shape = spatial.hotspot(100, 0, 10, 0.9)
    misses = [each[3] for each in track(shape=shape, probability=0.5).misses(0, interval_us)]
    assert misses == pytest.approx([0.5, 1 - 0.5 / 81])


def test_intensity_scales_both() -> None:
    """At half intensity half of the accesses come, and the probability is half."""
    wave = Wave(SECOND, 0.0, temporal.square(0.5, 0.5))
    late = 600_000
    (by_rate,) = track(rate=1000.0, wave=wave).misses(late, 5_000)
    (by_probability,) = track(probability=0.8, wave=wave).misses(late, 5_000)
    assert by_rate[3] == pytest.approx(math.exp(-1000 / 10 / 2 * 0.005))
    assert by_probability[3] == pytest.approx(1 - 0.4)


@pytest.mark.parametrize(
    ("time_us", "exposure"),
    [
        pytest.param(0, 0.0, id="before"),
        pytest.param(8_000, 0.6, id="begins within"),
        pytest.param(20_000, 1.0, id="inside"),
        pytest.param(27_000, 0.2, id="ends within"),
        pytest.param(28_000, 0.0, id="behind"),
    ],
)
def test_begin_and_until(time_us: int, exposure: float) -> None:
    """Outside of its time a track does nothing; a sample that it begins or ends in counts in part."""
    found = list(track(probability=1.0, begin_us=10_000, until_us=28_000).misses(time_us, 5_000))
    assert [each[3] for each in found] == pytest.approx([1 - exposure] if exposure else [])


@pytest.mark.parametrize(
    ("kind", "room", "stride", "expected"),
    [
        pytest.param("none", 8, 2, [0, 0, 0, 0, 0, 0, 0, 0], id="none"),
        pytest.param("slide", 7, 2, [0, 1, 2, 3, 4, 5, 6, 7], id="slide"),
        pytest.param("bounce", 8, 2, [0, 2, 4, 6, 8, 6, 4, 2], id="bounce"),
        pytest.param("hop", 6, 2, [0, 0, 2, 2, 4, 4, 6, 6], id="hop"),
        pytest.param("hop", 7, 2, [0, 0, 2, 2, 4, 4, 6, 6], id="hop with a rest"),
        pytest.param("slide", 0, 2, [0, 0, 0, 0, 0, 0, 0, 0], id="no room"),
    ],
)
def test_movement(kind: str, room: int, stride: int, expected: list[int]) -> None:
    """Where the range is in each eighth of two periods."""
    movement = Movement(kind, 8_000, room, stride)
    assert [movement.offset(eighth * 1000) for eighth in range(16)] == expected * 2


def test_movement_begins_with_the_track() -> None:
    """A range moves from the begin of its track on, and its pages with it."""
    moving = track(begin_us=SECOND, movement=Movement("slide", 10_000, 9, 1))
    assert [each[:3] for each in moving.misses(SECOND, 1_000)] == [(100, 100, 110)]
    assert [each[:3] for each in moving.misses(SECOND + 4_000, 1_000)] == [(104, 104, 114)]


def test_even_arrivals_are_seen_in_proportion() -> None:
    """At most one paced access per interval: its chance is rate * share * T, without the loss of coinciding ones."""
    shape = spatial.hotspot(10, 0, 1, 0.95)
    misses = [each[3] for each in track(shape=shape, rate=100.0, even=True).misses(0, 5_000)]
    assert misses == pytest.approx([1 - 0.5 * 0.95, 1 - 0.5 * 0.05 / 9])


def test_even_arrivals_beyond_one_per_interval() -> None:
    """Two and a half accesses per interval: two in each, a third in every other."""
    ((_, _, _, miss),) = track(2, rate=500.0, even=True).misses(0, 5_000)
    assert miss == pytest.approx(0.5**2 * (1 - 0.5 * 0.5))


def test_together_touches_all_pages() -> None:
    """Every access touches every page: each page has the whole rate."""
    shape = spatial.together(10)
    ((_, _, end, miss),) = track(shape=shape, rate=50.0, even=True).misses(0, 5_000)
    assert (end, miss) == (110, pytest.approx(0.75))


def test_touches_are_the_rate_by_share() -> None:
    """What is to be expected of each page: its share of the rate, and nothing outside of the track or its time."""
    shape = spatial.zipf(3, 1)
    given = track(shape=shape, rate=110.0, begin_us=SECOND)
    pages = np.array([99, 100, 101, 102, 103], np.uint64)
    assert given.touches(pages, SECOND, SECOND) == pytest.approx([0, 60, 30, 20, 0])
    assert given.touches(pages, 0, SECOND) == pytest.approx([0, 0, 0, 0, 0])
    assert given.touches(pages, SECOND // 2, SECOND) == pytest.approx([0, 30, 15, 10, 0])
