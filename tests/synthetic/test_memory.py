"""The truth about the scripted memory."""

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import AddrRange
from damond_synthetic import Memory, SyntheticOptions

PAGE = 4096
MIB, GIB, TIB = 1024**2, 1024**3, 1024**4


def memory(*tracks: Mapping[str, Any], **more: Any) -> Memory:
    return SyntheticOptions(tracks=tracks, **more).memory()


def pages_of(wanted: AddrRange) -> np.ndarray:
    return np.arange(wanted.start, wanted.end, PAGE, dtype=np.uint64)


def test_touch_probability() -> None:
    """Inside a track its probability, outside nothing; where tracks overlap they are independent of each other."""
    moment = memory(
        {"start": 0, "size": 2 * MIB, "probability": 0.5}, {"start": MIB, "size": 2 * MIB, "probability": 0.2}
    ).at(0, 5_000)
    addrs = np.array([3 * MIB, 2 * MIB - 1, MIB, 0, 3 * MIB - 1], np.uint64)
    assert moment.touch_probability(addrs) == pytest.approx([0, 0.6, 0.6, 0.5, 0.2])


@st.composite
def scripts(draw: Any) -> list[dict[str, Any]]:
    """Any tracks within 2000 pages."""
    tracks = []
    for _ in range(draw(st.integers(1, 4))):
        start, size = draw(st.integers(0, 1000)), draw(st.integers(1, 1000))
        track: dict[str, Any] = {"start": start * PAGE, "size": size * PAGE}
        track["spatial"] = draw(st.sampled_from(["uniform", "hotspot", "zipf", "gaussian"]))
        track["temporal"] = draw(st.sampled_from(["const", "sine", "square", "ramp", "steps"]))
        key, values = draw(st.sampled_from([("rate", st.floats(0, 1e5)), ("probability", st.floats(0, 1))]))
        track[key] = draw(values)
        track["move"] = draw(st.sampled_from(["none", "slide", "bounce", "hop"]))
        tracks.append(track)
    return tracks


TIMES = st.integers(0, 60_000_000)
SMALL = AddrRange(0, 2000 * PAGE)


