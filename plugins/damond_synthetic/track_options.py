"""One activity as people write it: a table of the configuration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from damond.core import AddrRange
from damond.plugin import option
from damond.units import PAGE_SIZE, Usec, parse_interval, parse_size
from damond_synthetic import spatial, temporal
from damond_synthetic.spatial import Shape
from damond_synthetic.tables import parse_address, parse_pages
from damond_synthetic.temporal import Wave
from damond_synthetic.track import ARRIVALS, MOVES, Movement, Track

_USED_WITH: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "spatial": {
        "hotspot": ("hot_start", "hot_size", "hot_ratio"),
        "zipf": ("exponent",),
        "gaussian": ("center", "sigma"),
    },
    "temporal": {
        "sine": ("period", "phase", "low"),
        "square": ("period", "phase", "low", "duty"),
        "ramp": ("period", "phase", "levels"),
        "steps": ("period", "phase", "levels"),
    },
    "move": {kind: ("move_period", "move_span") for kind in MOVES if kind != "none"},
}
"""The keys of a track that mean something only with certain values of another."""

_FRACTIONS: Final = ("probability", "hot_ratio", "phase", "duty", "low")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackOptions:
    """One activity. ``start`` counts from the start of its area; other places count from the start of the track."""

    area: int = option(0, help="number of the area that the track lies in")
    start: int = option(0, parse=parse_pages, help="first byte")
    size: int | None = option(None, parse=parse_pages, help="bytes; the rest of the area if not given")
    rate: float | None = option(None, help="accesses per second of the whole track at full intensity")
    probability: float | None = option(
        None, help="instead of rate: of a touch of the busiest page per sampling interval; 1 if neither is given"
    )
    arrivals: str = option(
        "random", choices=ARRIVALS, help="how the accesses of a rate come: at random or evenly paced"
    )
    spatial: str = option(
        "uniform",
        choices=("uniform", "together", "hotspot", "zipf", "gaussian"),
        help="how its pages share; together: every access touches all",
    )
    hot_start: int = option(0, parse=parse_pages, help="hotspot: first byte of the hot part")
    hot_size: int | None = option(None, parse=parse_pages, help="hotspot: bytes; a tenth of the track if not given")
    hot_ratio: float = option(0.9, help="hotspot: what part of the accesses goes to the hot part")
    exponent: float = option(1.0, help="zipf: page i, from 1, has a share in proportion to i ** -exponent")
    center: int | None = option(None, parse=parse_address, help="gaussian: the middle of the track if not given")
    sigma: int | None = option(None, parse=parse_size, help="gaussian: bytes; a sixth of the track if not given")
    temporal: str = option("const", choices=("const", "sine", "square", "ramp", "steps"), help="how it changes")
    period: int = option(Usec(10_000_000), parse=parse_interval, help="time after which it repeats")
    phase: float = option(0.0, help="how much of a period it is ahead, 0 to 1")
    duty: float = option(0.5, help="square: part of the period at full intensity")
    low: float = option(0.0, help="sine, square: the least intensity, 0 to 1")
    levels: tuple[float, ...] | None = option(None, help="ramp, steps: intensities, each 0 to 1")
    begin: int = option(Usec(0), parse=parse_interval, help="when it begins")
    until: int | None = option(None, parse=parse_interval, help="when it ends")
    move: str = option("none", choices=MOVES, help="how the range moves")
    move_period: int = option(Usec(10_000_000), parse=parse_interval, help="time of one round")
    move_span: int | None = option(None, parse=parse_pages, help="bytes it moves within; the rest of the area")

    def problems(self, areas: Sequence[AddrRange]) -> list[str]:
        """Say what is impossible, one line each."""
        if not 0 <= self.area < len(areas):
            return [f"area = {self.area}: there are {len(areas)}, numbered from 0"]
        room = areas[self.area].size - self.start
        if room <= 0:
            return [f"start = {self.start}: lies behind the area of {areas[self.area].size} bytes"]
        size, span = self._size(room), self._span(room)
        if not 0 < size <= room:
            return [f"size = {size}: must be above 0 and at most {room}, the rest of the area"]
        hot_end, center = self.hot_start + self._hot_size(size), self._center(size)
        checks = {
            f"move_span = {span}: must be from {size}, the size, to {room}, the rest of the area": size <= span <= room,
            "rate, probability: only one can be given": self.rate is None or self.probability is None,
            "arrivals: has no effect without rate": self.rate is not None or self.arrivals == "random",
            "rate: must be a number from 0": self.rate is None or 0 <= self.rate < math.inf,
            "hot_size: must be above 0": self.hot_size != 0,
            f"hot_start, hot_size: must lie in the {size} bytes": self.spatial != "hotspot" or hot_end <= size,
            "exponent: must be a number above 0": 0 < self.exponent < math.inf,
            f"center: must lie in the {size} bytes": center <= size,
            f"sigma: must be at least a page, {PAGE_SIZE}": self.sigma is None or self.sigma >= PAGE_SIZE,
            "period: must be above 0": self.period > 0,
            "move_period: must be above 0": self.move_period > 0,
            "begin: must not be negative": self.begin >= 0,
            "until: must be behind begin": self.until is None or self.until > self.begin,
            "levels: must be at least two numbers from 0 to 1": self.levels is None or _are_levels(self.levels),
        }
        checks |= {f"{name}: must be from 0 to 1": _is_fraction(getattr(self, name)) for name in _FRACTIONS}
        return [problem for problem, holds in checks.items() if not holds]

    def track(self, areas: Sequence[AddrRange]) -> Track:
        """Make the activity; :meth:`problems` has found none."""
        room = areas[self.area].size - self.start
        size = self._size(room)
        return Track(
            first=(areas[self.area].start + self.start) // PAGE_SIZE,
            shape=self._shape(size),
            wave=self._wave(),
            rate=self.rate,
            even=self.arrivals == "even",
            probability=1.0 if self.probability is None else self.probability,
            begin_us=self.begin,
            until_us=self.until,
            movement=Movement(self.move, self.move_period, (self._span(room) - size) // PAGE_SIZE, size // PAGE_SIZE),
        )

    def _size(self, room: int) -> int:
        return room if self.size is None else self.size

    def _span(self, room: int) -> int:
        return room if self.move_span is None else self.move_span

    def _hot_size(self, size: int) -> int:
        return max(size // 10 // PAGE_SIZE, 1) * PAGE_SIZE if self.hot_size is None else self.hot_size

    def _center(self, size: int) -> float:
        return size / 2 if self.center is None else self.center

    def _shape(self, size: int) -> Shape:
        nr_pages = size // PAGE_SIZE
        if self.spatial == "hotspot":
            nr_hot = self._hot_size(size) // PAGE_SIZE
            return spatial.hotspot(nr_pages, self.hot_start // PAGE_SIZE, nr_hot, self.hot_ratio)
        if self.spatial == "together":
            return spatial.together(nr_pages)
        if self.spatial == "zipf":
            return spatial.zipf(nr_pages, self.exponent)
        if self.spatial == "gaussian":
            sigma = max(size / 6, PAGE_SIZE) if self.sigma is None else self.sigma
            return spatial.gaussian(nr_pages, self._center(size) / PAGE_SIZE, sigma / PAGE_SIZE)
        return spatial.uniform(nr_pages)

    def _wave(self) -> Wave:
        integral = {
            "const": temporal.const(),
            "sine": temporal.sine(self.low),
            "square": temporal.square(self.duty, self.low),
            "ramp": temporal.ramp(self.levels or (0.0, 1.0)),
            "steps": temporal.steps(self.levels or (0.25, 0.5, 0.75, 1.0)),
        }[self.temporal]
        return Wave(self.period, self.phase, integral)


def idle_keys(given: TrackOptions, table: Mapping[str, Any]) -> list[str]:
    """Find keys without any effect: they were meant for something else."""
    found = []
    for selector, users in _USED_WITH.items():
        chosen = getattr(given, selector)
        conditional = {key for keys in users.values() for key in keys} - set(users.get(chosen, ()))
        found += [f"{key}: has no effect with {selector} = {chosen!r}" for key in table if key in conditional]
    return found


def _is_fraction(value: float | None) -> bool:
    return value is None or 0 <= value <= 1


def _are_levels(levels: tuple[Any, ...]) -> bool:
    return len(levels) > 1 and all(isinstance(each, int | float) and 0 <= each <= 1 for each in levels)
