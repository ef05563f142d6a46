"""The launcher as the supervisor sees it: starts workers, and tells of their ends."""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from typing import Final, Self

from damond.errors import UsageError, WorkerFailedError
from damond.service.handle import WorkerHandle
from damond.service.link import Link, LinkClosedError, close_all
from damond.service.privileges import STOPPED, describe
from damond.service.spawn import spawn, wait_ended
from damond.service.spec import ContextSpec
from damond.stream.endpoints import Endpoints

_log = logging.getLogger(__name__)

_ANSWER_LIMIT_S: Final = 5.0
"""How long the launcher may take to fork, or to answer; it takes milliseconds."""
_STALL_S: Final = 1.0
"""Later than this the loop does not run because the machine is busy, but because it was stopped."""
_MAX_PIDS: Final = 256
"""Processes that are asked about at once: so that the answer fits into a message of the link."""


class LauncherProcess:
    """The launcher, and the workers that it has forked. An asynchronous context manager: afterwards none is left.

    Args:
        endpoints: Of the runtime directory; workers publish to it.
        trusting: Let contexts name functions and classes to import. Only for a supervisor that is embedded in the
            program that starts the contexts: otherwise whoever takes over the supervisor could run anything here.
        plugins: Names of the entry points that workers may load; None allows all.

    Attributes:
        lost: Set when the launcher has died: no worker lives, and nothing can be started any more.
        nr_ended: Workers that have ended.
    """

    def __init__(self, endpoints: Endpoints, *, trusting: bool = False, plugins: Sequence[str] | None = None) -> None:
        self.lost = asyncio.Event()
        self.nr_ended = 0
        self._endpoint = endpoints.workers
        self._settings = {
            "trusting": trusting,
            "plugins": None if plugins is None else list(plugins),
            "runtime_dir": str(endpoints.directory.absolute()),
        }
        self._handles: dict[int, WorkerHandle] = {}
        self._forking: list[WorkerHandle] = []
        self._asking: list[asyncio.Future[dict[int, bytes]]] = []

    async def __aenter__(self) -> Self:
        self._link, other = Link.pair()
        self._process = spawn(other, self._settings)
        other.close()
        self._link.set_nonblocking()
        asyncio.get_running_loop().add_reader(self._link.fileno(), self._hear)
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self.lost.is_set():
            asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()
        await wait_ended(self._process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped it (SIGSTOP, a debugger): nothing is started or ended by force meanwhile."""
        return describe(self.pid).get("state") in STOPPED

    def fork(
        self,
        spec: ContextSpec,
        on_message: Callable[[WorkerHandle, dict[str, object]], None],
        on_exit: Callable[[WorkerHandle], None],
        on_stderr: Callable[[bytes], object],
    ) -> WorkerHandle:
        """Start a worker.

        Args:
            spec: Its context.
            on_message: Called with what it reports.
            on_exit: Called once it has ended, after everything that it reported.
            on_stderr: Called with what it writes to its standard error.

        Raises:
            WorkerFailedError: The launcher has died or is busy, or this process has no descriptors left.
            UsageError: The context is too large to be told to a worker.
        """
        ours, theirs, stderr_read, stderr_write = _channels(spec.name)
        handle = WorkerHandle(spec.name, ours, stderr_read, on_message, on_exit, on_stderr)
        try:
            message = {"kind": "start", "spec": spec.to_map(), "endpoint": self._endpoint}
            self._link.send(message, [theirs.fileno(), stderr_write])
            self._forking.append(handle)
            self._wait_for_fork(handle)
        except (LinkClosedError, OSError, ValueError) as error:
            handle.ended(-signal.SIGKILL)
            if isinstance(error, ValueError):
                raise UsageError(f"{spec.name}: {error}", hint="give it fewer targets or shorter options") from error
            busy = isinstance(error, BlockingIOError)
            raise WorkerFailedError(
                f"{spec.name}: the launcher of the workers {'takes no more requests' if busy else 'has died'}",
                hint="is it stopped?" if busy else "start the supervisor again",
            ) from error
        finally:
            theirs.close()
            os.close(stderr_write)
        return handle

    def signal(self, handle: WorkerHandle, signum: signal.Signals) -> None:
        """Send a signal to a worker; one that has ended gets none."""
        if handle.pid is None or not handle.is_alive:
            return
        self._signal(handle.pid, int(signum))

    def _signal(self, pid: int, signum: int) -> None:
        try:
            self._link.send({"kind": "signal", "pid": pid, "signum": signum})
        except LinkClosedError:
            self._lose()
        except BlockingIOError:
            _log.error("the launcher takes no requests; worker %d gets no %s", pid, signal.Signals(signum).name)

    def _wait_for_fork(self, handle: WorkerHandle) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(_ANSWER_LIMIT_S, self._give_up, handle, loop.time() + _ANSWER_LIMIT_S)

    def _give_up(self, handle: WorkerHandle, due_s: float) -> None:
        """End the wait for a launcher that does not fork; what it forks later is killed then."""
        if handle not in self._forking or not handle.is_alive:
            return
        if asyncio.get_running_loop().time() > due_s + _STALL_S:
            self._wait_for_fork(handle)  # we were stopped ourselves (Ctrl-Z), and the launcher with us
        else:
            handle.refusal = f"the launcher (pid {self.pid}) does not answer"
            handle.ended(os.EX_UNAVAILABLE)

    async def executables(self, pids: Sequence[int]) -> dict[int, bytes]:
        """Ask for the paths of executables, which only the launcher may be permitted to see.

        Args:
            pids: Processes.

        Returns:
            Pid -> path, of those that it could read.

        Raises:
            WorkerFailedError: It does not answer, or has died.
        """
        found: dict[int, bytes] = {}
        for first in range(0, len(pids), _MAX_PIDS):
            found |= await self._ask_executables(pids[first : first + _MAX_PIDS])
        return found

    async def _ask_executables(self, pids: Sequence[int]) -> dict[int, bytes]:
        answer: asyncio.Future[dict[int, bytes]] = asyncio.get_running_loop().create_future()
        try:
            self._link.send({"kind": "executables", "pids": list(pids)})
            self._asking.append(answer)
            return await asyncio.wait_for(answer, _ANSWER_LIMIT_S)
        except (LinkClosedError, BlockingIOError, TimeoutError) as error:
            raise WorkerFailedError(
                f"the launcher of the workers (pid {self.pid}) does not answer",
                hint=f"is it stopped? kill -CONT {self.pid}",
            ) from error

    def _hear(self) -> None:
        try:
            message, _ = self._link.receive()
        except LinkClosedError:
            self._lose()
            return
        # Requests are served in order, so the oldest one is meant.
        if message["kind"] == "forked":
            self._forked(self._forking.pop(0), message["pid"])
        elif message["kind"] == "refused":
            handle = self._forking.pop(0)
            handle.refusal = message["reason"]
            handle.ended(os.EX_OSERR)
        elif message["kind"] == "executables":
            answer = self._asking.pop(0)
            if not answer.done():
                answer.set_result(message["paths"])
        else:
            self.nr_ended += 1
            self._handles.pop(message["pid"]).ended(message["status"])

    def _forked(self, handle: WorkerHandle, pid: int) -> None:
        self._handles[pid] = handle
        if not handle.is_alive:  # given up
            self._signal(pid, signal.SIGKILL)
        else:
            handle.pid = pid

    def _lose(self) -> None:
        if self.lost.is_set():
            return
        _log.error("the launcher has died, and all workers with it")
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self.lost.set()
        for handle in [*self._handles.values(), *self._forking]:
            handle.ended(-signal.SIGKILL)
        for answer in self._asking:
            if not answer.done():
                died = WorkerFailedError("the launcher of the workers has died", hint="start the supervisor again")
                answer.set_exception(died)
        self._handles.clear()
        self._forking.clear()
        self._asking.clear()


def _channels(name: str) -> tuple[Link, Link, int, int]:
    """Make the link and the pipe for standard error of one worker.

    Raises:
        WorkerFailedError: There are no descriptors left.
    """
    try:
        stderr = os.pipe2(os.O_CLOEXEC)
    except OSError as error:
        raise _no_descriptors(name, error) from error
    try:
        return *Link.pair(), *stderr
    except OSError as error:
        close_all(stderr)
        raise _no_descriptors(name, error) from error


def _no_descriptors(name: str, error: OSError) -> WorkerFailedError:
    return WorkerFailedError(
        f"{name}: no worker can be started: {error.strerror}", hint="raise the limit: ulimit -n, LimitNOFILE="
    )
