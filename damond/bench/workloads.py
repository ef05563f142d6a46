"""49 shapes of accesses: by page {uniform, hotspot, zipf, gaussian}, by time {const, sine, square, ramp, steps}.

They are those of a published evaluation of the kernel's DAMON (memtest of damoLoad; damo 3.3.0, fvaddr, 5 ms / 100 ms,
5 repetitions), made anew as tracks of the synthetic primitive, with the accuracy and r that were published for each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from damond.units import PAGE_SIZE, USEC_PER_SEC

Options = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Published:
    """What was published of the kernel's DAMON for a shape.

    Attributes:
        accuracy: With heat credited in full to every page that a region touches, and weighted by the overlap.
        r: Pearson's r in the same two ways; None where there is no shape to correlate.
    """

    accuracy: tuple[float, float]
    r: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One shape.

    Attributes:
        name: Number and name under which its figures were published.
        seconds: For how long it goes on.
        pages: Pages of each mapping.
        tracks: What happens, as tracks of the synthetic primitive.
        published: The figures of the kernel's DAMON.
    """

    name: str
    seconds: int
    pages: tuple[int, ...]
    tracks: Sequence[Options]
    published: Published

    def options(self, scale: int = 1) -> dict[str, Any]:
        """Make the options of the synthetic primitive: mappings a TiB apart.

        Args:
            scale: Make so many pages of each, all of which are accessed as often as the one was.
        """
        areas = [
            {"start": start, "size": n * scale * PAGE_SIZE} for start, n in zip(self.starts, self.pages, strict=True)
        ]
        tracks = [{"arrivals": "even", **track} for track in self.tracks]
        return {"areas": areas, "tracks": tuple(tracks if scale == 1 else self._grown(tracks, scale))}

    @property
    def starts(self) -> list[int]:
        """First address of each mapping."""
        return [(i + 1) << 40 for i in range(len(self.pages))]

    def _grown(self, tracks: Sequence[Options], scale: int) -> Iterator[Options]:
        """Make a track of each page of a track: its share of the rate goes to all that it grows to."""
        for track in tracks:
            nr_pages = self.pages[track.get("area", 0)]
            plain = {key: value for key, value in track.items() if key not in _SPATIAL}
            for page, share in enumerate(_shares(track, nr_pages)):
                place = {"start": page * scale * PAGE_SIZE, "size": scale * PAGE_SIZE}
                yield {**plain, **place, "spatial": "together", "rate": track["rate"] * share}


def _const(hz: float) -> Options:
    return {"rate": float(hz)}


def _sine(base_hz: float, amplitude: float, period_s: float, phase: float = 0.0) -> Options:
    top = base_hz + amplitude
    low = (base_hz - amplitude) / top
    return {"rate": float(top), "temporal": "sine", "low": low, "period": _us(period_s), "phase": phase}


def _square(hz: float, duty: float, period_s: float, phase: float = 0.0) -> Options:
    return {"rate": float(hz), "temporal": "square", "duty": duty, "period": _us(period_s), "phase": phase}


def _ramp(begin_hz: float, end_hz: float, seconds: float) -> Options:
    top = float(max(begin_hz, end_hz))
    return {"rate": top, "temporal": "ramp", "levels": [begin_hz / top, end_hz / top], "period": _us(seconds)}


def _steps(seconds: float, *hz: float) -> Options:
    top = float(max(hz))
    levels = [each / top for each in hz]
    return {"rate": top, "temporal": "steps", "levels": levels, "period": _us(seconds * len(hz))}


def _hot(first: int, nr_pages: int, ratio: float) -> Options:
    where = {"hot_start": first * PAGE_SIZE, "hot_size": nr_pages * PAGE_SIZE}
    return {"spatial": "hotspot", "hot_ratio": ratio, **where}


def _zipf(exponent: float) -> Options:
    return {"spatial": "zipf", "exponent": exponent}


def _gaussian(center: float, sigma: float) -> Options:
    """Place the center at the middle of a page, by its number."""
    return {"spatial": "gaussian", "center": round((center + 0.5) * PAGE_SIZE), "sigma": round(sigma * PAGE_SIZE)}


def _us(seconds: float) -> str:
    return f"{round(seconds * USEC_PER_SEC)}us"


