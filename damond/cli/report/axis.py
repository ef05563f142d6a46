"""An axis of time below a picture: marks at round times of the day, and their labels."""

import datetime as dt
from collections.abc import Iterator
from typing import Final

from damond.cli.report.times import from_ns, to_ns
from damond.units import NSEC_PER_USEC, USEC_PER_SEC

_NSEC_PER_SEC: Final = NSEC_PER_USEC * USEC_PER_SEC
_DAY_S: Final = 86_400
_MINUTE_S: Final = 60
_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
    *(_DAY_S, 2 * _DAY_S, 7 * _DAY_S, 30 * _DAY_S, 365 * _DAY_S),
)
_SHORT_S: Final = 8
"""Below so many seconds the time of day says less than the time since the begin."""

_LABEL: Final = 11
"""Characters from one label to the next at least."""


def axis_lines(from_time_ns: int, to_time_ns: int, width: int) -> tuple[str, str]:
    """Draw an axis of so many characters: the line with its marks, and the labels below."""
    marks, labels = ["-"] * width, ""
    span_ns = max(to_time_ns - from_time_ns, 1)
    for time_ns, label in ticks(from_time_ns, to_time_ns, max(width // _LABEL, 1)):
        column = min((time_ns - from_time_ns) * width // span_ns, width - 1)
        marks[column] = "+"
        if (not labels or column > len(labels)) and column + len(label) <= width:
            labels = labels.ljust(column) + label
    return "".join(marks), labels


def ticks(from_time_ns: int, to_time_ns: int, most: int) -> Iterator[tuple[int, str]]:
    """Choose round times within a span, so many at most (and one more), and their labels."""
    span_s = (to_time_ns - from_time_ns) / _NSEC_PER_SEC
    if span_s < _SHORT_S:
        yield from _since_begin(from_time_ns, to_time_ns, most)
        return
    step_s = next((each for each in _STEPS_S if span_s / each <= most), _STEPS_S[-1])
    moment = _round_up(from_ns(from_time_ns).replace(tzinfo=None), from_time_ns, step_s)
    while (time_ns := to_ns(moment)) <= to_time_ns:
        yield time_ns, _label(moment, step_s)
        moment += dt.timedelta(seconds=step_s)


def _since_begin(from_time_ns: int, to_time_ns: int, most: int) -> Iterator[tuple[int, str]]:
    span_ns = to_time_ns - from_time_ns
    steps = (digit * 10**power for power in range(3, 11) for digit in (1, 2, 5))
    step_ns = next(each for each in steps if span_ns / each <= most)
    for number in range(span_ns // step_ns + 1):
        yield from_time_ns + number * step_ns, f"{number * step_ns / _NSEC_PER_SEC:g} s"


def _round_up(moment: dt.datetime, time_ns: int, step_s: int) -> dt.datetime:
    """Find the first round time of the day here; whole days are counted from a Monday."""
    base = dt.datetime(1970, 1, 5)  # noqa: DTZ001 - wall-clock time, as the labels are
    rounded = base + -(-(moment - base) // dt.timedelta(seconds=step_s)) * dt.timedelta(seconds=step_s)
    # What was cut off below a microsecond must not put it before the begin.
    return rounded if to_ns(rounded) >= time_ns else rounded + dt.timedelta(seconds=step_s)


def _label(moment: dt.datetime, step_s: int) -> str:
    if step_s >= _DAY_S or (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment:%b} {moment.day}"
    return f"{moment:%H:%M:%S}" if step_s < _MINUTE_S else f"{moment:%H:%M}"
