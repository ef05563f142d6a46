"""One context as the supervisor keeps it: its state, its worker, and what happens when that dies."""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from damond.errors import DamondError, NotRunningError, WorkerFailedError, from_code
from damond.service.ending import make_end
from damond.service.handle import WorkerHandle
from damond.service.health import Health
from damond.service.launch import LauncherProcess
from damond.service.life import Announce, Life
from damond.service.processes import is_alive
from damond.service.requests import Requests
from damond.service.restart import Backoff
from damond.service.spec import ContextSpec, TargetSpec
from damond.units import USEC_PER_SEC

_log = logging.getLogger(__name__)

_SELDOM_S: Final = 1.0
"""A worker whose samples are as long, or longer, is told that its processes have ended: it would see that at its next
sample only."""

START_TIMEOUT_S: Final = 30.0
"""From the fork to the worker's ``started``; regions of a large process are made in well below a second. What takes
longer is ended, and has failed."""


class Program(Protocol):
    """What a context has started, and ends."""

    async def end(self) -> None:
        """End it."""


class ManagedContext:
    """A context and its worker.

    Attributes:
        spec: What is monitored.
        exclusive: Nothing else may run beside it.
        life: Its state, with the reason.
        health: Whether its snapshots arrive in time.
        paused_ns: Since when sampling rests, Unix time; None while it does not.
        nr_restarts: How often its worker was started again, or is going to be.
        handle: The worker of the moment, or the last one.
        worker_before: How the one before that ended, as plain values: ``pid``, ``exit`` and ``stderr``; or None.
        target_ids: What it was told to watch.
        watched: What of that its worker watches now; targets end by themselves, or can't be watched.
        following: Brings the targets up to date, if that has been begun.
        roots: Targets that were given, not found: they stay while they live.
        command: The program that was started for it, or None.
        started: Facts from the last ``started``: primitive, granularity, attributes.
        cost: What it would use without a budget, as its worker said last; empty until then.
        share: What it may use of the budgets of the service; see :class:`damond.service.shares.Sharing`.
        told: What its worker knows that it may cost.
    """

    def __init__(
        self,
        spec: ContextSpec,
        launcher: LauncherProcess,
        announce: Announce,
        on_stderr: Callable[[bytes], object],
        *,
        exclusive: bool = False,
        restarts: bool = True,
    ) -> None:
        self.spec = spec
        self.exclusive = exclusive
        self.life = Life(spec.name, announce)
        self.health = Health()
        self.paused_ns: int | None = None
        self.nr_restarts = 0
        self._looking: asyncio.Task[None] | None = None
        self.handle: WorkerHandle | None = None
        self.worker_before: dict[str, Any] | None = None
        self.started: dict[str, Any] = {}
        self.cost: dict[str, Any] = {}
        self.share: dict[str, float] = {}
        self.told: dict[str, float | None] = {}
        self.settled = asyncio.Event()
        self.target_ids = [each.id for each in spec.targets]
        self.watched: list[int] = []
        self.following: asyncio.Task[None] | None = None
        self.command: Program | None = None
        self.roots: list[int] = []
        self.backoff = Backoff()
        self._launcher = launcher
        self._on_stderr = on_stderr
        self._restarts = restarts
        self._requests = Requests(spec.name)
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[None] | None = None
        self._was_ready = False
        self._pausing: asyncio.Task[None] | None = None

    @property
    def state(self) -> str:
        """As :attr:`Life.state`."""
        return self.life.state

    async def _pause_again(self) -> None:
        with contextlib.suppress(DamondError):  # the worker has died again, which is told as such
            await self.pause(paused=True, reason="its worker has been restarted")

    def enter(self) -> None:
        """Take the place of a context that is about to start: its name is in use from now on."""
        self._become("starting")

    def refuse(self, error: DamondError) -> None:
        """Take note that it can't even begin."""
        self.life.error = error
        self._become("failed", error.message)
        self.life.publish("failed", error.message, code=error.code, hint=error.hint)

    def fork(self) -> None:
        """Start a worker.

        Raises:
            NotRunningError: The context was stopped before.
            WorkerFailedError: The launcher has died, or can't take more.
        """
        if self.state not in ("starting", "backoff"):
            raise NotRunningError(f"{self.spec.name} was stopped before its worker ran", hint="start it again")
        self._timer = None
        self.health.begin()
        if self.state != "starting":
            self._become("starting")
        self.settled.clear()
        self.told = self.spec.bounds(self.share)
        bounded = replace(self.spec, max_cpu=self.told["max_cpu"], max_checks_per_s=self.told["max_checks_per_s"])
        if self.handle is not None and not self.handle.is_alive:
            exit_ = self.handle.describe_exit()
            self.worker_before = {"pid": self.handle.pid, "exit": exit_, "stderr": list(self.handle.stderr)}
        self.handle = self._launcher.fork(bounded, self._hear, self._ended, self._on_stderr)
        self._timer = asyncio.get_running_loop().call_later(START_TIMEOUT_S, self._give_up, self.handle)

    def _give_up(self, handle: WorkerHandle) -> None:
        """End a worker that is not ready in time."""
        self.health.hung = True
        self.life.error = WorkerFailedError(
            f"{self.spec.name}: the worker was not ready after {START_TIMEOUT_S:g} s",
            hint="its primitive hangs in init; see its lines in the log",
        )
        self._end_by_force(handle)

    def _end_by_force(self, handle: WorkerHandle) -> None:
        self._launcher.signal(handle, signal.SIGTERM)
        self._killing = asyncio.create_task(self._kill(handle))

    async def _kill(self, handle: WorkerHandle) -> None:
        try:
            await self._make_end(handle, [signal.SIGKILL])
        except WorkerFailedError as error:
            _log.error("%s", error)

    async def _make_end(self, handle: WorkerHandle, signals: list[signal.Signals]) -> None:
        await make_end(self._launcher, handle, self._interval_s("sample_interval"), signals)

    async def wait_ready(self) -> None:
        """Wait until the worker samples.

        Raises:
            DamondError: What it could not begin with.
            WorkerFailedError: It was not ready in time.
            NotRunningError: It was stopped before it was ready.
        """
        await self.settled.wait()
        if not self.health.is_ready or self.state == "failed":
            raise self.life.error or NotRunningError(
                f"{self.spec.name} was stopped before it was ready", hint=f"damond start {self.spec.name}"
            )

    async def stop(self, reason: str = "requested") -> None:
        """End the worker: ask, then SIGTERM, then SIGKILL; the wait after SIGKILL alone has no limit.

        Raises:
            WorkerFailedError: It does not end, and the launcher is stopped; it ends when that goes on.
        """
        self._cancel_timer()
        handle = self.handle
        if handle is None or not handle.is_alive:
            if self.life.runs:
                self._become("stopped", reason)
                self.life.publish("stopped", reason)
            return
        if self.state != "failed":
            self._become("stopping", reason)
        handle.stop()
        await self._make_end(handle, [signal.SIGTERM, signal.SIGKILL])

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def paused(self) -> bool:
        """Whether sampling rests on request."""
        return self.paused_ns is not None

    @property
    def rests(self) -> bool:
        """Whether it samples nothing for now: it is paused, or waits for targets."""
        return self.paused or (self.spec.waits_for_targets and not self.watched)

    @property
    def aggr_interval_s(self) -> float:
        """Aggregation interval of the moment; 0 until it is known. Seconds."""
        return self._interval_s("aggr_interval")

    def _interval_s(self, name: str) -> float:
        return float(self.started.get("attrs", {}).get(name, 0)) / USEC_PER_SEC

    async def request(self, kind: str, **args: Any) -> None:
        """Have the running worker do something between two samples.

        Raises:
            NotRunningError: There is no worker that could.
            UsageError: The request is too large for the link.
            DamondError: It refused.
            WorkerFailedError: It did not answer.
        """
        handle = self.handle
        if self.state != "running" or handle is None:
            raise NotRunningError(f"{self.spec.name} is {self.state}", hint="'damond status' shows what runs")
        await self._requests.ask(handle, kind, self._interval_s("sample_interval"), **args)

    async def pause(self, *, paused: bool, reason: str = "requested") -> None:
        """Let sampling rest, or go on; a worker that restarts rests too.

        Raises:
            DamondError: As :meth:`request`.
        """
        await self.request("pause", paused=paused, reason=reason)
        self.paused_ns = (self.paused_ns or time.time_ns()) if paused else None

    async def retarget(self, ids: list[int], reason: str, added: Sequence[int] = (), *, found: bool = False) -> None:
        """Replace the targets; those that stay keep their regions and ages. A worker that restarts gets these too.

        Args:
            ids: All that are to be watched from now on.
            reason: Why: ``requested`` or ``selected``.
            added: Those of them that must be there.
            found: Whether new ones were found, and may be gone by now.

        Raises:
            DamondError: The primitive can't, or one of ``added`` can't be watched, or as :meth:`request`.
        """
        await self.request("targets", ids=ids, added=list(added), reason=reason)
        self.target_ids = ids
        kept = {each.id: each for each in self.spec.targets}
        targets = tuple(kept.get(each, TargetSpec(each, found=found)) for each in ids)
        self.spec = replace(self.spec, targets=targets)

    async def end_command(self) -> None:
        """Wait until the program that was started for it has ended, if there is one."""
        if self._ending is not None:
            await self._ending

    def _hear(self, handle: WorkerHandle, message: Mapping[str, Any]) -> None:
        if handle is not self.handle:
            return
        if message["kind"] == "failed":
            self.life.error = from_code(message["code"], message["message"], message["hint"])
        elif message["kind"] == "done":
            self._requests.answered(message)
        elif message["kind"] == "paced":
            self._take_attrs(message["attrs"])
        elif message["kind"] == "cost":
            self.cost = dict(message)
        else:
            self.life.heard(message)
            self._happened(message["event"], message["reason"], message["details"])

    def _happened(self, event: str, reason: str, details: dict[str, Any]) -> None:
        if event == "started":
            self.started, self._was_ready, self.watched = details, True, details["targets"]
            self.health.ready()
            if self.paused:  # as it was before its worker died
                self._pausing = asyncio.create_task(self._pause_again())
            self._cancel_timer()
            if self.state == "starting":
                self.life.error = None
                self._become("running")
            self.settled.set()
        elif event == "attrs_changed" and "attrs" in details:
            self._take_attrs(details["attrs"])
        elif event == "targets_changed":
            self.watched = details["targets"]
        elif event in ("stopping", "stopped") and not self.health.hung:
            self._become(event, reason)

    def _take_attrs(self, attrs: dict[str, int]) -> None:
        """Take note of other intervals: what is late is judged by them from here on."""
        self.started["attrs"] = attrs
        self.health.forgive()

    def _ended(self, handle: WorkerHandle) -> None:
        """Draw the conclusion from the end of a worker: what did not say goodbye has died."""
        if handle is not self.handle:
            return
        self._cancel_timer()
        self._requests.fail_all(handle.describe_exit())
        if self.state == "stopping":
            how = handle.describe_exit()
            said = "" if handle.status == os.EX_OK else f" ({how})"
            if self.life.last_event != "stopping":  # it did not obey, or could not say so
                self.life.publish("stopping", self.life.reason)
            self._become("stopped", f"{self.life.reason}{said}")
            self.life.publish("stopped", self.life.reason, exit=how, stderr=list(handle.stderr))
        elif self.life.runs:
            self._died(handle)
        self.settled.set()

    def _died(self, handle: WorkerHandle) -> None:
        how = handle.describe_exit()
        if self.life.error is None:
            text = "hung, and was ended" if self.health.hung else "ended without a word"
            text = f"the worker {text}: {how}"
            text = f"the worker {how}" if handle.refusal else text
            self.life.error = WorkerFailedError(
                f"{self.spec.name}: {text}", hint="see the last lines of its standard error"
            )
        # A worker that never became ready would not become so by trying again; one that could not be forked may.
        retry = self._was_ready or self._is_short(handle)
        self._fail(self.life.error, self.health.ran_s, retry=retry, exit=how, stderr=handle.stderr)
        self.nr_restarts += self.state == "backoff" and not handle.refusal

    def _is_short(self, handle: WorkerHandle) -> bool:
        """Whether a restart failed only because the machine had no room for a process."""
        return bool(handle.refusal) and self.backoff.tries > 0

    def _fail(self, error: DamondError, ran_s: float, *, retry: bool, **details: Any) -> None:
        """Wait for the next try, or have failed."""
        reason, delay_s = error.message.removeprefix(f"{self.spec.name}: "), None
        if self._restarts and retry and not self._launcher.lost.is_set():
            delay_s = self.backoff.next_delay_s(ran_s)
        details = {"code": error.code, "hint": error.hint, **details, "stderr": list(details.get("stderr", ()))}
        if delay_s is None:
            self._become("failed", reason)
            _log.error("%s: failed: %s", self.spec.name, reason)
            self.life.publish("failed", reason, **details)
            return
        self._become("backoff", reason)
        _log.warning("%s: %s; try %d in %.1f s", self.spec.name, reason, self.backoff.tries, delay_s)
        self.life.publish("restarting", reason, tries=self.backoff.tries, delay_s=round(delay_s, 3), **details)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._restart)

    def _restart(self) -> None:
        self.life.error = None
        if not self._drop_ended():
            self.nr_restarts -= 1
            self._become("stopped", "target_gone")
            self.life.publish("target_gone", "the last target ended while its worker was down")
            self.life.publish("stopped", "target_gone")
            return
        try:
            self.fork()
        except WorkerFailedError as error:
            self.life.error = error
            self._fail(error, 0.0, retry=True)

    def _drop_ended(self) -> bool:
        """Drop targets that have ended, so that no worker misses them; return whether there is reason to go on."""
        if not (self.started.get("pids") or self.spec.waits_for_targets):
            return True
        left = tuple(each for each in self.spec.targets if is_alive(each.id))
        self.spec, self.target_ids = replace(self.spec, targets=left), [each.id for each in left]
        return bool(left) or self.spec.waits_for_targets

    def check_health(self, last_snapshot_s: float, stalled_s: float = 0.0) -> None:
        """Judge a running worker by its own aggregation interval; end one that hangs.

        Args:
            last_snapshot_s: When its last snapshot came, by the monotonic clock.
            stalled_s: For how long this process itself has not run since it looked last: nobody else's fault.
        """
        if self.state != "running" or self.handle is None:
            return
        if self.rests:
            self.health.rest()
            return
        late_s = self.health.judge(last_snapshot_s, self._interval_s("aggr_interval"), stalled_s)
        if late_s is not None:
            _log.error("%s: no snapshot for %.1f s; ending the worker", self.spec.name, late_s)
            self._end_by_force(self.handle)

    def look_after_targets(self) -> None:
        """Wake a worker that samples seldom, once none of the processes that it watches is there any more."""
        seldom = self._interval_s("sample_interval") >= _SELDOM_S
        if self.state != "running" or not seldom or self.rests or self.spec.waits_for_targets:
            return
        if not (self.started.get("pids") and self.watched) or any(map(is_alive, self.watched)):
            return
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        try:
            await self.request("look")
        except DamondError as error:  # it has ended, or hangs, and others notice
            _log.debug("%s", error)

    def _become(self, state: str, reason: str = "") -> None:
        self.life.become(state, reason)
        if state in ("stopped", "failed") and self.command is not None:
            self._ending, self.command = asyncio.create_task(self.command.end()), None
        if state != "running":
            self.health.healthy = True
