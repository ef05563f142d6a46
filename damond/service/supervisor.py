"""Starts and stops contexts, one worker process each, and knows how they are."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, Self

import psutil

from damond import __version__
from damond.core import Attrs
from damond.errors import BusyError, ContextExistsError, DamondError, NotRunningError, UnknownNameError, UsageError
from damond.plugin import Registry, parse_options
from damond.service.follow import FOLLOW_EVERY_S, Command, follow, with_targets
from damond.service.hub import Hub
from damond.service.launch import LauncherProcess
from damond.service.managed import RUNNING, ManagedContext
from damond.service.privileges import Identity, describe
from damond.service.runtime_dir import RuntimeDir
from damond.service.shares import Sharing
from damond.service.spec import ContextSpec, TargetSpec
from damond.stream import wire

_log = logging.getLogger(__name__)

_HEALTH_EVERY_S: Final = 0.25
_HEALTH_AT_LEAST_EVERY_S: Final = 1.0
_SHARE_EVERY_S: Final = 2.0
_MAX_ENDED: Final = 100
"""Contexts that have ended and are still shown in status."""


class Supervisor:
    """Workers, and the stream that they publish to. One per runtime directory.

    Use it as an asynchronous context manager; when it ends, no worker is left.

    Args:
        runtime: Where its sockets are.
        registry: The primitives that can be selected.
        known: Contexts that can be started by name, from the configuration.
        on_stderr: Takes what workers write to their standard error; the default passes it on to this one's.
        lost_lines: Tells how much of the log was lost.
        restarts: Start a worker again that died; without, its context has failed.
        trusting: As in :class:`LauncherProcess`.
        plugins: As in :class:`LauncherProcess`.
        identity: Whom this process becomes as soon as the launcher runs, which stays as it is.
        sharing: The budgets of the service; None is no bound.

    Attributes:
        known: As given.
        registry: As given.
        sharing: As given.
        launcher: The parent of the workers.
        hub: The stream.
    """

    def __init__(
        self,
        runtime: RuntimeDir,
        registry: Registry,
        known: Iterable[ContextSpec] = (),
        *,
        on_stderr: Callable[[bytes], object] | None = None,
        lost_lines: Callable[[], int] | None = None,
        restarts: bool = True,
        trusting: bool = False,
        plugins: Sequence[str] | None = None,
        identity: Identity | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self.known = {spec.name: spec for spec in known}
        self.registry = registry
        self.sharing = sharing or Sharing()
        self.launcher = LauncherProcess(runtime.endpoints, trusting=trusting, plugins=plugins)
        self._runtime = runtime
        self._identity = identity
        self._on_stderr = on_stderr or _forward_stderr
        self._lost_lines = lost_lines or (lambda: 0)
        self._restarts = restarts
        self._contexts: dict[str, ManagedContext] = {}
        self._host = socket.gethostname()
        self._started_ns = time.time_ns()

    async def __aenter__(self) -> Self:
        await self.launcher.__aenter__()
        try:
            if self._identity is not None:
                self._identity.assume()
            with self._runtime.binding("stream", shared=True):
                self.hub = Hub(self._runtime.endpoints, self._host)
        except BaseException:
            await self.launcher.__aexit__()
            raise
        self._publisher = self.hub.publisher()
        self._watching = [
            asyncio.create_task(each) for each in (self._watch_health(), self._watch_targets(), self._watch_costs())
        ]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._watching:
            task.cancel()
        with contextlib.suppress(NotRunningError):
            await self.stop(list(self._contexts))
        await asyncio.gather(*(each.end_command() for each in self._contexts.values()))
        await self.launcher.__aexit__(*exc)
        self._publisher.close()
        self.hub.close()

    @property
    def nr_running(self) -> int:
        """Contexts that run (``damon_nr_running_ctxs``)."""
        return len(self._running())

    def _running(self) -> list[ManagedContext]:
        return [each for each in self._contexts.values() if each.state in RUNNING]

    async def start(self, specs: Sequence[ContextSpec], *, exclusive: bool = False) -> None:
        """Start contexts, all or none; return when all of them sample.

        Args:
            specs: What to monitor.
            exclusive: Refuse if anything runs, and let nothing else start beside (``damon_start`` of Linux 5.18).

        Raises:
            ContextExistsError: One runs already, or is named twice.
            BusyError: Something runs that excludes others.
            DamondError: Whatever a worker could not begin with; the others have been stopped again.
        """
        # Nothing is awaited until all are entered: two requests can't both take a name.
        self._refuse(specs, exclusive=exclusive)
        for spec in specs:
            self.check(spec)
        group = [self._enter(spec, exclusive=exclusive) for spec in specs]
        self.sharing.share(self._running())
        try:
            for each in group:
                await self._begin(each)
            await asyncio.gather(*(each.wait_ready() for each in group))
        except BaseException:
            await asyncio.gather(*(each.stop("another one of its group could not start") for each in group))
            raise

    async def _begin(self, context: ManagedContext) -> None:
        try:
            await self._find_targets(context)
            context.fork()
        except DamondError as error:
            if context.state == "starting":  # and was not stopped meanwhile
                context.refuse(error)
            raise

    async def _find_targets(self, context: ManagedContext) -> None:
        """Start the command of a context, and choose the processes that it selects."""
        spec = context.spec
        if spec.command:
            context.command = Command(spec.command)
            spec = replace(spec, targets=(*spec.targets, TargetSpec(context.command.pid)))
        context.roots = [each.id for each in spec.targets]
        context.spec = await with_targets(spec, self._own_pids())
        context.target_ids = [each.id for each in context.spec.targets]

    def _own_pids(self) -> list[int]:
        workers = [each.handle.pid for each in self._contexts.values() if each.handle is not None and each.handle.pid]
        return [os.getpid(), self.launcher.pid, *workers]

    def _enter(self, spec: ContextSpec, *, exclusive: bool) -> ManagedContext:
        self._contexts[spec.name] = context = ManagedContext(
            spec,
            self.launcher,
            self._publisher.publish_as,
            self._on_stderr,
            exclusive=exclusive,
            restarts=self._restarts,
        )
        context.enter()
        self._forget_old()
        return context

    def _forget_old(self) -> None:
        """Forget the oldest of the contexts that have ended and are in no configuration: names may be new for ever."""
        ended = [name for name, each in self._contexts.items() if each.state not in RUNNING and name not in self.known]
        for name in ended[:-_MAX_ENDED]:
            del self._contexts[name]
            self.hub.forget(name)

    def _refuse(self, specs: Sequence[ContextSpec], *, exclusive: bool) -> None:
        running = self._running()
        names = [each.spec.name for each in running]
        for spec in specs:
            if spec.name in names:
                raise ContextExistsError(
                    f"context {spec.name!r} runs already", hint="stop it first, or choose another name"
                )
            names.append(spec.name)
        if running and (exclusive or any(each.exclusive for each in running)):
            raise BusyError(
                f"{len(running)} contexts run, and {'this group' if exclusive else 'one of them'} wants to be alone",
                hint="stop them first, or start without exclusive",
            )

    def check(self, spec: ContextSpec) -> None:
        """Refuse what can be known to be wrong before anything starts.

        Raises:
            UnknownNameError: Primitive, policy or option.
            InvalidOptionError: The value of an option.
            InvalidAttrsError: Attributes that contradict each other.
        """
        if spec.primitive != "auto" and ":" not in spec.primitive:
            parse_options(spec.primitive, self.registry.primitive(spec.primitive).Options, spec.options)
        parse_options(spec.policy, self.registry.policy(spec.policy).Options, spec.policy_options)
        Attrs(**spec.attrs)  # type: ignore[arg-type]

    async def stop(self, names: Sequence[str]) -> None:
        """Stop contexts; those of them that have ended by themselves are no error.

        Raises:
            UnknownNameError: There is no such context.
            NotRunningError: None of them runs.
        """
        for name in names:
            if name not in self._contexts and name not in self.known:
                raise UnknownNameError("context", name, {*self._contexts, *self.known})
        running = [each for each in self._running() if each.spec.name in names]
        if not running:
            raise NotRunningError(f"not running: {', '.join(names)}", hint="'damond status' shows what runs")
        await asyncio.gather(*(each.stop() for each in running))

    def context(self, name: str) -> ManagedContext:
        """Look up a context that has been started.

        Raises:
            UnknownNameError: There is no such context.
            NotRunningError: It is known, and was never started.
        """
        if name in self._contexts:
            return self._contexts[name]
        if name in self.known:
            raise NotRunningError(f"{name} was never started", hint=f"damond start {name}")
        raise UnknownNameError("context", name, {*self._contexts, *self.known})

    async def tune(
        self,
        name: str,
        attrs: dict[str, int],
        *,
        add: Sequence[int] = (),
        remove: Sequence[int] = (),
        goal: Mapping[str, int] | Literal["keep"] | None = "keep",
    ) -> None:
        """Change attributes, goal and targets of a running context without losing results.

        Raises:
            DamondError: The worker refused; as :meth:`context`.
        """
        context = self.context(name)
        if attrs or goal != "keep":
            wanted = {} if goal == "keep" else {"goal": goal}
            await context.request("tune", attrs=attrs, **wanted)
            kept = context.spec.intervals_goal if isinstance(goal, str) else goal
            context.spec = replace(context.spec, attrs={**context.spec.attrs, **attrs}, intervals_goal=kept)
        if add or remove:
            await context.retarget(self._changed_targets(context, add, remove))

    def bound(self, name: str, max_cpu: float | None) -> None:
        """Change what a context may cost at most, besides its share of the service's budget.

        Raises:
            DamondError: As :meth:`context`.
        """
        context = self.context(name)
        context.spec = replace(context.spec, max_cpu=max_cpu)
        self.sharing.share(self._running())

    @staticmethod
    def _changed_targets(context: ManagedContext, add: Sequence[int], remove: Sequence[int]) -> list[int]:
        """List the targets of a context after a change that makes sense.

        Raises:
            UsageError: One that is to go is none, or none would be left.
        """
        unknown = [each for each in remove if each not in context.target_ids]
        if unknown:
            raise UsageError(f"{context.spec.name} has no target {unknown[0]}", hint=f"it has {context.target_ids}")
        ids = list(dict.fromkeys([*(each for each in context.target_ids if each not in remove), *add]))
        if not ids:
            raise UsageError("no target would be left", hint=f"damond stop {context.spec.name}")
        return ids

    async def pause(self, name: str, *, paused: bool) -> None:
        """Let sampling rest, or go on.

        Raises:
            DamondError: As :meth:`context`; or the worker does not answer.
        """
        context = self.context(name)
        await context.request("pause", paused=paused)
        context.paused = paused

    async def _watch_health(self) -> None:
        looked_s = time.monotonic()
        while True:
            # No more often than is of use: each look is a part of the service's budget.
            every_s = min((each.aggr_interval_s for each in self._running()), default=_HEALTH_AT_LEAST_EVERY_S)
            every_s = min(max(every_s, _HEALTH_EVERY_S), _HEALTH_AT_LEAST_EVERY_S)
            await asyncio.sleep(every_s)
            before_s, looked_s = looked_s, time.monotonic()
            # As after SIGSTOP and SIGCONT of this process: what waits to be read by now is not late.
            stalled_s = max(0.0, looked_s - before_s - every_s - _HEALTH_EVERY_S)
            for name, each in list(self._contexts.items()):
                each.check_health(self.hub.last_snapshot_s.get(name, 0.0), stalled_s)

    async def _watch_targets(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            try:
                await follow(list(self._contexts.values()), self._own_pids())
            except (OSError, psutil.Error) as error:  # as without descriptors: targets stay as they are until then
                _log.warning("the processes of this machine can't be listed: %s", error)

    async def _watch_costs(self) -> None:
        while True:
            self.sharing.measure(self.launcher.pid)
            self.sharing.share(self._running())
            await asyncio.sleep(_SHARE_EVERY_S)

    def is_fresh(self) -> bool:
        """Whether every running context publishes in time."""
        return all(each.healthy for each in self._contexts.values() if each.state == "running")

    def status(self) -> dict[str, Any]:
        """Tell how everything is, as plain values."""
        return {
            "version": __version__,
            "host": self._host,
            "pid": os.getpid(),
            "launcher_pid": self.launcher.pid,
            "processes": {"supervisor": describe(os.getpid()), "launcher": describe(self.launcher.pid)},
            "started_ns": self._started_ns,
            "runtime_dir": str(self._runtime.endpoints.directory),
            "stream": self._runtime.endpoints.stream,
            "nr_running": self.nr_running,
            "budget": self.sharing.describe(),
            "drops": {
                "missed": dict(self.hub.drops.missed),
                "malformed": self.hub.drops.malformed,
                "log": self._lost_lines(),
            },
            "contexts": [self._describe(name) for name in sorted({*self._contexts, *self.known})],
        }

    def _describe(self, name: str) -> dict[str, Any]:
        context = self._contexts.get(name)
        if context is None:
            spec = self.known[name]
            return {"name": name, "state": "stopped", "reason": "never started", "primitive": spec.primitive}
        row = {"name": name, **context.describe()}
        if row["pid"] is not None:
            row["process"] = _process(row["pid"])
        row["newest"] = self._newest(name)
        row["stale"] = context.state != "running"
        return row

    def _newest(self, name: str) -> dict[str, Any] | None:
        """Show the newest summary and how old the newest snapshot is. Decoded here only, when somebody asks."""
        frames = self.hub.newest.get(wire.topic(name, "summary"))
        if frames is None:
            return None
        summary = wire.decode(frames)
        newest = wire.decode(self.hub.newest.get(wire.topic(name, "snapshot"), frames))
        return {**wire.to_map(summary, self._host), "end_ns": getattr(newest, "end_ns", 0)}


def _forward_stderr(raw: bytes) -> None:
    """Pass on what a worker wrote to its standard error; all share one log. ``status`` keeps the last lines anyway."""
    with contextlib.suppress(OSError):  # a full disk, or a standard error that is no file: nobody could be told
        os.write(sys.stderr.fileno(), raw)


def _process(pid: int) -> dict[str, Any]:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return {
                "rss_bytes": process.memory_info().rss,
                "cpu_s": times.user + times.system,
                **describe(pid),
            }
    except (OSError, psutil.Error):
        return {}
