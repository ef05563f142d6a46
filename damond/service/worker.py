"""A worker: one context, its primitive and its publisher, in a process of its own.

Neither click, rich nor pydantic is imported here: there may be fifty workers.
"""

import importlib
import logging
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import numpy as np
import zmq

from damond.core import (
    MIN_REGION_SZ,
    AddrRange,
    Callback,
    Context,
    IntervalsGoal,
    Kdamond,
    Policy,
    Primitive,
    Regions,
    Target,
)
from damond.core.regions import ADDRESS_LIMIT, align_down, align_up
from damond.errors import DamondError, NotPermittedError, PluginError, UnreachableError, UsageError
from damond.plugin import Registry, parse_options
from damond.service import heap
from damond.service.commands import Commands
from damond.service.link import Link
from damond.service.reporter import Reporter, changed_attrs
from damond.service.spec import ContextSpec
from damond.service.stop import LinkStop
from damond.stream.publisher import Publisher
from damond.units import NSEC_PER_USEC

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S: Final = 10.0

_MESSAGE_SZ: Final = 4000
"""Characters of what a plugin has to say about its failure: it crosses a link, and is kept."""


class SystemClock:
    """The machine's clocks: Unix time, time since boot."""

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)

    @staticmethod
    def cpu_us() -> int:
        """CPU time of this process: all of the worker counts, publishing too."""
        return time.process_time_ns() // NSEC_PER_USEC


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
        return registry.make(registry.choose(spec.options, follows=spec.follows).name, spec.options)
    # Only the plugin that is needed: a broken one costs no other context its memory or its life.
    return Registry(offering=spec.primitive, allowed=plugins).make(spec.primitive, spec.options)


def make_policy(spec: ContextSpec, *, plugins: Collection[str] | None = None) -> Policy:
    """Make the adaptation policy that a context selects. Arguments and errors as in :func:`make_primitive`."""
    return Registry(policy=spec.policy, allowed=plugins).make_policy(spec.policy, spec.policy_options)


def _whole_pages(ranges: Sequence[tuple[int, int]]) -> list[AddrRange]:
    """Align initial regions outwards; where two lie in one page, it is the first one's.

    Raises:
        InvalidRegionError: They are empty, unsorted or overlap.
    """
    whole: list[AddrRange] = []
    for each in Regions(ranges).ranges():
        start = max(align_down(each.start, MIN_REGION_SZ), whole[-1].end if whole else 0)
        end = min(align_up(each.end, MIN_REGION_SZ), ADDRESS_LIMIT - MIN_REGION_SZ)
        if start < end:
            whole.append(AddrRange(start, end))
    return whole


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
        target.set_ranges(_whole_pages(given.ranges))
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


def _monitor(spec: ContextSpec, primitive: Primitive, policy: Policy, stop: LinkStop, reporter: Reporter) -> None:
    ctx = make_context(spec, primitive)
    changed = changed_attrs(spec.attrs, ctx.attrs)
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
    heap.keep()
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
