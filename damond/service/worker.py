"""A worker: one context, its primitive and its publisher, in a process of its own.

Neither click, rich nor pydantic is imported here: there may be fifty workers.
"""

import importlib
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import zmq

from damond.core import (
    Attrs,
    Budget,
    BudgetUse,
    Callback,
    Context,
    IntervalsGoal,
    Kdamond,
    Policy,
    Primitive,
    Snapshot,
    Target,
    TargetSnapshot,
    summarize,
)
from damond.errors import DamondError, NotPermittedError, PluginError, UnreachableError, UsageError
from damond.plugin import Registry, parse_options
from damond.service.footprint import FootprintReader
from damond.service.link import Link, LinkClosedError, wait_readable
from damond.service.spec import ContextSpec
from damond.service.targets import ENDED, Targets, refuse_gone, refuse_left_out
from damond.stream.publisher import Publisher
from damond.stream.wire import Event
from damond.units import NSEC_PER_USEC, USEC_PER_SEC

_log = logging.getLogger(__name__)

SUMMARY_INTERVAL_NS: Final = 5_000_000_000
"""Least time between two summaries, as DAMON_STAT refreshes."""

PACE_INTERVAL_NS: Final = 10_000_000_000
"""Least time between two events that say that goal or budget have changed the intervals."""

_CONNECT_TIMEOUT_S: Final = 10.0

_NEWS: Final = 0.1
"""Part by which a cost must change to be told again."""

_MESSAGE_SZ: Final = 4000
"""Characters of what a plugin has to say about its failure: it crosses a link, and is kept."""


class SystemClock:
    """The machine's clocks."""

    @staticmethod
    def wall_ns() -> int:
        """Unix time."""
        return time.time_ns()

    @staticmethod
    def monotonic_ns() -> int:
        """Time since boot."""
        return time.monotonic_ns()

    @staticmethod
    def cpu_us() -> int:
        """CPU time of this process: all of the worker counts, publishing too."""
        return time.process_time_ns() // NSEC_PER_USEC


class LinkStop:
    """A stop comes over the link, as the end of the link (the supervisor is gone), or as SIGTERM (by anybody).

    Attributes:
        reason: Why, once it has come.
        on_request: Takes whatever else comes over the link.
    """

    def __init__(self, link: Link) -> None:
        self.reason = ""
        self.on_request: Callable[[dict[str, Any]], None] | None = None
        self._link = link
        self._wakeup, signalled = socket.socketpair()
        signalled.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._signalled = signalled  # kept open
        self._fds = [link.fileno(), self._wakeup.fileno()]
        signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, *_: object) -> None:
        self.reason = self.reason or "terminated"

    def wait(self, timeout_s: float) -> bool:
        """Wait that long, or until a stop is requested: then return True. A request of a person ends the wait, too."""
        deadline_s = time.monotonic() + timeout_s
        while not self.reason:
            ready = wait_readable(self._fds, timeout_s)
            if self._fds[0] not in ready or self._listen():
                break
            timeout_s = deadline_s - time.monotonic()
        return bool(self.reason)

    def _listen(self) -> bool:
        """Take a message in; say whether somebody waits for what it asks for."""
        try:
            message, _ = self._link.receive()
        except LinkClosedError:
            self.reason = "supervisor_gone"
            return True
        if message["kind"] == "stop":
            self.reason = "requested"
        elif self.on_request is not None:
            self.on_request(message)
        return bool(message["kind"] != "budget")