def _from(begin_s: float, until_s: float) -> Options:
    return {"begin": _us(begin_s), "until": _us(until_s)}


_SPATIAL: Final = ("spatial", "hot_start", "hot_size", "hot_ratio", "exponent", "center", "sigma")


def _shares(track: Options, nr_pages: int) -> list[float]:
    """Give what part of the accesses of a track each page gets."""
    page = np.arange(nr_pages)
    if track["spatial"] == "together":
        return [1.0] * nr_pages
    if track["spatial"] == "hotspot":
        first, nr_hot, ratio = track["hot_start"] // PAGE_SIZE, track["hot_size"] // PAGE_SIZE, track["hot_ratio"]
        is_hot = (page >= first) & (page < first + nr_hot)
        shares = np.where(is_hot, ratio / nr_hot, (1 - ratio) / max(nr_pages - nr_hot, 1))
        return list(map(float, shares))
    weight = np.ones(nr_pages)
    if track["spatial"] == "zipf":
        weight = (page + 1.0) ** -track["exponent"]
    elif track["spatial"] == "gaussian":
        weight = np.exp(-0.5 * ((page + 0.5 - track["center"] / PAGE_SIZE) / (track["sigma"] / PAGE_SIZE)) ** 2)
    return list(map(float, weight / weight.sum()))


_UNIFORM: Final[Options] = {"spatial": "uniform"}
_ALL: Final[Options] = {"spatial": "together"}
_SECOND: Final[Options] = {"area": 1}
_THIRD: Final[Options] = {"area": 2}
_BOTH_PAGES: Final = _hot(0, 2, 0.9)
"""The hot part that most shapes have: the first two pages."""


def _shape(
    name: str,
    seconds: int,
    pages: int | tuple[int, ...],
    tracks: Sequence[Sequence[Options]],
    accuracy: tuple[float, float],
    r: tuple[float, float] | None,
) -> Workload:
    merged = [{key: value for part in track for key, value in part.items()} for track in tracks]
    whole = (pages,) if isinstance(pages, int) else pages
    return Workload(name=name, seconds=seconds, pages=whole, tracks=merged, published=Published(accuracy, r))


