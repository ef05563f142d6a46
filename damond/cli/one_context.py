"""``damond status NAME``: all that is known of one context."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from damond.cli.words import clock
from damond.stream.in_words import event_in_words
from damond.units import format_interval


def details(each: Mapping[str, Any]) -> Iterator[Text]:
    """Yield lines on one context, beyond its row of the table: what it watches, what happened, and its last words."""
    if each.get("attrs"):
        yield Text(f"  {attrs_in_words(each['attrs'])}")
    if each.get("targets"):
        yield Text(f"  watches target {', '.join(map(str, each['targets']))}")
    if each.get("exit") not in (None, "", "alive"):
        yield Text(f"  the last worker: {each['exit']}")
    before = each.get("worker_before")
    if before:
        yield Text(f"  the worker before (pid {before['pid']}): {before['exit']}")
    for event in each.get("events", ()):
        yield Text(f"  {clock(event['time_ns'])}  {event_in_words(**_said(event))}")
    yield from _last_lines("its standard error", each.get("stderr", ()))
    yield from _last_lines("the standard error of the worker before", before["stderr"] if before else ())


def started_again(each: Mapping[str, Any]) -> str:
    """Say how often the worker of a context was started again, and what became of the one before."""
    number, before = each["restarts"], each.get("worker_before")
    words = f"its worker was started again {'once' if number == 1 else f'{number} times'}"
    return f"{words}; the one before: {before['exit']}" if before else words


def _last_lines(what: str, lines: Sequence[str]) -> Iterator[Text]:
    if lines:
        yield Text(f"  last lines of {what}:")
    for line in lines:
        yield Text(f"    {line}", "dim")


def _said(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("event", "reason", "details")}


_INTERVALS: Final = {"sample": "sample_interval", "aggr": "aggr_interval", "update": "primitive_update_interval"}


def attrs_in_words(attrs: Mapping[str, int]) -> str:
    """Say how often is looked, and at how many regions."""
    intervals = [f"{word} {format_interval(attrs[name])}" for word, name in _INTERVALS.items()]
    return f"{', '.join(intervals)}; {attrs['min_nr_regions']} to {attrs['max_nr_regions']} regions"
