"""What a report is based on, in words, and what is missing."""

from collections.abc import Iterator
from typing import Final

from damond.cli.picture import short_interval
from damond.cli.report.times import date_and_clock, span_words
from damond.cli.words import granularity_words
from damond.report.coverage import Coverage
from damond.units import NSEC_PER_USEC, format_interval, format_size

_MAX_INTERVALS: Final = 4
"""Intervals that are listed one by one."""


def heading(coverage: Coverage, what: str) -> str:
    """Name the report."""
    return f"{coverage.context}: {what}"


def facts(coverage: Coverage) -> Iterator[str]:
    """Say where and when, and from how many windows."""
    at = f" on {coverage.host}" if coverage.host else ""
    span = seconds_words(coverage.to_ns - coverage.from_ns)
    yield f"{span_words(coverage.from_ns, coverage.to_ns)} ({span}){at}"
    windows = f"{coverage.nr_windows:,} window{'s'[: coverage.nr_windows != 1]}"
    lengths = list(dict.fromkeys(aggr_us for _, aggr_us in coverage.intervals))
    if len(lengths) == 1:
        windows += f" of {format_interval(lengths[0])}"
    sees = ", ".join(granularity_words(each) for each in coverage.granularities)
    yield f"{windows}; {coverage.primitive}: one check sees a {sees}"


def notes(coverage: Coverage, *, adapting_left_out: bool) -> Iterator[str]:
    """Say what is missing, and what to mind.

    Args:
        coverage: What the report is based on.
        adapting_left_out: Whether windows in which regions still adapt were left out, unless there are no others.
    """
    yield from _gaps(coverage)
    if coverage.nr_missed:
        yield f"{_count(coverage.nr_missed, 'window')} lost on the way"
    if coverage.nr_restarts:
        yield f"the worker was restarted {_times(coverage.nr_restarts)}: regions and ages began anew"
    if coverage.nr_empty:
        yield f"{_count(coverage.nr_empty, 'window')} without any sample left out"
    if coverage.nr_partial:
        yield f"{_count(coverage.nr_partial, 'window')} cut short by the end of the monitoring: counted by its length"
    if adapting_left_out and coverage.nr_adapting == coverage.nr_windows:
        yield "regions were still as coarse as they were made: these figures are rough; record for longer"
    elif adapting_left_out and coverage.nr_adapting:
        yield f"{_count(coverage.nr_adapting, 'window')} after a start left out: regions were still coarse"
    if len(coverage.intervals) > 1:
        yield f"intervals changed: {_intervals(coverage)}; heat is the share of samples, whatever their number"
    if coverage.whole_mappings:
        yield "a check sees a whole mapping: what was touched is an upper bound, and may be far less"


def confidence(coverage: Coverage) -> Iterator[str]:
    """Say what is cold and what merely unseen, and how small a hot area may be to be missed."""
    found = coverage.confidence
    if found is None:
        return
    if found.unseen_bytes:
        yield (
            f"at the end {format_size(found.cold_bytes)} are known to be cold, and {format_size(found.unseen_bytes)}"
            " merely unseen: no access was found, but too little was looked at"
        )
    if found.smallest_found_bytes is not None:
        yield (
            f"hot areas of {format_size(found.smallest_found_bytes)} and more are found within a minute;"
            " smaller ones may be missed"
        )


def _gaps(coverage: Coverage) -> Iterator[str]:
    if not coverage.nr_gaps:
        return
    longest = max(coverage.gaps, key=lambda gap: gap[1] - gap[0])
    words = f"from {date_and_clock(longest[0])} for {seconds_words(longest[1] - longest[0])}"
    total = seconds_words(coverage.gaps_ns)
    if coverage.nr_gaps == 1:
        yield f"nothing is known {words}"
    else:
        yield f"nothing is known of {total} in {coverage.nr_gaps} gaps; the longest is {words}"


def _intervals(coverage: Coverage) -> str:
    pairs = [f"{format_interval(sample)} / {format_interval(aggr)}" for sample, aggr in coverage.intervals]
    shown = pairs if len(pairs) <= _MAX_INTERVALS else [*pairs[: _MAX_INTERVALS - 1], "...", pairs[-1]]
    return ", ".join(shown)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s'[: number != 1]}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def seconds_words(nsec: float) -> str:
    """Write nanoseconds as a time in at most three digits: ``1.5 h``, ``20 s``."""
    return short_interval(nsec / NSEC_PER_USEC)
