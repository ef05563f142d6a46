"""The API of the kernel's include/linux/damon.h (Linux 5.15), under its own names, in user space.

::

    from damond import damon

    ctx = damon.damon_new_ctx()
    damon.damon_va_set_primitives(ctx)
    damon.damon_set_targets(ctx, [pid])
    damon.damon_set_attrs(ctx, 5_000, 100_000, 1_000_000, 10, 1000)
    damon.damon_start([ctx])
    for snapshot in damon.damon_subscribe(ctx):
        ...
    damon.damon_stop([ctx])

What C returns as a negative errno is raised here as a :class:`damond.errors.DamondError` with that ``errno``; an
argument of a wrong type, which C's compiler refuses, is a :class:`damond.errors.UsageError` (EINVAL) in every function.
Intervals are microseconds, addresses bytes. A running context is monitored by a worker process: what callbacks do
happens there, so they are given as importable functions, ``"package.module:function"`` or the function itself, and
``callback.private`` is plain data. Results come over the stream (:func:`damon_subscribe`).

Regions are columns, so a region here is a value: functions that in C follow its list links take the target too.
"""

import atexit
import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from damond.arguments import checker
from damond.core import AddrRange, Attrs, Callback, Context, Primitive, Region, Regions, Target
from damond.core.regions import MIN_REGION_SZ
from damond.errors import BusyError, InvalidRegionError, NotRunningError, UsageError
from damond.plugin import Registry
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import CALLBACKS, ContextSpec, TargetSpec
from damond.stream.subscriber import Subscriber
from damond.units import Usec

DAMON_MIN_REGION: Final = MIN_REGION_SZ

_T = TypeVar("_T")

damon_addr_range = AddrRange
damon_region = Region
damon_target = Target
damon_primitive = Primitive
damon_callback = Callback


@dataclass(eq=False)
class damon_ctx:
    """A monitoring context (``struct damon_ctx``).

    Attributes:
        attrs: Intervals and numbers of regions; set by :func:`damon_set_attrs`.
        primitive: Name of a primitive, its class (importable), or None.
        options: Options of the primitive.
        callback: Called in the worker; see the module.
        adaptive_targets: The targets. Changes do not reach a worker that runs.
        name: Of the context on the stream.
    """

    attrs: Attrs = field(default_factory=Attrs)
    primitive: str | type[Primitive] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    callback: Callback = field(default_factory=Callback)
    adaptive_targets: list[Target] = field(default_factory=list)
    name: str = ""
    _va: tuple[Primitive, Context] | None = field(default=None, repr=False)

    @property
    def sample_interval(self) -> int:
        """Time between access samplings. Microseconds."""
        return self.attrs.sample_interval

    @property
    def aggr_interval(self) -> int:
        """Time between aggregations. Microseconds."""
        return self.attrs.aggr_interval

    @property
    def primitive_update_interval(self) -> int:
        """Time between updates of the primitive. Microseconds."""
        return self.attrs.primitive_update_interval

    @property
    def min_nr_regions(self) -> int:
        """Least number of regions."""
        return self.attrs.min_nr_regions

    @property
    def max_nr_regions(self) -> int:
        """Greatest number of regions."""
        return self.attrs.max_nr_regions

    @property
    def kdamond(self) -> int | None:
        """Pid of the worker while the monitoring runs, else None."""
        return _service.pid(self.name)