class Reporter:
    """The sink of the loop: the stream for everybody, the link for the supervisor."""

    def __init__(self, name: str, publisher: Publisher, link: Link) -> None:
        self._name = name
        self._publisher = publisher
        self._link = link
        self._footprint = FootprintReader()
        self._targets: Targets | None = None
        self._summary_due_ns = 0
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
        self._footprint.look(_processes(ctx.targets))

    def retargeted(self, reason: str) -> None:
        """Report which targets have come or gone since the last time, if any."""
        news = self._targets.news() if self._targets is not None else None
        if news is not None:
            self.event("targets_changed", reason, **news)

    def tuned(self, ctx: Context, old: Attrs) -> None:
        """Report that the attributes have changed."""
        changed = {name: [before, getattr(ctx.attrs, name)] for name, before in asdict(old).items()}
        changed = {name: pair for name, pair in changed.items() if pair[0] != pair[1]}
        self.event("attrs_changed", "tuned", changed=changed, attrs=asdict(ctx.attrs))

    def paced(self, ctx: Context, old: Attrs) -> None:
        """Tell the supervisor how fast the context goes now; the stream hears of it now and then."""
        self.tell("paced", attrs=asdict(ctx.attrs))
        self._paced_from = self._paced_from or old
        self._nr_paced += 1
        self._tell_paced(ctx.attrs)

    def _tell_paced(self, attrs: Attrs) -> None:
        """Publish that the pace has changed, unless that has been said only just now."""
        now_ns = time.monotonic_ns()
        if self._paced_from is None or now_ns < self._pace_due_ns:
            self._pace = attrs
            return
        self._pace_due_ns = now_ns + PACE_INTERVAL_NS
        changed = _changed(asdict(self._paced_from), attrs)
        self.event("attrs_changed", "paced", changed=changed, attrs=asdict(attrs), changes=self._nr_paced)
        self._paced_from, self._nr_paced = None, 0

    def aggregated(self, snapshot: Snapshot) -> None:
        """Publish a snapshot, and a summary when one is due: costs in it are those since the last one."""
        self._publisher.publish(snapshot)
        self._footprint.look(_processes(snapshot.targets))
        self.retargeted(ENDED)
        if self._paced_from is not None:
            self._tell_paced(self._pace)
        self._span_ns += snapshot.end_ns - snapshot.start_ns
        self._checks += snapshot.checks
        self._cpu_us += snapshot.cpu_us
        now_ns = time.monotonic_ns()
        if now_ns < self._summary_due_ns:
            return
        self._summary_due_ns = now_ns + SUMMARY_INTERVAL_NS
        span_us = max(self._span_ns // NSEC_PER_USEC, 1)
        summary = replace(
            summarize(snapshot),
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


def _processes(targets: Iterable[Target | TargetSnapshot]) -> list[tuple[int, int]]:
    return [(each.id, each.pid) for each in targets if each.pid is not None]


def _import_named(path: str) -> Any:
    """Import ``"module:name"``.

    Raises:
        UsageError: There is no such thing.
    """
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"{path!r} can't be imported in the worker: {error}",
            hint="name a function or class at the top level of an importable module, as 'module:name'",
        ) from error
    return found


def make_primitive(spec: ContextSpec, *, trusting: bool = True, plugins: Collection[str] | None = None) -> Primitive:
    """Make the primitive that a context selects; ``auto`` takes the first that works here.

    Args:
        spec: The context.
        trusting: Whether it may name a class to import, and callbacks.
        plugins: Names of the entry points that may be loaded; None allows all.

    Raises:
        UnknownNameError: No plugin offers it, or an option is unknown.
        InvalidOptionError: An option is refused.
        SourceUnavailableError: None of those that ``auto`` may choose works here.
        NotPermittedError: It names something to import, and may not.
    """
    if not trusting and (":" in spec.primitive or spec.callbacks):
        raise NotPermittedError(
            "a context of the service can't name code to import",
            hint="bring it as a plugin: an entry point of 'damond'",
        )
    if ":" in spec.primitive:
        cls = _import_named(spec.primitive)
        primitive: Primitive = cls(parse_options(spec.primitive, cls.Options, spec.options))
        return primitive
    if spec.primitive == "auto":
        registry = Registry(allowed=plugins)
        return registry.make(registry.choose(spec.options).name, spec.options)
    # Only the plugin that is needed: a broken one costs no other context its memory or its life.
    return Registry(offering=spec.primitive, allowed=plugins).make(spec.primitive, spec.options)


def make_policy(spec: ContextSpec, *, plugins: Collection[str] | None = None) -> Policy:
    """Make the adaptation policy that a context selects. Arguments and errors as in :func:`make_primitive`."""
    return Registry(policy=spec.policy, allowed=plugins).make_policy(spec.policy, spec.policy_options)


def make_context(spec: ContextSpec, primitive: Primitive) -> Context:
    """Make the context in the worker.

    Raises:
        InvalidAttrsError: The attributes asked for contradict each other.
        InvalidRegionError: Initial regions are empty, unsorted or overlap.
        UsageError: A callback can't be imported.
    """
    by_process = primitive.process_targets
    targets = [Target(each.id, pid=each.id if by_process else None, found=each.found) for each in spec.targets]
    for target, given in zip(targets, spec.targets, strict=True):
        target.set_ranges(given.ranges)
    callbacks: dict[str, Callable[[Context], Any]] = {
        event: _import_named(path) for event, path in spec.callbacks.items()
    }
    return Context(
        name=spec.name,
        attrs=primitive.attrs(spec.attrs),
        targets=targets,
        callback=Callback(private=spec.private, **callbacks),
        rng=np.random.default_rng(spec.seed),
        waits_for_targets=spec.waits_for_targets,
        intervals_goal=None if spec.intervals_goal is None else IntervalsGoal(**spec.intervals_goal),
        budget=spec.budget(),
        initial_nr_regions=spec.initial_nr_regions,
        strict_min_nr_regions=spec.strict_min_nr_regions,
    )


def _changed(given: Mapping[str, int], attrs: Attrs) -> dict[str, list[int]]:
    """List the attributes that are not as asked for: name -> [asked, real]."""
    return {name: [asked, getattr(attrs, name)] for name, asked in given.items() if getattr(attrs, name) != asked}


class Commands:
    """What the supervisor asks a running worker to do, between two samples; each request is answered."""

    def __init__(self, kdamond: Kdamond, primitive: Primitive, reporter: Reporter) -> None:
        self._kdamond = kdamond
        self._primitive = primitive
        self._reporter = reporter
        self._verbs: dict[str, Callable[[dict[str, Any]], None]] = {
            "tune": self._tune,
            "targets": self._targets,
            "pause": self._pause,
            "budget": self._budget,
        }

    def request(self, message: dict[str, Any]) -> None:
        """Take a request in; it is done before the next sample."""
        self._kdamond.call(lambda: self._do(message))

    def _do(self, message: dict[str, Any]) -> None:
        refusal = None
        try:
            self._verbs[message["kind"]](message)
        except DamondError as error:
            refusal = {"code": error.code, "message": error.message, "hint": error.hint}
        self._reporter.tell("done", id=message["id"], error=refusal)

    def _budget(self, message: dict[str, Any]) -> None:
        self._kdamond.allow(Budget(**message["bounds"]))

    def _tune(self, message: dict[str, Any]) -> None:
        if "goal" in message:
            goal = message["goal"]
            self._kdamond.aim(None if goal is None else IntervalsGoal(**goal))
        self._kdamond.tune(self._primitive.attrs({**asdict(self._kdamond.asked), **message["attrs"]}))

    def _targets(self, message: dict[str, Any]) -> None:
        ctx, by_process, added = self._kdamond.ctx, self._primitive.process_targets, message["added"]
        if by_process:
            refuse_gone(added)
        self._reporter.retargeted(ENDED)
        before = list(ctx.targets)
        self._kdamond.retarget([Target(each, pid=each if by_process else None) for each in message["ids"]])
        try:
            refuse_left_out(ctx, added)
        except DamondError:
            self._kdamond.retarget(before)
            raise
        self._reporter.retargeted(message["reason"])

    def _pause(self, message: dict[str, Any]) -> None:
        before = self._kdamond.paused
        self._kdamond.pause(paused=message["paused"])
        if self._kdamond.paused != before:
            self._reporter.event("paused" if message["paused"] else "resumed", message["reason"])


def _monitor(spec: ContextSpec, primitive: Primitive, policy: Policy, stop: LinkStop, reporter: Reporter) -> None:
    ctx = make_context(spec, primitive)
    changed = _changed(spec.attrs, ctx.attrs)
    if changed:
        reporter.event("attrs_changed", f"primitive {primitive.name} can't keep what was asked for", changed=changed)
    kdamond = Kdamond(ctx, primitive, clock=SystemClock(), stop=stop, sink=reporter, policy=policy)
    stop.on_request = Commands(kdamond, primitive, reporter).request
    reason = kdamond.run()
    if reason == "requested":
        reason = stop.reason
    if reason == "target_gone":
        reporter.event("target_gone", "the last target has ended")
    reporter.event("stopping", reason)
    reporter.event("stopped", reason)


def _plain(text: str) -> str:
    """Make a text of a plugin's fit to be sent: of bounded length, and without what UTF-8 can't carry."""
    return text[:_MESSAGE_SZ].encode(errors="backslashreplace").decode()


def _connect(publisher: Publisher) -> None:
    if not publisher.wait_connected(_CONNECT_TIMEOUT_S):
        raise UnreachableError("the supervisor's stream does not answer", hint="is the supervisor overloaded?")


def main(spec: ContextSpec, link: Link, endpoint: str, *, trusting: bool, plugins: Collection[str] | None) -> int:
    """Run one context to its end; return the exit status. Arguments as in :func:`make_primitive`."""
    zmq_context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
    publisher = Publisher(zmq_context, endpoint, socket.gethostname(), epoch=time.time_ns())
    reporter = Reporter(spec.name, publisher, link)
    stop = LinkStop(link)
    status = os.EX_OK
    try:
        _connect(publisher)
        reporter.event("starting")
        primitive = make_primitive(spec, trusting=trusting, plugins=plugins)
        _monitor(spec, primitive, make_policy(spec, plugins=plugins), stop, reporter)
    except DamondError as error:
        _log.error("%s: %s", spec.name, error)
        reporter.tell("failed", message=_plain(error.message), code=error.code, hint=_plain(error.hint))
        status = error.exit_code
    except BaseException as error:  # noqa: BLE001 - the edge of the worker: whatever a plugin does ends here
        traceback.print_exc()
        where = _plain(f"{type(error).__name__}: {error}")
        reporter.tell("failed", message=where, code=PluginError.code, hint="its traceback is in the log")
        status = os.EX_SOFTWARE
    publisher.close()
    zmq_context.term()
    sys.stderr.flush()
    return status
