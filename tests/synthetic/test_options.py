"""The options: what people write, and what they are told when it can't be meant."""

from typing import Any

import pytest

from damond.core import AddrRange
from damond.errors import InvalidOptionError, UnknownNameError
from damond.plugin import parse_options
from damond_synthetic import Memory, SyntheticOptions

PAGE = 4096
MIB, GIB, TIB = 1024**2, 1024**3, 1024**4


def memory(**given: Any) -> Memory:
    options: SyntheticOptions = parse_options("synthetic", SyntheticOptions, given)
    return options.memory()


def hot(*tracks: dict[str, Any], time_us: int = 0, at_least: float = 0.5) -> list[AddrRange]:
    return memory(tracks=list(tracks)).at(time_us, 5_000).hot_ranges(at_least)


@pytest.mark.parametrize(
    ("given", "areas"),
    [
        pytest.param({}, [(0, GIB)], id="nothing"),
        pytest.param({"size": "5TiB"}, [(0, 5 * TIB)], id="size"),
        pytest.param({"size": "2MiB", "start": "0x7f0000000000"}, [(0x7F00_0000_0000, 0x7F00_0020_0000)], id="start"),
        pytest.param({"size": 2**47}, [(0, 2**47)], id="the greatest"),
        pytest.param(
            {"areas": [{"start": "1MiB", "size": "1MiB"}, {"start": "0x800000", "size": "4MiB"}]},
            [(MIB, 2 * MIB), (8 * MIB, 12 * MIB)],
            id="areas",
        ),
    ],
)
def test_address_space(given: dict[str, Any], areas: list[tuple[int, int]]) -> None:
    """Sizes and addresses as people write them; one area, or several with gaps."""
    assert memory(**given).areas == tuple(AddrRange(*each) for each in areas)


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        pytest.param({}, [(0, 1024)], id="the whole area"),
        pytest.param({"start": "256MiB"}, [(256, 1024)], id="the rest of the area"),
        pytest.param({"start": "0x10000000", "size": "64M"}, [(256, 320)], id="a part"),
        pytest.param({"spatial": "hotspot", "size": "1000MiB"}, [(0, 100)], id="a tenth is hot"),
        pytest.param({"spatial": "hotspot", "hot_start": "1M", "hot_size": "3M"}, [(1, 4)], id="a hot part"),
        pytest.param({"temporal": "square", "period": "2s", "phase": 0.75}, [], id="off"),
        pytest.param({"temporal": "ramp", "levels": [1, 0]}, [(0, 1024)], id="going down from 1"),
        pytest.param({"temporal": "steps", "levels": [0.2, 1.0]}, [], id="step 1"),
        pytest.param({"begin": "1s"}, [], id="not begun"),
        pytest.param({"rate": 1e12}, [(0, 1024)], id="a great rate"),
        pytest.param({"rate": 1}, [], id="a small rate"),
    ],
)
def test_tracks(track: dict[str, Any], expected: list[tuple[int, int]]) -> None:
    """What is hot at the start (MiB)."""
    assert hot(track) == [AddrRange(begin * MIB, end * MIB) for begin, end in expected]


def test_gaussian_defaults() -> None:
    """The bell is in the middle of its track, a sixth of it wide."""
    (found,) = hot({"start": "512MiB", "spatial": "gaussian"})
    assert (found.start + found.end) / 2 == pytest.approx(768 * MIB, abs=PAGE)
    assert found.size == pytest.approx(2 * 1.17741 * 512 * MIB / 6, rel=1e-3)


def test_gaussian_of_one_page() -> None:
    """A track of one page has a bell too."""
    assert hot({"size": PAGE, "spatial": "gaussian"}) == [AddrRange(0, PAGE)]