class _Service:
    """The supervisor of this process: made when it is first needed, ended with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._embedded: EmbeddedSupervisor | None = None
        self._owner = 0

    def get(self) -> EmbeddedSupervisor:
        with self._lock:
            # Threads do not survive fork(): a child gets a supervisor of its own.
            if self._embedded is None or self._owner != os.getpid():
                self._embedded, self._owner = EmbeddedSupervisor(), os.getpid()
                atexit.register(self.close)
            return self._embedded

    def close(self) -> None:
        with self._lock:
            if self._embedded is not None and self._owner == os.getpid():
                self._embedded.close()
            self._embedded = None

    def running(self) -> dict[str, int]:
        if self._embedded is None or self._owner != os.getpid():
            return {}
        contexts = self._embedded.status()["contexts"]
        return {each["name"]: each["pid"] for each in contexts if each["state"] in ("starting", "running", "stopping")}

    def pid(self, name: str) -> int | None:
        return self.running().get(name)


_service = _Service()
_numbers = itertools.count()

_checked = checker(
    {
        int: ("whole number", "addresses are bytes, intervals microseconds"),
        Region: ("region", "damon_new_region() makes one"),
        Target: ("target", "damon_new_target() makes one"),
        damon_ctx: ("context", "damon_new_ctx() makes one"),
    }
)


@_checked
def damon_new_region(start: int, end: int) -> Region:
    """Make a region with no accesses.

    Raises:
        InvalidRegionError: ``start`` is not below ``end``.
    """
    return Region(*_bounds(start, end))


def _bounds(start: int, end: int) -> tuple[int, int]:
    each = AddrRange(start, end)
    return each.start, each.end


@_checked
def damon_insert_region(r: Region, prev: Region | None, next: Region | None, t: Target) -> None:  # noqa: A002 - the kernel's name
    """Insert ``r`` between two neighbours of a target; None is the begin or the end.

    Raises:
        InvalidRegionError: They are no neighbours, or the regions would overlap or be unsorted.
    """
    rows = list(t.regions)
    at = 0 if prev is None else _index(prev, t) + 1
    if (rows[at] if at < len(rows) else None) != next:
        raise InvalidRegionError(
            "prev and next are no neighbours in the target", hint="None stands for the begin and the end"
        )
    t.regions = Regions([*rows[:at], r, *rows[at:]])


@_checked
def damon_add_region(r: Region, t: Target) -> None:
    """Append a region to a target.

    Raises:
        InvalidRegionError: It does not lie behind the last one.
    """
    t.regions = Regions([*t.regions, r])


@_checked
def damon_destroy_region(r: Region, t: Target) -> None:
    """Remove a region from its target.

    Raises:
        InvalidRegionError: The target has no such region.
    """
    rows = list(t.regions)
    del rows[_index(r, t)]
    t.regions = Regions(rows)


def _index(r: Region, t: Target) -> int:
    for index, row in enumerate(t.regions):
        if (row.start, row.end) == (r.start, r.end):
            return index
    raise InvalidRegionError(
        f"the target has no region [{r.start:#x}, {r.end:#x})", hint="damon_for_each_region() shows those that it has"
    )


@_checked
def damon_next_region(r: Region, t: Target) -> Region | None:
    """Return the region after ``r``, or None."""
    index = _index(r, t) + 1
    return t.regions[index] if index < len(t.regions) else None


@_checked
def damon_prev_region(r: Region, t: Target) -> Region | None:
    """Return the region before ``r``, or None."""
    index = _index(r, t)
    return t.regions[index - 1] if index else None


@_checked
def damon_for_each_region(t: Target) -> Iterator[Region]:
    """Iterate over the regions of a target, which must not change meanwhile."""
    return iter(t.regions)


@_checked
def damon_for_each_region_safe(t: Target) -> Iterator[Region]:
    """Iterate over the regions that a target has now; it may change meanwhile."""
    return iter(list(t.regions))


@_checked
def damon_for_each_target(ctx: damon_ctx) -> Iterator[Target]:
    """Iterate over the targets of a context, which must not change meanwhile."""
    return iter(ctx.adaptive_targets)


@_checked
def damon_for_each_target_safe(ctx: damon_ctx) -> Iterator[Target]:
    """Iterate over the targets that a context has now; it may change meanwhile."""
    return iter(list(ctx.adaptive_targets))


@_checked
def damon_new_target(id: int) -> Target:  # noqa: A002 - the kernel's name
    """Make a target without regions."""
    return Target(id)


@_checked
def damon_add_target(ctx: damon_ctx, t: Target) -> None:
    """Append a target to a context."""
    ctx.adaptive_targets.append(t)


@_checked
def damon_free_target(t: Target) -> None:
    """Drop what a target holds; it stays in its context."""
    t.regions = Regions()


@_checked
def damon_destroy_target(t: Target, ctx: damon_ctx) -> None:
    """Remove a target from its context and drop what it holds.

    Raises:
        UsageError: It is no target of the context.
    """
    if t not in ctx.adaptive_targets:
        raise UsageError(f"target {t.id} is none of context {ctx.name!r}", hint="damon_for_each_target() shows its own")
    ctx.adaptive_targets.remove(t)
    damon_free_target(t)


@_checked
def damon_nr_regions(t: Target) -> int:
    """Count the regions of a target."""
    return len(t.regions)


@_checked
def damon_new_ctx() -> damon_ctx:
    """Make a context with the kernel's default attributes."""
    return damon_ctx(name=f"ctx{os.getpid()}-{next(_numbers)}")


