"""Ready-made scripts, laid out over an area of any size."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from damond.units import PAGE_SIZE

Tables = Sequence[Mapping[str, Any]]

LEAST_PAGES: Final = 100
"""The layouts are in hundredths of the area."""


def _part(size: int, begin: int, end: int) -> dict[str, int]:
    """Take hundredths of an area."""
    page = size // PAGE_SIZE
    start = page * begin // 100 * PAGE_SIZE
    return {"start": start, "size": page * end // 100 * PAGE_SIZE - start}


def _hot(size: int, begin: int, end: int) -> dict[str, int]:
    part = _part(size, begin, end)
    return {"hot_start": part["start"], "hot_size": part["size"]}


def _demo(size: int) -> Tables:
    return [
        {**_part(size, 4, 12), "probability": 1.0},
        {**_part(size, 16, 40), "spatial": "gaussian", "probability": 0.6},
        {
            **_part(size, 50, 55),
            "move": "bounce",
            "move_period": "30s",
            "move_span": _part(size, 50, 75)["size"],
        },
        {**_part(size, 82, 92), "temporal": "square", "period": "10s"},
    ]


def _constant(size: int) -> Tables:
    return [_part(size, 40, 50)]


def _stairs(size: int) -> Tables:
    return [{**_part(size, 0, 10), "move": "hop", "move_period": "20s"}]


def _zigzag(size: int) -> Tables:
    return [{**_part(size, 0, 10), "move": "bounce", "move_period": "20s"}]


def _pulse(size: int) -> Tables:
    return [
        {**_part(size, 10, 30), "temporal": "square", "period": "4s"},
        {**_part(size, 60, 80), "temporal": "square", "period": "4s", "phase": 0.5},
    ]


def _waves(size: int) -> Tables:
    return [
        {**_part(size, at, at + 15), "temporal": "sine", "period": "8s", "phase": phase}
        for at, phase in ((5, 0.0), (30, 0.25), (55, 0.5), (80, 0.75))
    ]


def _five_tracks(size: int) -> Tables:
    return [
        {"spatial": "hotspot", **_hot(size, at, at + 10), "hot_ratio": 0.95, "begin": f"{begin}s"}
        for at, begin in ((0, 0), (20, 5), (40, 10), (60, 15), (80, 20))
    ]


def _zipf(size: int) -> Tables:  # noqa: ARG001 - every preset is called with the size
    return [{"spatial": "zipf"}]


def _gaussian(size: int) -> Tables:  # noqa: ARG001 - every preset is called with the size
    return [{"spatial": "gaussian"}]


PRESETS: Final[Mapping[str, Callable[[int], Tables]]] = {
    "constant": _constant,
    "demo": _demo,
    "five_tracks": _five_tracks,
    "gaussian": _gaussian,
    "pulse": _pulse,
    "stairs": _stairs,
    "waves": _waves,
    "zigzag": _zigzag,
    "zipf": _zipf,
}
"""Name -> what makes the tracks for an area of that many bytes."""

DEFAULT_PRESET: Final = "demo"
