"""Moments as people write them, beside a record: ``02:00``, ``-2h``, ``2026-11-24T02:00``."""

import datetime as dt
import re
from typing import Final

from damond.errors import DamondError, UsageError
from damond.units import NSEC_PER_USEC, USEC_PER_SEC, parse_interval

_CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_NSEC_PER_SEC: Final = NSEC_PER_USEC * USEC_PER_SEC
_HINT: Final = "write 02:00, 2026-11-24T02:00, or -2h: before the end of the record"


def parse_moment(text: str, end_ns: int, *, after_ns: int | None = None) -> int:
    """Read a moment; what is not said otherwise is in local time. Unix time in nanoseconds.

    Args:
        text: ``-2h`` counts from the end of the record; ``02:00`` is the last one before that end, or the first behind
            ``after_ns``; ISO 8601 is what it says.
        end_ns: End of the record.
        after_ns: Begin of the span that the moment ends.

    Raises:
        UsageError: It is none of these.
    """
    if text.startswith("-"):
        try:
            return end_ns - parse_interval(text[1:].strip()) * NSEC_PER_USEC
        except DamondError as error:
            raise UsageError(f"{text!r} is no moment: {error.message}", hint=_HINT) from error
    if clock := _CLOCK.fullmatch(text.strip()):
        return _at_clock([int(each or 0) for each in clock.groups()], end_ns, after_ns)
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is no moment", hint=_HINT) from None
    return to_ns(moment)


def _at_clock(clock: list[int], end_ns: int, after_ns: int | None) -> int:
    hour, minute, second = clock
    near = from_ns(end_ns if after_ns is None else after_ns)
    # Without its zone: the offset of each day is looked up anew, whatever the clocks did in between.
    day = near.replace(tzinfo=None, hour=hour, minute=minute, second=second, microsecond=0)
    if after_ns is None:
        return to_ns(day if to_ns(day) < end_ns else day - dt.timedelta(days=1))
    return to_ns(day if to_ns(day) > after_ns else day + dt.timedelta(days=1))


def to_ns(moment: dt.datetime) -> int:
    """Turn a moment into Unix time; one without a zone is local. Nanoseconds."""
    since = moment.astimezone(dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (since // dt.timedelta(microseconds=1)) * NSEC_PER_USEC


def from_ns(time_ns: int) -> dt.datetime:
    """Turn Unix time in nanoseconds into local time, to the microsecond below."""
    seconds, rest_ns = divmod(time_ns, _NSEC_PER_SEC)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC) + dt.timedelta(microseconds=rest_ns // NSEC_PER_USEC)
    return moment.astimezone()


def date_and_clock(time_ns: int) -> str:
    """Write a moment for people: to the second, in local time."""
    return from_ns(time_ns).strftime("%Y-%m-%d %H:%M:%S")


def span_words(first_ns: int, last_ns: int) -> str:
    """Write a span: the date once if it is one day, and the zone."""
    first, last = from_ns(first_ns), from_ns(last_ns)
    until = last.strftime("%H:%M:%S" if first.date() == last.date() else "%Y-%m-%d %H:%M:%S")
    return f"{date_and_clock(first_ns)} to {until} {last.strftime('%Z')}".rstrip()