@_checked
def damon_destroy_ctx(ctx: damon_ctx) -> None:
    """Drop what a context holds; one that runs is stopped first."""
    if ctx.kdamond is not None:
        damon_stop([ctx])
    for t in damon_for_each_target_safe(ctx):
        damon_destroy_target(t, ctx)


@_checked
def damon_set_targets(ctx: damon_ctx, ids: Sequence[int], nr_ids: int | None = None) -> None:
    """Replace the targets of a context by new ones, in the order given.

    Raises:
        UsageError: An id is given twice, or there are not ``nr_ids``.
    """
    wanted = _first(ids, nr_ids)
    if len(set(wanted)) != len(wanted):
        raise UsageError("target ids must be unique within a context", hint="leave those out that come twice")
    for t in damon_for_each_target_safe(ctx):
        damon_destroy_target(t, ctx)
    ctx.adaptive_targets += map(damon_new_target, wanted)


def _first(items: Sequence[_T], number: int | None) -> Sequence[_T]:
    """Return as many as C's caller would say there are; None is all.

    Raises:
        UsageError: There are not so many.
    """
    if number is not None and not 0 <= number <= len(items):
        raise UsageError(f"{number} of {len(items)} items", hint="leave the number out to take all")
    return items[:number]


@_checked
def damon_set_attrs(
    ctx: damon_ctx, sample_int: int, aggr_int: int, primitive_upd_int: int, min_nr_reg: int, max_nr_reg: int
) -> None:
    """Set intervals (microseconds) and numbers of regions; on failure the old ones stay.

    Raises:
        InvalidAttrsError: EINVAL; the error names the attribute.
    """
    ctx.attrs = replace(
        ctx.attrs,
        sample_interval=Usec(sample_int),
        aggr_interval=Usec(aggr_int),
        primitive_update_interval=Usec(primitive_upd_int),
        min_nr_regions=min_nr_reg,
        max_nr_regions=max_nr_reg,
    )


@_checked
def damon_nr_running_ctxs() -> int:
    """Count the contexts that this process has running."""
    return len(_service.running())


@_checked
def damon_start(ctxs: Sequence[damon_ctx], nr_ctxs: int | None = None) -> None:
    """Start the monitoring of contexts, in order.

    As in Linux 5.15 a group is exclusive, and contexts that were started before one that fails keep running.

    Raises:
        BusyError: EBUSY, something runs; nothing has been started.
        DamondError: What one context could not begin with.
    """
    group = _first(ctxs, nr_ctxs)
    running = damon_nr_running_ctxs()
    if running:
        raise BusyError(f"{running} contexts run", hint="damon_stop() them first")
    for ctx in group:
        _service.get().start([_spec(ctx)])


@_checked
def damon_stop(ctxs: Sequence[damon_ctx], nr_ctxs: int | None = None) -> None:
    """Stop the monitoring of contexts, in order; return when their workers have ended.

    As in Linux 5.15 it ends at the first that does not run, and later ones keep running.

    Raises:
        NotRunningError: EPERM.
    """
    for ctx in _first(ctxs, nr_ctxs):
        if ctx.kdamond is None:
            raise NotRunningError(f"context {ctx.name!r} does not run", hint="damon_start([ctx]) starts it")
        _service.get().stop([ctx.name])


@_checked
def damon_subscribe(*ctxs: damon_ctx, kinds: Iterable[str] = ("snapshot",), latest: bool = False) -> Subscriber:
    """Subscribe to what the workers of contexts publish; none named: to all of this process.

    Subscribe before :func:`damon_start` to miss nothing.
    """
    endpoint = _service.get().endpoints.stream
    return Subscriber(endpoint, [ctx.name for ctx in ctxs], kinds, latest=latest)