TRACK_PROBLEMS = [
    pytest.param({"rte": 1}, "tracks[0]: unknown key 'rte': did you mean 'rate'?", id="unknown key"),
    pytest.param({"spatial": "zpf"}, "unknown spatial 'zpf' (did you mean 'zipf'?", id="unknown shape"),
    pytest.param({"move": "jump"}, "unknown move 'jump'", id="unknown movement"),
    pytest.param({"size": "3k"}, "'3k' has an unknown unit", id="bad unit"),
    pytest.param({"size": 1000}, "tracks[0]: size = 1000: must be a multiple of the page size", id="no pages"),
    pytest.param({"start": -PAGE}, "tracks[0]: start = -4096: must not be negative", id="negative"),
    pytest.param({"size": 0}, "tracks[0]: size = 0: must be above 0", id="empty"),
    pytest.param({"size": "2TiB"}, "tracks[0]: size = 2199023255552: must be above 0 and at most", id="too large"),
    pytest.param({"start": "1GiB"}, "tracks[0]: start = 1073741824: lies behind the area", id="behind the area"),
    pytest.param({"area": 1}, "tracks[0]: area = 1: there are 1, numbered from 0", id="no such area"),
    pytest.param({"rate": 1, "probability": 0.5}, "rate, probability: only one", id="both intensities"),
    pytest.param({"rate": float("inf")}, "rate: must be a number from 0", id="infinite rate"),
    pytest.param({"probability": 1.1}, "probability: must be from 0 to 1", id="more than certain"),
    pytest.param({"probability": float("nan")}, "probability: must be from 0 to 1", id="not a number"),
    pytest.param({"probability": "much"}, "probability = 'much': must be of type float", id="no number"),
    pytest.param({"temporal": "square", "duty": 2.0}, "duty: must be from 0 to 1", id="duty"),
    pytest.param({"temporal": "square", "period": "0s"}, "period: must be above 0", id="no period"),
    pytest.param({"temporal": "ramp", "levels": [1]}, "levels: must be at least two", id="one level"),
    pytest.param({"temporal": "steps", "levels": [0, 3]}, "levels: must be at least two", id="level above 1"),
    pytest.param({"spatial": "zipf", "exponent": 0}, "exponent: must be a number above 0", id="no exponent"),
    pytest.param({"spatial": "gaussian", "sigma": 100}, "sigma: must be at least a page", id="sigma below a page"),
    pytest.param({"spatial": "gaussian", "center": "2G"}, "center: must lie in", id="center outside"),
    pytest.param({"spatial": "hotspot", "hot_start": "1G"}, "hot_start, hot_size: must lie in", id="hot outside"),
    pytest.param({"spatial": "hotspot", "hot_size": 0}, "hot_size: must be above 0", id="nothing hot"),
    pytest.param({"begin": "2s", "until": "1s"}, "until: must be behind begin", id="ends before it begins"),
    pytest.param({"begin": "-1s"}, "'-1s' is not an interval", id="begins before the start"),
    pytest.param({"size": "1M", "move": "slide", "move_span": PAGE}, "move_span = 4096: must be from", id="no room"),
    pytest.param({"move": "slide", "move_period": "0s"}, "move_period: must be above 0", id="infinitely fast"),
    pytest.param({"sigma": "1M"}, "sigma: has no effect with spatial = 'uniform'", id="of another shape"),
    pytest.param({"temporal": "sine", "duty": 0.1}, "duty: has no effect with temporal = 'sine'", id="of another wave"),
    pytest.param({"move_span": "1M"}, "move_span: has no effect with move = 'none'", id="does not move"),
]


@pytest.mark.parametrize(("track", "problem"), TRACK_PROBLEMS)
def test_impossible_tracks(track: dict[str, Any], problem: str) -> None:
    """What can't be meant is refused, in words that name the track and the key."""
    with pytest.raises(InvalidOptionError) as caught:
        memory(tracks=[track])
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param({"tracks": [7]}, "tracks[0]: must be a table", id="no table"),
        pytest.param({"tracks": "hot"}, "tracks = 'hot': must be of type tuple", id="no list"),
        pytest.param({"preset": "stars"}, "unknown preset 'stars': did you mean 'stairs'?", id="unknown preset"),
        pytest.param({"preset": "demo", "tracks": [{}]}, "preset, tracks: only one", id="preset and tracks"),
        pytest.param({"size": "64KiB"}, "a preset needs at least 100 pages", id="too small for a preset"),
        pytest.param({"size": 0}, "size: must be above 0", id="nothing"),
        pytest.param({"size": 2**47 + PAGE}, "size: must be at most", id="too large"),
        pytest.param({"start": 2**52, "size": PAGE, "tracks": [{}]}, "must end below", id="too far"),
        pytest.param({"size": PAGE, "areas": [{"size": PAGE}]}, "size and start can't be given", id="both"),
        pytest.param({"areas": [{"strt": 0}]}, "areas[0]: unknown key 'strt': did you mean 'start'?", id="area key"),
        pytest.param(
            {"areas": [{"start": PAGE, "size": PAGE}, {"size": 2 * PAGE}]}, "must be sorted by address", id="unsorted"
        ),
        pytest.param({"areas": [{"size": 2 * PAGE}, {"start": PAGE}]}, "without overlap", id="overlapping"),
        pytest.param({"seed": -1}, "seed: must be from 0", id="seed"),
        pytest.param({"seed": "x"}, "seed = 'x': must be of type int", id="seed is a number"),
    ],
)
def test_impossible_options(given: dict[str, Any], problem: str) -> None:
    """What can't be meant is EINVAL, in words that name the option."""
    with pytest.raises(InvalidOptionError) as caught:
        memory(**given)
    assert problem in str(caught.value)
    assert (caught.value.code, caught.value.errno) == ("invalid_option", 22)


def test_every_problem_is_listed() -> None:
    """One look is enough to mend all tracks."""
    with pytest.raises(InvalidOptionError) as caught:
        memory(tracks=[{"rte": 1, "size": "x"}, {}, {"probability": 2.0, "duty": 0.1}])
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert [line.split(":")[0] for line in lines[1:]] == ["  - tracks[0]", "  - tracks[0]"] + ["  - tracks[2]"] * 2


def test_unknown_option() -> None:
    """A wrong option is refused by the one way that all primitives share."""
    with pytest.raises(UnknownNameError, match="did you mean 'size'"):
        memory(siz="1GiB")
