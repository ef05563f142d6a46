"""One context as the supervisor keeps it: its state, its worker, and what happens when that dies."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import psutil

from damond.errors import DamondError, NotRunningError, UsageError, WorkerFailedError, from_code
from damond.service.handle import WorkerHandle
from damond.service.launch import LauncherProcess
from damond.service.restart import Backoff
from damond.service.spec import ContextSpec, TargetSpec
from damond.stream import wire
from damond.units import USEC_PER_SEC

_log = logging.getLogger(__name__)

RUNNING: Final = ("starting", "running", "backoff", "stopping")
"""States in which a context is being monitored, or will be without being asked."""

START_TIMEOUT_S: Final = 30.0
"""From the fork to the worker's ``started``; regions of a large process are made in well below a second. What takes
longer is ended, and has failed."""
STOP_GRACE_S: Final = 2.0
"""What a worker may take beyond two of its sample intervals, before it is sent SIGTERM, and again before SIGKILL."""
REQUEST_TIMEOUT_S: Final = 5.0
"""For the answer to a request, beyond two sample intervals."""
HEALTHY_AGGRS: Final = 3
"""Aggregation intervals within which a healthy worker publishes a snapshot."""
FIRST_WINDOW_S: Final = 1.5
"""What the first aggregation of a worker may take beyond its interval, before it is known how late its samples are."""
SUSPICION_S: Final = 2.0
"""Time for which an unhealthy worker may still turn out to be merely short of CPU."""

Announce = Callable[[wire.Event, int, int], None]


class Program(Protocol):
    """What a context has started, and ends."""

    async def end(self) -> None:
        """End it."""


class ManagedContext:
    """A context and its worker.

    Attributes:
        spec: What is monitored.
        exclusive: Nothing else may run beside it.
        state: ``starting``, ``running``, ``backoff``, ``stopping``, ``stopped`` or ``failed``.
        reason: Why it is in that state.
        since_ns: Since when, Unix time.
        healthy: Whether snapshots arrive in time.
        paused: Whether sampling rests.
        error: What it failed with last, or None.
        handle: The worker of the moment, or the last one.
        target_ids: What is watched now.
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
        self.state, self.reason, self.since_ns = "stopped", "never started", time.time_ns()
        self.healthy = True
        self.paused = False
        self.error: DamondError | None = None
        self.handle: WorkerHandle | None = None
        self.started: dict[str, Any] = {}
        self.cost: dict[str, Any] = {}
        self.share: dict[str, float] = {}
        self.told: dict[str, float | None] = {}
        self.settled = asyncio.Event()
        self.target_ids = [each.id for each in spec.targets]
        self.command: Program | None = None
        self.roots: list[int] = []
        self.backoff = Backoff()
        self._launcher = launcher
        self._announce = announce
        self._on_stderr = on_stderr
        self._restarts = restarts
        self._ids = itertools.count()
        self._answers: dict[int, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ready_s: float | None = None
        self._last_s = 0.0
        self._hung = False
        self._ending: asyncio.Task[None] | None = None
        self._killing: asyncio.Task[None] | None = None
        self._epoch, self._next_event = time.time_ns(), 0
        self._was_ready = False
        self._gap_s = FIRST_WINDOW_S
        self._pausing: asyncio.Task[None] | None = None

    async def _pause_again(self) -> None:
        with contextlib.suppress(DamondError):  # the worker has died again, which is told as such
            await self.request("pause", paused=True)

    def enter(self) -> None:
        """Take the place of a context that is about to start: its name is in use from now on."""
        self._become("starting")

    def refuse(self, error: DamondError) -> None:
        """Take note that it can't even begin."""
        self.error = error
        self._become("failed", error.message)

    def fork(self) -> None:
        """Start a worker.

        Raises:
            NotRunningError: The context was stopped before.
            WorkerFailedError: The launcher has died, or can't take more.
        """
        if self.state not in ("starting", "backoff"):
            raise NotRunningError(f"{self.spec.name} was stopped before its worker ran", hint="start it again")
        self._timer, self._ready_s, self._hung, self.healthy = None, None, False, True
        if self.state != "starting":
            self._become("starting")
        self.settled.clear()
        self.told = self.spec.bounds(self.share)
        self.handle = self._launcher.fork(replace(self.spec, **self.told), self._hear, self._ended, self._on_stderr)
        self._timer = asyncio.get_running_loop().call_later(START_TIMEOUT_S, self._give_up, self.handle)

    def _give_up(self, handle: WorkerHandle) -> None:
        """End a worker that is not ready in time."""
        self._hung = True
        self.error = WorkerFailedError(
            f"{self.spec.name}: the worker was not ready after {START_TIMEOUT_S:g} s",
            hint="its primitive hangs in init; see its lines in the log",
        )
        self._end_by_force(handle)

    def _end_by_force(self, handle: WorkerHandle) -> None:
        self._launcher.signal(handle, signal.SIGTERM)
        self._killing = asyncio.create_task(self._make_end(handle, [signal.SIGKILL]))

    async def wait_ready(self) -> None:
        """Wait until the worker samples.

        Raises:
            DamondError: What it could not begin with.
            WorkerFailedError: It was not ready in time.
            NotRunningError: It was stopped before it was ready.
        """
        await self.settled.wait()
        if self._ready_s is None or self.state == "failed":
            raise self.error or NotRunningError(f"{self.spec.name} was stopped before it was ready")

    async def stop(self, reason: str = "requested") -> None:
        """End the worker: ask, then SIGTERM, then SIGKILL; the wait after SIGKILL alone has no limit."""
        self._cancel_timer()
        handle = self.handle
        if handle is None or not handle.is_alive:
            if self.state in RUNNING:
                self._become("stopped", reason)
                if handle is not None:
                    self._publish("stopped", reason)
            return
        if self.state != "failed":
            self._become("stopping", reason)
        handle.stop()
        await self._make_end(handle, [signal.SIGTERM, signal.SIGKILL])

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _make_end(self, handle: WorkerHandle, signals: list[signal.Signals]) -> None:
        grace_s = STOP_GRACE_S + 2 * self._interval_s("sample_interval")
        for signum in signals:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(handle.exited.wait(), grace_s)
                return
            _log.warning("%s: does not end; sending %s", self.spec.name, signum.name)
            self._launcher.signal(handle, signum)
        await handle.exited.wait()

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
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            handle.send({"kind": kind, "id": number, **args})
            await asyncio.wait_for(answer, REQUEST_TIMEOUT_S + 2 * self._interval_s("sample_interval"))
        except TimeoutError:
            raise WorkerFailedError(f"{self.spec.name}: the worker does not answer", hint="it may hang") from None
        except DamondError:
            raise
        except ValueError as error:
            raise UsageError(f"{self.spec.name}: {error}", hint="ask for less at once") from error
        finally:
            del self._answers[number]

    async def retarget(self, ids: list[int]) -> None:
        """Replace the targets; those that stay keep their regions and ages. A worker that restarts gets these too.

        Raises:
            DamondError: The primitive can't, or as :meth:`request`.
        """
        await self.request("targets", ids=ids)
        self.target_ids = ids
        kept = {each.id: each for each in self.spec.targets}
        self.spec = replace(self.spec, targets=tuple(kept.get(each, TargetSpec(each)) for each in ids))

    async def end_command(self) -> None:
        """Wait until the program that was started for it has ended, if there is one."""
        if self._ending is not None:
            await self._ending

    def describe(self) -> dict[str, Any]:
        """Tell how it is, as plain values."""
        handle = self.handle
        row: dict[str, Any] = {
            "state": self.state,
            "reason": self.reason,
            "since_ns": self.since_ns,
            "healthy": self.healthy,
            "paused": self.paused,
            "restarts": self.backoff.tries,
            "primitive": self.started.get("primitive", self.spec.primitive),
            "options": dict(self.spec.options),
            "attrs": self.started.get("attrs", {}),
            "share": dict(self.share),
            "targets": self.target_ids,
            "pid": handle.pid if handle is not None and handle.is_alive else None,
            "exit": handle.describe_exit() if handle is not None else "",
            "stderr": list(handle.stderr) if handle is not None else [],
        }
        if self.error is not None:
            row["error"] = {"code": self.error.code, "message": self.error.message, "hint": self.error.hint}
        return row

    def _hear(self, handle: WorkerHandle, message: Mapping[str, Any]) -> None:
        if handle is not self.handle:
            return
        if message["kind"] == "failed":
            self.error = from_code(message["code"], message["message"], message["hint"])
        elif message["kind"] == "done":
            self._answered(message)
        elif message["kind"] == "paced":
            self._take_attrs(message["attrs"])
        elif message["kind"] == "cost":
            self.cost = dict(message)
        else:
            self._epoch, self._next_event = message["epoch"], message["seq"] + 1
            self._happened(message["event"], message["reason"], message["details"])

    def _answered(self, message: Mapping[str, Any]) -> None:
        answer = self._answers.get(message["id"])
        if answer is None or answer.done():
            return
        if message["error"] is None:
            answer.set_result(None)
        else:
            answer.set_exception(from_code(**message["error"]))

    def _happened(self, event: str, reason: str, details: dict[str, Any]) -> None:
        if event == "started":
            self.started, self._ready_s = details, time.monotonic()
            self._last_s = self._ready_s
            self._was_ready, self._gap_s = True, FIRST_WINDOW_S
            if self.paused:  # as it was before its worker died
                self._pausing = asyncio.create_task(self._pause_again())
            self._cancel_timer()
            if self.state == "starting":
                self.error = None
                self._become("running")
            self.settled.set()
        elif event == "attrs_changed" and "attrs" in details:
            self._take_attrs(details["attrs"])
        elif event in ("stopping", "stopped") and not self._hung:
            self._become(event, reason)

    def _take_attrs(self, attrs: dict[str, int]) -> None:
        """Take note of other intervals: what is late is judged by them from here on."""
        self.started["attrs"] = attrs
        self._last_s = time.monotonic()

    def _ended(self, handle: WorkerHandle) -> None:
        """Draw the conclusion from the end of a worker: what did not say goodbye has died."""
        if handle is not self.handle:
            return
        self._cancel_timer()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(WorkerFailedError(f"{self.spec.name}: the worker ended: {handle.describe_exit()}"))
        if self.state == "stopping":
            said = "" if handle.status == os.EX_OK else f" ({handle.describe_exit()})"
            self._become("stopped", f"{self.reason}{said}")
            self._publish("stopped", self.reason)
        elif self.state in RUNNING:
            self._died(handle)
        self.settled.set()

    def _died(self, handle: WorkerHandle) -> None:
        how = handle.describe_exit()
        if self.error is None:
            text = f"the worker hung, and was ended: {how}" if self._hung else f"the worker ended without a word: {how}"
            text = f"the worker {how}" if handle.refusal else text
            self.error = WorkerFailedError(f"{self.spec.name}: {text}", hint="see the last lines of its standard error")
        # What it did not do while it hung is no healthy running.
        ran_s = 0.0 if self._ready_s is None else self._last_s - self._ready_s
        # A worker that never became ready would not become so by trying again; one that could not be forked may.
        self._fail(self.error, ran_s, retry=self._was_ready or self._is_short(handle), exit=how, stderr=handle.stderr)

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
            self._publish("failed", reason, **details)
            return
        self._become("backoff", reason)
        _log.warning("%s: %s; try %d in %.1f s", self.spec.name, reason, self.backoff.tries, delay_s)
        self._publish("restarting", reason, tries=self.backoff.tries, delay_s=round(delay_s, 3), **details)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._restart)

    def _restart(self) -> None:
        self.error = None
        if self.spec.waits_for_targets:
            # Those that ended meanwhile are not missed: they were chosen by what they were.
            left = tuple(each for each in self.spec.targets if psutil.pid_exists(each.id))
            self.spec, self.target_ids = replace(self.spec, targets=left), [each.id for each in left]
        try:
            self.fork()
        except WorkerFailedError as error:
            self.error = error
            self._fail(error, 0.0, retry=True)

    def check_health(self, last_snapshot_s: float, stalled_s: float = 0.0) -> None:
        """Judge a running worker by its own aggregation interval; end one that hangs.

        Args:
            last_snapshot_s: When its last snapshot came, by the monotonic clock.
            stalled_s: For how long this process itself has not run since it looked last: nobody else's fault.
        """
        if self.state != "running" or self.handle is None:
            return
        if self.paused or (self.spec.waits_for_targets and not self.target_ids):
            self.healthy, self._last_s = True, time.monotonic()
            return
        self._last_s += stalled_s
        if last_snapshot_s > self._last_s:
            # Late samples stretch a window: a worker is measured by what it was seen to need, too.
            self._gap_s, self._last_s = last_snapshot_s - self._last_s, last_snapshot_s
        late_s = time.monotonic() - self._last_s
        allowed_s = HEALTHY_AGGRS * max(self._interval_s("aggr_interval"), self._gap_s)
        self.healthy = late_s <= allowed_s
        if late_s > allowed_s + SUSPICION_S and not self._hung:
            self._hung = True
            _log.error("%s: no snapshot for %.1f s; ending the worker", self.spec.name, late_s)
            self._end_by_force(self.handle)

    def _become(self, state: str, reason: str = "") -> None:
        is_news = (state, reason) != (self.state, self.reason)
        self.state, self.reason, self.since_ns = state, reason, time.time_ns()
        if state in ("stopped", "failed") and self.command is not None:
            self._ending, self.command = asyncio.create_task(self.command.end()), None
        if state != "running":
            self.healthy = True
        # Whoever lets a context fail or wait says so himself, with more words.
        level = logging.DEBUG if state in ("failed", "backoff") else logging.INFO
        if is_news:
            _log.log(level, "%s: %s%s", self.spec.name, state, f" ({reason})" if reason else "")

    def _publish(self, event: str, reason: str, **details: Any) -> None:
        """Say on the stream what the dead worker can't, with the number that it would have used."""
        message = wire.Event(
            context=self.spec.name, time_ns=time.time_ns(), event=event, reason=reason, details=details
        )
        self._announce(message, self._epoch, self._next_event)
        self._next_event += 1
