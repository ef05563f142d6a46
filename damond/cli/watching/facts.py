"""What is to be known of the context that is shown: how it is, and how its numbers came about."""

from collections.abc import Iterator
from typing import Final

from rich.text import Text

from damond.cli.picture import confidence_words, flowed
from damond.cli.watching.contexts import DELIVERING, Row, hint_of
from damond.cli.watching.panel import BOLD, WARNING, Panel, style_of
from damond.cli.watching.shown import Moment
from damond.cli.watching.view import View
from damond.cli.words import clock, granularity_words, per_second, percent, share_of
from damond.core import BudgetUse
from damond.units import NSEC_PER_USEC, USEC_PER_SEC, format_interval, format_percent, format_size, format_times

_STRETCHED: Final = 1.05
"""Intervals that are longer than asked for by less are not worth a word."""


class Facts(Panel):
    """State, reason and circumstances."""

    def __init__(self, view: View) -> None:
        super().__init__(view, "facts")

    def lines(self, width: int, height: int) -> Iterator[Text]:  # noqa: ARG002 - there is always more to say
        """Make the lines; called by the panel."""
        row = self.view.row
        if row is None:
            yield Text("there is no context; 'damond start' starts one", WARNING)
            return
        yield self._state(row)
        if not self.view.contexts.gone and (hint := hint_of(row)):
            yield Text(f"hint: {hint}")
        yield from flowed(self._facts(row), width)

    def _state(self, row: Row) -> Text:
        word = self.view.contexts.condition(row)
        text = Text(row.name, BOLD).append(" ").append(word, style_of(word))
        moment = self.view.moment
        if word not in DELIVERING and moment is not None:
            silent_us = int(self.view.contexts.silent_s(row) or 0) * USEC_PER_SEC
            text.append(f": what is shown is old, of {clock(moment.end_ns)}", WARNING)
            text.append(f" ({format_interval(silent_us)} ago)" if silent_us else "", WARNING)
        if row.state != "running" and row.reason:
            text.append(f" | {row.reason}" if moment is not None else f": {row.reason}")
        elif moment is not None:
            accessed, total = moment.memory.accessed_bytes, moment.memory.total_bytes
            text.append(f" | WSS {format_size(accessed)} of {format_size(total)} {_of(moment)} ")
            text.append(f"({percent(share_of(accessed, total))})")
        return text

    def _facts(self, row: Row) -> list[str]:
        """List the circumstances, the most important first: what there is no room for is left out."""
        moment = self.view.moment
        if moment is None:
            return []
        found = moment.snapshot
        span_ns = found.end_ns - found.start_ns
        whole, mapped = format_size(found.accessed_bytes), format_size(moment.memory.accessed_bytes)
        return [
            *([f"unknown {percent(share_of(found.unknown, found.checks))}"] if found.unknown else []),
            *([f"overruns {found.overruns}"] if found.overruns else []),
            f"CPU {100 * share_of(found.cpu_us * NSEC_PER_USEC, span_ns):.1f} %{_bound(found.budget)}",
            *_effect(found.budget),
            f"{per_second(found.checks, span_ns):,.0f} checks/s",
            f"{found.nr_regions} regions ({found.min_nr_regions} to {found.max_nr_regions})",
            *confidence_words(found, moment.memory),
            *([f"missed {row.missed:,}"] if row.missed else []),
            f"sample {format_interval(found.sample_us)}, aggr {format_interval(found.aggr_us)}",
            f"one check: {granularity_words(found.granularity)}",
            f"primitive {found.primitive}",
            *([f"skipped {row.skipped:,}"] if row.skipped else []),
            *([f"worker restarted {row.restarts} times"] if row.restarts else []),
            *([f"{whole} with what is not mapped"] if whole != mapped else []),
        ]


def _of(moment: Moment) -> str:
    """Say what all of the memory is."""
    return "mapped" if moment.maps else "monitored"


def _bound(budget: BudgetUse | None) -> str:
    """Say what the budget is."""
    if budget is None:
        return ""
    bounds = [format_percent(budget.max_cpu)] if budget.max_cpu is not None else []
    bounds += [f"{budget.max_checks_per_s:,.0f} checks/s"] if budget.max_checks_per_s is not None else []
    return f" (budget {' and '.join(bounds)})" if bounds else ""


def _effect(budget: BudgetUse | None) -> list[str]:
    """Say what the budget does: the numbers beside it are what is left of those asked for."""
    if budget is None or budget.stretched < _STRETCHED:
        return []
    return [f"budget makes samples {format_times(budget.stretched)} times rarer"]