@_checked
def damon_va_set_primitives(ctx: damon_ctx) -> None:
    """Select the primitive for virtual address spaces of processes; target ids are pids."""
    ctx.primitive = "vaddr"


@_checked
def damon_va_init(ctx: damon_ctx) -> None:
    """Make the regions of targets that have none, from the mappings of their processes, in this process.

    Raises:
        DamondError: A process is gone or not ours, or no access-bit source works here.
    """
    primitive, core = _va(ctx)
    try:
        primitive.init(core)
    except BaseException:
        damon_va_cleanup(ctx)
        raise


@_checked
def damon_va_update(ctx: damon_ctx) -> None:
    """Fit the regions to the mappings that the processes have now."""
    primitive, core = _opened(ctx)
    primitive.update(core)


@_checked
def damon_va_prepare_access_checks(ctx: damon_ctx) -> None:
    """Choose a page in every region and make it look not accessed."""
    primitive, core = _opened(ctx)
    primitive.prepare_access_checks(core)


@_checked
def damon_va_check_accesses(ctx: damon_ctx) -> int:
    """Count accesses since :func:`damon_va_prepare_access_checks`; return the highest ``nr_accesses``."""
    primitive, core = _opened(ctx)
    return primitive.check_accesses(core)


@_checked
def damon_va_target_valid(t: Target, ctx: damon_ctx) -> bool:
    """Say whether the process of a target still runs."""
    primitive, _ = _va(ctx)
    return primitive.target_valid(t)


@_checked
def damon_va_cleanup(ctx: damon_ctx) -> None:
    """Close what :func:`damon_va_init` has opened."""
    if ctx._va is not None:  # noqa: SLF001 - the context's own module
        primitive, core = _va(ctx)
        primitive.cleanup(core)
        ctx._va = None  # noqa: SLF001 - as above


def _va(ctx: damon_ctx) -> tuple[Primitive, Context]:
    """Bind the context to an instance of the vaddr primitive in this process."""
    if ctx._va is None:  # noqa: SLF001 - the context's own module
        primitive = Registry(offering="vaddr").make("vaddr", ctx.options)
        for t in ctx.adaptive_targets:
            t.pid = t.id
        ctx._va = primitive, Context(ctx.name, ctx.attrs, ctx.adaptive_targets, ctx.callback)  # noqa: SLF001 - as above
    return ctx._va  # noqa: SLF001 - as above


def _opened(ctx: damon_ctx) -> tuple[Primitive, Context]:
    """Return what :func:`damon_va_init` has made.

    Raises:
        UsageError: It has not.
    """
    if ctx._va is None:  # noqa: SLF001 - the context's own module
        raise UsageError(f"context {ctx.name!r} has no regions of processes yet", hint="damon_va_init(ctx) comes first")
    return ctx._va  # noqa: SLF001 - as above


def _spec(ctx: damon_ctx) -> ContextSpec:
    if ctx.primitive is None:
        raise UsageError("the context has no primitive", hint="damon_va_set_primitives(ctx), or set ctx.primitive")
    callbacks = {name: _named(getattr(ctx.callback, name)) for name in CALLBACKS if getattr(ctx.callback, name)}
    targets = [TargetSpec(t.id, tuple((r.start, r.end) for r in t.regions)) for t in ctx.adaptive_targets]
    return ContextSpec(
        name=ctx.name,
        primitive=_named(ctx.primitive),
        options=ctx.options,
        attrs={name: getattr(ctx.attrs, name) for name in Attrs.__dataclass_fields__},
        targets=tuple(targets),
        callbacks=callbacks,
        private=ctx.callback.private,
    )


def _named(function: str | Callable[..., Any]) -> str:
    """Name a function or class so that the worker can import it.

    Raises:
        UsageError: It is none, or can't be imported by name.
    """
    if isinstance(function, str):
        return function
    if not hasattr(function, "__qualname__"):
        raise UsageError(f"{function!r} is no function and no class", hint="name it as 'package.module:function'")
    if "<" in function.__qualname__ or function.__module__ == "__main__":
        raise UsageError(
            f"{function.__qualname__} of {function.__module__} can't be imported by the worker process",
            hint="put it at the top level of a module, or name it as 'package.module:function'",
        )
    return f"{function.__module__}:{function.__qualname__}"
