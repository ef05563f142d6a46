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
from damond.errors import DamondError, NotRunningError, UnknownNameError, UsageError, WorkerFailedError
from damond.plugin import Registry
from damond.service.checks import target_problems
from damond.service.contexts import Contexts
from damond.service.follow import Command, follow, with_targets
from damond.service.heap import give_back
from damond.service.hub import SNDHWM, Hub
from damond.service.launch import LauncherProcess
from damond.service.looks import LOOK_EVERY_S, Looks
from damond.service.lost import Lost
from damond.service.managed import ManagedContext
from damond.service.privileges import Identity, describe
from damond.service.processes import Processes
from damond.service.replay import LIMIT_SZ
from damond.service.runtime_dir import RuntimeDir
from damond.service.shares import Sharing
from damond.service.spec import ContextSpec, TargetSpec
from damond.service.status import describe_context, never_started
from damond.service.targets import REQUESTED
from damond.service.vitals import vital
from damond.stream import welcome
from damond.stream.welcome import Welcome

_log = logging.getLogger(__name__)

_HEALTH_EVERY_S: Final = 0.25
_HEALTH_AT_LEAST_EVERY_S: Final = 1.0
_SHARE_EVERY_S: Final = 2.0


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
        replay_sz: Memory for snapshots that were published lately. Bytes.

    Attributes:
        contexts: What has been started, and what could be.
        registry: As given.
        sharing: As given.
        launcher: The parent of the workers.
        hub: The stream.
        lost: What readers say they have lost.
        helpers: Tells the pids of those that are no workers, and whose CPU time counts, too.
        welcome: What every subscriber is told when it is connected.
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
        replay_sz: int = LIMIT_SZ,
    ) -> None:
        self.contexts = Contexts(known, self._forget)
        self.registry = registry
        self.sharing = sharing or Sharing()
        self.launcher = LauncherProcess(runtime.endpoints, trusting=trusting, plugins=plugins)
        self.lost = Lost()
        self.helpers: Callable[[], Iterable[int]] = tuple
        self._processes = Processes(self.launcher.executables)
        self._runtime = runtime
        self._identity = identity
        self._on_stderr = on_stderr or _forward_stderr
        self._lost_lines = lost_lines or (lambda: 0)
        self._restarts = restarts
        self._replay_sz = replay_sz
        self._host = socket.gethostname()
        self._started_ns = time.time_ns()
        self.welcome = welcome.encode(
            Welcome(version=__version__, host=self._host, pid=os.getpid(), started_ns=self._started_ns, queue=SNDHWM)
        )

    async def __aenter__(self) -> Self:
        await self.launcher.__aenter__()
        try:
            if self._identity is not None:
                self._identity.assume()
            with self._runtime.binding("stream", shared=True):
                self.hub = Hub(self._runtime.endpoints, self._host, self.welcome, self._replay_sz)
        except BaseException:
            await self.launcher.__aexit__()
            raise
        self._publisher = self.hub.publisher()
        self._watching = [vital(each) for each in (self._watch_health(), self._watch_targets(), self._watch_costs())]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._watching:
            task.cancel()
        try:
            await self.stop([each.spec.name for each in self.contexts])
        except NotRunningError:
            pass
        except WorkerFailedError as error:  # the launcher is stopped; it ends all workers when it goes on
            _log.error("%s", error)
        ended = await asyncio.gather(*(each.end_command() for each in self.contexts), return_exceptions=True)
        for trouble in filter(None, ended):
            _log.error("a command of a context is not ended: %s", trouble)
        try:
            await self.launcher.__aexit__(*exc)
        finally:
            self._publisher.close()
            self.hub.close()

    @property
    def nr_running(self) -> int:
        """Contexts that run (``damon_nr_running_ctxs``)."""
        return len(self.contexts.running())

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
        self.contexts.refuse(specs, exclusive=exclusive)
        for spec in specs:
            self.check(spec)
        group = [self._enter(spec, exclusive=exclusive) for spec in specs]
        self.sharing.share(self.contexts.running())
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
        context.spec = await with_targets(spec, self._processes, self._own_pids())
        context.target_ids = [each.id for each in context.spec.targets]

    def _own_pids(self) -> list[int]:
        workers = [each.handle.pid for each in self.contexts if each.handle is not None and each.handle.pid]
        return [os.getpid(), self.launcher.pid, *workers]

    def _enter(self, spec: ContextSpec, *, exclusive: bool) -> ManagedContext:
        context = ManagedContext(
            spec,
            self.launcher,
            self._publisher.publish_as,
            self._on_stderr,
            exclusive=exclusive,
            restarts=self._restarts,
        )
        self.contexts.add(context)
        return context

    def _forget(self, name: str) -> None:
        self.hub.forget(name)
        self.lost.forget(name)

    def check(self, spec: ContextSpec) -> None:
        """Refuse what can be known to be wrong before anything starts.

        Raises:
            UnknownNameError: Primitive, policy or option.
            InvalidOptionError: The value of an option.
            InvalidAttrsError: Attributes that contradict each other.
            UsageError: It watches processes, and none is given.
        """
        if ":" not in spec.primitive:
            for problem in self.registry.option_problems(spec.primitive, spec.options):
                raise problem
            given = {
                "targets": spec.targets,
                "select": spec.select or spec.waits_for_targets,
                "children": spec.children,
                "command": spec.command,
            }
            for problem in target_problems(self.registry, spec.primitive, [key for key, each in given.items() if each]):
                raise problem
        for problem in self.registry.policy_problems(spec.policy, spec.policy_options):
            raise problem
        Attrs.fitting(spec.attrs)

    async def stop(self, names: Sequence[str]) -> None:
        """Stop contexts; those of them that have ended by themselves are no error.

        Raises:
            UnknownNameError: There is no such context.
            NotRunningError: None of them runs.
            WorkerFailedError: One does not end; all others have ended.
        """
        for name in names:
            if name not in self.contexts.names():
                raise UnknownNameError("context", name, self.contexts.names())
        running = [each for each in self.contexts.running() if each.spec.name in names]
        if not running:
            raise NotRunningError(f"not running: {', '.join(names)}", hint="'damond status' shows what runs")
        ends = await asyncio.gather(*(each.stop() for each in running), return_exceptions=True)
        for failure in ends:
            if isinstance(failure, BaseException):
                raise failure

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
            DamondError: The worker refused; as :meth:`Contexts.get`.
        """
        context = self.contexts.get(name)
        if add or remove:
            self._changed_targets(context, add, remove)  # refused before anything is done
        if attrs or goal != "keep":
            wanted = {} if goal == "keep" else {"goal": goal}
            await context.request("tune", attrs=attrs, **wanted)
            kept = context.spec.intervals_goal if isinstance(goal, str) else goal
            context.spec = replace(context.spec, attrs={**context.spec.attrs, **attrs}, intervals_goal=kept)
        if add or remove:  # from what is watched by now: others may have been found meanwhile
            await context.retarget(self._changed_targets(context, add, remove), REQUESTED, add)

    def bound(self, name: str, max_cpu: float | None) -> None:
        """Change what a context may cost at most, besides its share of the service's budget.

        Raises:
            NotRunningError: It does not run, and begins by its configuration.
            DamondError: As :meth:`Contexts.get`.
        """
        context = self.contexts.get(name)
        if not context.life.runs:
            raise NotRunningError(f"{name} is {context.state}", hint="'damond status' shows what runs")
        context.spec = replace(context.spec, max_cpu=max_cpu)
        self.sharing.share(self.contexts.running())

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
            DamondError: As :meth:`Contexts.get`; or the worker does not answer.
        """
        await self.contexts.get(name).pause(paused=paused)

    async def _watch_health(self) -> None:
        looked_s = time.monotonic()
        while True:
            # No more often than is of use: each look is a part of the service's budget.
            every_s = min((each.aggr_interval_s for each in self.contexts.running()), default=_HEALTH_AT_LEAST_EVERY_S)
            every_s = min(max(every_s, _HEALTH_EVERY_S), _HEALTH_AT_LEAST_EVERY_S)
            await asyncio.sleep(every_s)
            before_s, looked_s = looked_s, time.monotonic()
            # As after SIGSTOP and SIGCONT of this process: what waits to be read by now is not late.
            stalled_s = max(0.0, looked_s - before_s - every_s - _HEALTH_EVERY_S)
            for each in self.contexts:
                each.check_health(self.hub.last_snapshot_s.get(each.spec.name, 0.0), stalled_s)
                each.look_after_targets()

    async def _watch_targets(self) -> None:
        told, looks = "", Looks(lambda: self.sharing.max_cpu)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await follow(self.contexts, self._processes, looks, self._own_pids())
                told = ""
            except (OSError, psutil.Error, WorkerFailedError) as error:  # no descriptors, or the launcher is stopped
                if str(error) != told:
                    told = str(error)
                    _log.warning("targets stay as they are, processes can't be listed: %s", error)

    async def _watch_costs(self) -> None:
        nr_ended = 0
        while True:
            if self.launcher.nr_ended != nr_ended:
                nr_ended = self.launcher.nr_ended
                give_back()
            self.sharing.measure(self.launcher.pid, *self.helpers())
            self.sharing.share(self.contexts.running())
            await asyncio.sleep(_SHARE_EVERY_S)

    def is_fresh(self) -> bool:
        """Whether every running context publishes in time."""
        return all(each.health.healthy for each in self.contexts if each.state == "running")

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
            "replay": self.hub.replay.describe(),
            "drops": {
                "missed": dict(self.hub.drops.missed),
                "malformed": self.hub.drops.malformed,
                "log": self._lost_lines(),
                "readers": self.lost.describe(),
            },
            "contexts": [self._describe(name) for name in sorted(self.contexts.names())],
        }

    def _describe(self, name: str) -> dict[str, Any]:
        if name not in self.contexts:
            return never_started(self.contexts.known[name])
        return describe_context(self.contexts.get(name), self.hub, self._host, self.contexts.known.get(name))


def _forward_stderr(raw: bytes) -> None:
    """Pass on what a worker wrote to its standard error; all share one log. ``status`` keeps the last lines anyway."""
    with contextlib.suppress(OSError):  # a full disk, or a standard error that is no file: nobody could be told
        os.write(sys.stderr.fileno(), raw)
