"""What a worker says: to everybody on the stream, to the supervisor over the link."""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from damond.core import Attrs, Budget, BudgetUse, Context, Primitive, Snapshot, Target, TargetSnapshot, summarize
from damond.service.footprint import FootprintReader
from damond.service.link import Link, LinkClosedError
from damond.service.targets import ENDED, Targets
from damond.stream.publisher import Publisher
from damond.stream.wire import Event
from damond.units import NSEC_PER_USEC, USEC_PER_SEC

_log = logging.getLogger(__name__)

SUMMARY_INTERVAL_NS: Final = 5_000_000_000
"""Least time between two summaries, as DAMON_STAT refreshes."""

PACE_INTERVAL_NS: Final = 10_000_000_000
"""Least time between two events that say that goal or budget have changed the intervals."""

_NEWS: Final = 0.1
"""Part by which a cost must change to be told again."""


class Reporter:
    """The sink of the loop: the stream for everybody, the link for the supervisor."""

    def __init__(self, name: str, publisher: Publisher, link: Link) -> None:
        self._name = name
        self._publisher = publisher
        self._link = link
        self._footprint = FootprintReader()
        self._targets: Targets | None = None
        self._summary_due_ns = 0
        self._begin_ns = time.monotonic_ns()
        self._span_ns = self._checks = self._cpu_us = 0
        self._pace_due_ns = self._nr_paced = 0
        self._paced_from: Attrs | None = None
        self._pace = Attrs()
        self._wanted: dict[str, float] = {}

    def event(self, event: str, reason: str = "", **details: Any) -> None:
        """Publish a change in the life of the context, and tell the supervisor."""
        time_ns = time.time_ns()
        message = Event(context=self._name, time_ns=time_ns, event=event, reason=reason, details=details)
        seq = self._publisher.publish(message)
        rest = {"event": event, "reason": reason, "details": details, "time_ns": time_ns}
        self.tell("event", **rest, epoch=self._publisher.epoch, seq=seq)

    def tell(self, kind: str, **rest: Any) -> None:
        """Tell the supervisor alone."""
        try:
            self._link.send({"kind": kind, **rest})
        except LinkClosedError:
            _log.debug("%s: the supervisor is gone", self._name)

    def started(self, ctx: Context, primitive: Primitive) -> None:
        """Report that the worker is ready."""
        self._targets = Targets(ctx, primitive)
        _log.info("%s: %s monitors %d regions", self._name, primitive.name, ctx.nr_regions)
        self.event(
            "started",
            primitive=primitive.name,
            granularity=primitive.granularity,
            nr_regions=ctx.nr_regions,
            attrs=asdict(ctx.attrs),
            targets=self._targets.ids,
            pids=[target.pid for target in ctx.targets if target.pid is not None],
        )
        self._footprint.look(_processes(ctx.targets), _max_cpu(ctx.budget))

    def retargeted(self, reason: str) -> None:
        """Report which targets have come or gone since the last time, if any."""
        news = self._targets.news() if self._targets is not None else None
        if news is not None:
            self.event("targets_changed", reason, **news)

    def tuned(self, ctx: Context, old: Attrs) -> None:
        """Report that the attributes have changed, whatever of goal and budget was still to be told before that."""
        self._paced_from, self._nr_paced = None, 0
        changed = {name: [before, getattr(ctx.attrs, name)] for name, before in asdict(old).items()}
        changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
        self.event("attrs_changed", "tuned", changed=changed, attrs=asdict(ctx.attrs))

    def paced(self, ctx: Context, old: Attrs) -> None:
        """Tell the supervisor how fast the context goes now; the stream hears of it now and then."""
        self.tell("paced", attrs=asdict(ctx.attrs))
        self._paced_from = self._paced_from or old
        self._pace = ctx.attrs
        self._nr_paced += 1
        self._tell_paced()

    def _tell_paced(self) -> None:
        """Publish that the pace has changed, unless that has been said only just now."""
        now_ns = time.monotonic_ns()
        if self._paced_from is None or now_ns < self._pace_due_ns:
            return
        self._pace_due_ns = now_ns + PACE_INTERVAL_NS
        changed = changed_attrs(asdict(self._paced_from), self._pace)
        self.event("attrs_changed", "paced", changed=changed, attrs=asdict(self._pace), changes=self._nr_paced)
        self._paced_from, self._nr_paced = None, 0

    def aggregated(self, snapshot: Snapshot) -> None:
        """Publish a snapshot, and a summary when one is due: costs in it are those since the last one."""
        self._publisher.publish(snapshot)
        self._footprint.look(_processes(snapshot.targets), _max_cpu(snapshot.budget))
        self.retargeted(ENDED)
        self._tell_paced()
        self._span_ns += snapshot.end_ns - snapshot.start_ns
        self._checks += snapshot.checks
        self._cpu_us += snapshot.cpu_us
        now_ns = time.monotonic_ns()
        if now_ns < self._summary_due_ns:
            return
        self._summary_due_ns = now_ns + SUMMARY_INTERVAL_NS
        span_us = max(self._span_ns // NSEC_PER_USEC, 1)
        summary = replace(
            summarize(snapshot, (now_ns - self._begin_ns) // NSEC_PER_USEC),
            checks_per_s=self._checks * USEC_PER_SEC / span_us,
            cpu_fraction=self._cpu_us / span_us,
            memory=self._footprint.latest(),
        )
        self._publisher.publish(summary)
        self._tell_cost(snapshot.budget)
        self._span_ns = self._checks = self._cpu_us = 0

    def _tell_cost(self, used: BudgetUse | None) -> None:
        """Tell the supervisor how much of the budget is wanted, if that is something new."""
        if used is None:
            return
        wanted = {"wanted_cpu": used.wanted_cpu, "wanted_checks_per_s": used.wanted_checks_per_s}
        if any(abs(amount - self._wanted.get(name, 0.0)) > _NEWS * amount for name, amount in wanted.items()):
            self._wanted = wanted
            self.tell("cost", **wanted)


def changed_attrs(given: Mapping[str, int], attrs: Attrs) -> dict[str, list[int]]:
    """List the attributes that are not as asked for: name -> [asked, real]."""
    return {name: [asked, getattr(attrs, name)] for name, asked in given.items() if getattr(attrs, name) != asked}


def _processes(targets: Iterable[Target | TargetSnapshot]) -> list[tuple[int, int]]:
    return [(each.id, each.pid) for each in targets if each.pid is not None]


def _max_cpu(budget: Budget | BudgetUse | None) -> float | None:
    return None if budget is None else budget.max_cpu