@given(tracks=scripts(), time_us=TIMES, interval_us=st.integers(1, 200_000), nr_intervals=st.integers(1, 8))
def test_intervals_in_a_row(tracks: list[dict[str, Any]], time_us: int, interval_us: int, nr_intervals: int) -> None:
    """Several intervals at once are what each of them is by itself, to the last bit."""
    found = memory(*tracks, size=SMALL.end)
    times_us = range(time_us, time_us + nr_intervals * interval_us, interval_us)
    pages = np.stack([(pages_of(SMALL) // PAGE)[row::3][:600] for row in np.arange(nr_intervals) % 3])
    together = found.touch_probability(pages, times_us)
    for row, at_us in enumerate(times_us):
        assert together[row].tolist() == found.at(at_us, interval_us).touch_probability_sorted(pages[row]).tolist()


@given(tracks=scripts(), time_us=TIMES, at_least=st.floats(0.001, 1))
def test_hot_ranges_are_exact(tracks: list[dict[str, Any]], time_us: int, at_least: float) -> None:
    """The hot ranges hold exactly the pages of at least that probability, whatever overlaps."""
    moment = memory(*tracks, size=SMALL.end).at(time_us, 5_000)
    probability = moment.touch_probability(pages_of(SMALL))
    hot = np.zeros(2000, bool)
    ranges = moment.hot_ranges(at_least)
    for each in ranges:
        hot[each.start // PAGE : each.end // PAGE] = True
    assert hot.tolist() == (probability >= at_least).tolist()
    assert all(left.end < right.start for left, right in itertools.pairwise(ranges))


@given(tracks=scripts(), time_us=TIMES, bounds=st.tuples(st.integers(0, 999), st.integers(1000, 2000)))
def test_mean_is_the_mean_of_the_pages(tracks: list[dict[str, Any]], time_us: int, bounds: tuple[int, int]) -> None:
    """The mean over a range is the mean over every page."""
    moment = memory(*tracks, size=SMALL.end).at(time_us, 5_000)
    wanted = AddrRange(bounds[0] * PAGE, bounds[1] * PAGE)
    expected = moment.touch_probability(pages_of(wanted)).mean()
    assert moment.mean_touch_probability(wanted) == pytest.approx(expected)


@pytest.mark.parametrize(
    "tracks",
    [
        pytest.param([{"spatial": "zipf", "exponent": 1.3}], id="zipf"),
        pytest.param([{"spatial": "zipf", "exponent": 0.4, "rate": 1e8}], id="shallow zipf"),
        pytest.param([{"spatial": "gaussian", "sigma": 16 * MIB}], id="gaussian"),
        pytest.param(
            [{"spatial": "gaussian", "center": 0}, {"spatial": "gaussian", "center": GIB}], id="two that cross"
        ),
        pytest.param([{"spatial": "zipf", "rate": 1e6}, {"spatial": "hotspot", "rate": 1e6}], id="zipf and hotspot"),
    ],
)
def test_mean_over_many_pages(tracks: list[dict[str, Any]]) -> None:
    """The mean by bisection is that over each of 262,144 pages."""
    moment = memory(*tracks).at(0, 5_000)
    whole = AddrRange(0, GIB)
    expected = moment.touch_probability(pages_of(whole)).mean()
    assert moment.mean_touch_probability(whole) == pytest.approx(expected, rel=5e-5)


@given(tracks=scripts(), time_us=TIMES, interval_us=st.integers(1, 10**6))
def test_probabilities_are_probabilities(tracks: list[dict[str, Any]], time_us: int, interval_us: int) -> None:
    """From 0 to 1 for every page at any time, and nothing outside of the areas."""
    moment = memory(*tracks, size=SMALL.end).at(time_us, interval_us)
    probability = moment.touch_probability(pages_of(AddrRange(0, 2500 * PAGE)))
    assert (probability >= 0).all()
    assert (probability <= 1).all()
    assert not probability[2000:].any()


@given(tracks=scripts(), time_us=TIMES, order=st.permutations(range(0, 2000 * PAGE, 99 * PAGE)))
def test_order_of_addresses_does_not_matter(tracks: list[dict[str, Any]], time_us: int, order: Sequence[int]) -> None:
    """The quick way for sorted pages and the one for any addresses agree."""
    moment = memory(*tracks, size=SMALL.end).at(time_us, 5_000)
    in_order = np.array(sorted(order), np.uint64)
    by_addr = dict(zip(in_order.tolist(), moment.touch_probability_sorted(in_order // PAGE), strict=True))
    assert moment.touch_probability(np.array(order, np.uint64)).tolist() == [by_addr[addr] for addr in order]


@pytest.mark.parametrize(
    ("size", "mean"),
    [
        # 5,000 accesses per ms spread evenly over the hot range, looked at every 5 ms: p = 1 - exp(-r * T / h).
        pytest.param(1 * GIB, 0.6147, id="1 GiB: 10 % of it are hot"),
        pytest.param(10 * GIB, 0.0910, id="10 GiB"),
        pytest.param(100 * GIB, 0.0095, id="100 GiB"),
        pytest.param(5 * TIB, 0.0095, id="5 TiB with 10 GiB hot"),
    ],
)
def test_evenly_spread_accesses(size: int, mean: float) -> None:
    """The figure that decides whether a hot range can be seen at all is known exactly for each footprint."""
    hot = min(size // 10 // PAGE * PAGE, 10 * GIB)
    moment = memory({"start": 0, "size": hot, "rate": 5e6}, size=size).at(0, 5_000)
    assert moment.mean_touch_probability(AddrRange(0, hot)) == pytest.approx(mean, abs=6e-5)
    assert moment.hot_ranges(at_least=1e-9) == [AddrRange(0, hot)]
    assert moment.mean_touch_probability(AddrRange(hot, size)) == 0


MEAN_INTENSITY = {"const": 1.0, "sine": 0.5, "square": 0.5, "ramp": 0.5, "steps": 0.625}


@pytest.mark.parametrize("temporal", MEAN_INTENSITY)
@pytest.mark.parametrize("spatial", ["uniform", "hotspot", "zipf", "gaussian"])
def test_no_access_is_lost(spatial: str, temporal: str) -> None:
    """However a rate is spread over pages and time: the accesses of all pages in a period are those of the track."""
    found = memory({"spatial": spatial, "temporal": temporal, "rate": 50.0}, size=2000 * PAGE)
    miss = np.ones(2000)
    for step in range(100):
        miss *= 1 - found.at(step * 100_000, 100_000).touch_probability(pages_of(SMALL))
    assert -np.log(miss).sum() == pytest.approx(50 * 10 * MEAN_INTENSITY[temporal], rel=1e-6)


def test_zipf_mean_of_five_terabytes() -> None:
    """The mean over 1.3 billion pages is that of the harmonic sum: H(n) / n."""
    nr_pages = 5 * TIB // PAGE
    moment = memory({"spatial": "zipf", "exponent": 1.0}, size=5 * TIB).at(0, 5_000)
    harmonic = np.log(nr_pages) + np.euler_gamma
    assert moment.mean_touch_probability(AddrRange(0, 5 * TIB)) == pytest.approx(harmonic / nr_pages, rel=1e-5)


def test_gaussian_edge_in_huge_memory() -> None:
    """Half of the peak is at sqrt(2 ln 2) = 1.1774 sigmas, to the page, in 5 TiB as in 5 MiB."""
    sigma = 500 * GIB
    moment = memory({"spatial": "gaussian", "sigma": sigma, "probability": 1.0}, size=5 * TIB).at(0, 5_000)
    (hot,) = moment.hot_ranges(at_least=0.5)
    assert hot.size == pytest.approx(2 * 1.177410 * sigma, rel=1e-6)
    assert abs((hot.start + hot.end) // 2 - 2.5 * TIB) <= PAGE


def test_areas_and_gaps() -> None:
    """Tracks lie in their own area; gaps are never touched and never hot."""
    areas = [{"start": 0, "size": MIB}, {"start": "0x7f0000000000", "size": MIB}]
    found = memory({"area": 1}, {"area": 0, "start": MIB // 2, "probability": 0.5}, areas=areas)
    base = 0x7F00_0000_0000
    assert found.areas == (AddrRange(0, MIB), AddrRange(base, base + MIB))
    moment = found.at(0, 5_000)
    assert moment.hot_ranges(0.4) == [AddrRange(MIB // 2, MIB), AddrRange(base, base + MIB)]
    assert moment.hot_ranges(0.6) == [AddrRange(base, base + MIB)]
    assert moment.touch_probability(np.array([2 * MIB, base - 1, base], np.uint64)).tolist() == [0, 0, 1]


def test_truth_costs_the_same_whatever_the_size() -> None:
    """Nothing is allocated for memory: 2**47 bytes are answered as 2**30 are (here: in well under a second each)."""
    begin = time.process_time()
    for size in (2**30, 2**47):
        found = SyntheticOptions(size=size, preset="demo").memory()
        moment = found.at(12_000_000, 5_000)
        assert moment.hot_ranges(0.5)
        assert 0 < moment.mean_touch_probability(found.areas[0]) < 1
    assert time.process_time() - begin < 2