WORKLOADS: Final = (
    _shape("01 one page, seldom", 10, 1, [[_UNIFORM, _const(10)]], (0.936, 0.344), None),
    _shape("03 two pages", 10, 2, [[_UNIFORM, _const(100)]], (0.958, 0.758), None),
    _shape("04 ten pages", 15, 10, [[_UNIFORM, _const(100)]], (0.817, 0.975), (-0.05, 0.56)),
    # One after another: every page has a tenth of the accesses, at equal distances.
    _shape("05 ten pages in turn", 15, 10, [[_ALL, _const(10)]], (0.807, 0.656), (0.10, 0.10)),
    _shape("06 all pages at once", 10, 10, [[_ALL, _const(50)]], (0.829, 0.659), None),
    _shape("07 one hot page", 15, 10, [[_hot(0, 1, 0.95), _const(150)]], (0.664, 0.829), (0.54, 0.80)),
    _shape("08 two hot pages", 15, 10, [[_BOTH_PAGES, _const(150)]], (0.737, 0.874), (0.78, 0.97)),
    _shape("09 ramp up", 15, 5, [[_UNIFORM, _ramp(0, 200, 15)]], (0.830, 0.959), (-0.43, 0.52)),
    _shape("10 ramp down", 15, 5, [[_UNIFORM, _ramp(200, 0, 15)]], (0.829, 0.942), (-0.34, 0.14)),
    _shape("11 slow sine", 20, 5, [[_UNIFORM, _sine(100, 80, 4)]], (0.857, 0.903), (-0.37, 0.50)),
    _shape("12 fast sine", 20, 5, [[_UNIFORM, _sine(100, 80, 0.5)]], (0.849, 0.942), (-0.44, 0.40)),
    _shape("13 square", 20, 5, [[_UNIFORM, _square(200, 0.5, 2)]], (0.834, 0.972), (-0.41, 0.25)),
    _shape("14 short bursts", 20, 5, [[_UNIFORM, _square(200, 0.05, 1)]], (0.855, 0.926), (-0.25, 0.40)),
    _shape("15 three steps", 15, 5, [[_UNIFORM, _steps(5, 20, 120, 60)]], (0.814, 0.711), (-0.29, -0.01)),
    _shape("16 five steps", 25, 5, [[_UNIFORM, _steps(5, 10, 50, 100, 150, 200)]], (0.854, 0.903), (-0.26, 0.28)),
    _shape("17 steep zipf", 15, 10, [[_zipf(2), _const(150)]], (0.662, 0.832), (0.64, 0.92)),
    _shape("18 shallow zipf", 15, 10, [[_zipf(0.5), _const(150)]], (0.795, 0.872), (0.51, 0.95)),
    _shape("19 narrow gaussian", 15, 10, [[_gaussian(4.5, 1), _const(150)]], (0.665, 0.779), (0.82, 0.93)),
    _shape("20 wide gaussian", 15, 10, [[_gaussian(4.5, 3), _const(150)]], (0.781, 0.870), (0.50, 0.88)),
    _shape("21 hotspot, sine", 20, 10, [[_BOTH_PAGES, _sine(100, 80, 2)]], (0.716, 0.921), (0.81, 1.00)),
    _shape("22 hotspot, square", 20, 10, [[_BOTH_PAGES, _square(200, 0.3, 2)]], (0.770, 0.892), (0.78, 0.94)),
    _shape(
        "23 two tracks",
        20,
        10,
        [[_hot(0, 3, 0.8), _const(100)], [_hot(7, 3, 0.8), _const(100)]],
        (0.756, 0.828),
        (0.71, 0.87),
    ),
    _shape(
        "24 two tracks, one late",
        20,
        10,
        [[_UNIFORM, _const(100)], [_BOTH_PAGES, _const(150), _from(10, 20)]],
        (0.553, 0.528),
        (0.83, 0.78),
    ),
    _shape(
        "25 two tracks by turns",
        20,
        10,
        [[_hot(0, 3, 0.9), _square(150, 0.5, 4)], [_hot(7, 3, 0.9), _square(150, 0.5, 4, 0.5)]],
        (0.752, 0.876),
        (0.76, 0.95),
    ),
    _shape(
        "26 two mappings",
        15,
        (10, 10),
        [[_UNIFORM, _const(100)], [_SECOND, _BOTH_PAGES, _const(150)]],
        (0.778, 0.860),
        (0.77, 0.93),
    ),
    _shape("27 fifty pages", 15, 50, [[_UNIFORM, _const(100)]], (0.857, 0.893), (0.29, 0.37)),
    _shape("28 fifty pages, hotspot", 15, 50, [[_hot(0, 5, 0.9), _const(150)]], (0.843, 0.894), (0.94, 1.00)),
    _shape("29 gaussian, sine", 20, 10, [[_gaussian(2, 1.5), _sine(80, 60, 3)]], (0.710, 0.874), (0.84, 0.97)),
    _shape("30 zipf, steps", 20, 10, [[_zipf(1.5), _steps(5, 30, 100, 180, 50)]], (0.725, 0.849), (0.68, 0.90)),
    _shape("31 extreme hotspot", 15, 20, [[_hot(0, 1, 0.99), _const(200)]], (0.806, 0.879), (0.57, 0.87)),
    _shape("32 balanced hotspot", 15, 10, [[_hot(0, 5, 0.5), _const(150)]], (0.789, 0.887), (-0.01, 0.57)),
    _shape("33 all pages, sine", 20, 10, [[_ALL, _sine(60, 50, 3)]], (0.814, 0.567), None),
    _shape("34 all pages, square", 20, 10, [[_ALL, _square(150, 0.4, 2)]], (0.828, 0.605), None),
    _shape(
        "35 moving hotspot",
        30,
        10,
        [[_hot(4 * i, 2, 0.9), _const(150), _from(10 * i, 10 * i + 10)] for i in range(3)],
        (0.708, 0.875),
        (0.61, 0.93),
    ),
    _shape(
        "36 three mappings",
        20,
        (5, 10, 20),
        [
            [_UNIFORM, _const(200)],
            [_SECOND, _zipf(1.5), _sine(80, 60, 2)],
            [_THIRD, _hot(0, 3, 0.85), _square(150, 0.4, 3)],
        ],
        (0.625, 0.641),
        (0.74, 0.79),
    ),
    _shape(
        "37 four tracks, phases",
        20,
        10,
        [[_hot(first, 2, 0.9), _sine(80, 70, 4, i / 4)] for i, first in enumerate((0, 2, 5, 8))],
        (0.724, 0.791),
        (0.05, 0.67),
    ),
    _shape(
        "38 three bursts",
        30,
        10,
        [[_hot(first, 2, 0.9), _square(200, duty, 1)] for first, duty in ((0, 0.5), (4, 0.1), (8, 0.02))],
        (0.683, 0.834),
        (0.77, 0.92),
    ),
    _shape(
        "39 ramps and hotspots",
        20,
        10,
        [[_BOTH_PAGES, _ramp(0, 200, 20)], [_hot(8, 2, 0.9), _ramp(200, 0, 20)]],
        (0.712, 0.810),
        (0.74, 0.87),
    ),
    _shape(
        "40 cold, hot, cold",
        30,
        10,
        [[_hot(0, 5, 0.9), _steps(5, 5, 50, 150, 200, 50, 5)]],
        (0.771, 0.893),
        (0.79, 0.95),
    ),
    _shape(
        "41 two mappings by turns",
        20,
        (10, 10),
        [[_ALL, _square(150, 0.5, 4)], [_SECOND, _ALL, _square(150, 0.5, 4, 0.5)]],
        (0.834, 0.827),
        (0.09, 0.94),
    ),
    _shape(
        "42 moving gaussian",
        30,
        20,
        [[_gaussian(at, 2), _const(150), _from(10 * i, 10 * i + 10)] for i, at in enumerate((2, 10, 17))],
        (0.803, 0.892),
        (0.48, 0.85),
    ),
    _shape(
        "43 five tracks overlap",
        25,
        10,
        [[_hot(2 * i, 1, 0.95), _const(100), _from(5 * i, 25)] for i in range(5)],
        (0.430, 0.572),
        (0.20, 0.70),
    ),
    _shape("44 seldom accesses", 20, 10, [[_BOTH_PAGES, _steps(4, 1, 5, 10, 20, 50)]], (0.819, 0.938), (0.82, 0.96)),
    _shape("45 thirty pages, zipf", 20, 30, [[_zipf(1.2), _const(150)]], (0.804, 0.916), (0.81, 0.95)),
    _shape(
        "46 split and merge",
        30,
        16,
        [
            [_hot(0, 4, 0.7), _const(200), _from(0, 15)],
            [_hot(12, 4, 0.7), _const(200), _from(15, 30)],
            [_UNIFORM, _const(20)],
        ],
        (0.788, 0.890),
        (0.73, 0.94),
    ),
    _shape(
        "47 sine and square",
        20,
        10,
        [[_hot(0, 5, 0.9), _sine(100, 80, 2)], [_hot(5, 5, 0.9), _square(180, 0.5, 2)]],
        (0.825, 0.942),
        (0.15, 0.72),
    ),
    _shape(
        "48 three mappings, mixed",
        25,
        (5, 10, 15),
        [
            [_ALL, _sine(100, 80, 5)],
            [_SECOND, _hot(0, 3, 0.85), _ramp(0, 200, 25)],
            [_SECOND, _hot(7, 3, 0.85), _ramp(200, 0, 25)],
            [_THIRD, _gaussian(7, 3), _square(150, 0.3, 2), _from(5, 20)],
        ],
        (0.684, 0.615),
        (0.92, 0.94),
    ),
    _shape("49 blur", 20, 5, [[_UNIFORM, _square(200, 0.5, 0.2)]], (0.863, 0.964), (-0.42, 0.68)),
    _shape(
        "50 everything",
        40,
        (8, 16, 4),
        [
            [_BOTH_PAGES, _sine(100, 80, 3)],
            [_zipf(1.5), _square(150, 0.3, 2), _from(10, 30)],
            [_SECOND, _gaussian(8, 3), _ramp(0, 200, 20), _from(0, 20)],
            [_SECOND, _hot(0, 4, 0.85), _steps(10, 20, 150, 80, 200)],
            [_THIRD, _ALL, _square(200, 0.5, 4), _from(5, 35)],
        ],
        (0.605, 0.514),
        (0.79, 0.68),
    ),
)
