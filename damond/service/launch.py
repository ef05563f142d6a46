"""The launcher as the supervisor sees it: starts workers, and tells of their ends."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Self

from damond.errors import WorkerFailedError
from damond.service.handle import WorkerHandle
from damond.service.link import Link, LinkClosedError
from damond.service.spec import ContextSpec

_log = logging.getLogger(__name__)


class LauncherProcess:
    """The launcher, and the workers that it has forked. An asynchronous context manager: afterwards none is left.

    Args:
        workers_endpoint: What workers publish to.
        trusting: Let contexts name functions and classes to import. Only for a supervisor that is embedded in the
            program that starts the contexts: otherwise whoever takes over the supervisor could run anything here.
        plugins: Names of the entry points that workers may load; None allows all.

    Attributes:
        lost: Set when the launcher has died: no worker lives, and nothing can be started any more.
    """

    def __init__(self, workers_endpoint: str, *, trusting: bool = False, plugins: Sequence[str] | None = None) -> None:
        self.lost = asyncio.Event()
        self._endpoint = workers_endpoint
        self._settings = {"trusting": trusting, "plugins": None if plugins is None else list(plugins)}
        self._handles: dict[int, WorkerHandle] = {}
        self._forking: list[WorkerHandle] = []

    async def __aenter__(self) -> Self:
        self._link, other = Link.pair()
        self._process = _spawn(other, self._settings)
        other.close()
        self._link.set_nonblocking()
        asyncio.get_running_loop().add_reader(self._link.fileno(), self._hear)
        return self

    async def __aexit__(self, *_: object) -> None:
        if not self.lost.is_set():
            asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()
        await _wait_ended(self._process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

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
            WorkerFailedError: The launcher has died.
        """
        ours, theirs = Link.pair()
        stderr_read, stderr_write = os.pipe2(os.O_CLOEXEC)
        handle = WorkerHandle(spec.name, ours, stderr_read, on_message, on_exit, on_stderr)
        try:
            message = {"kind": "start", "spec": spec.to_map(), "endpoint": self._endpoint}
            self._link.send(message, [theirs.fileno(), stderr_write])
            self._forking.append(handle)
        except (LinkClosedError, OSError) as error:
            handle.ended(-signal.SIGKILL)
            raise WorkerFailedError(
                f"{spec.name}: the launcher of the workers has died", hint="start the supervisor again"
            ) from error
        finally:
            theirs.close()
            os.close(stderr_write)
        return handle

    def signal(self, handle: WorkerHandle, signum: signal.Signals) -> None:
        """Send a signal to a worker; one that has ended gets none."""
        if handle.pid is None or not handle.is_alive:
            return
        try:
            self._link.send({"kind": "signal", "pid": handle.pid, "signum": int(signum)})
        except LinkClosedError:
            self._lose()

    def _hear(self) -> None:
        try:
            message, _ = self._link.receive()
        except LinkClosedError:
            self._lose()
            return
        if message["kind"] == "forked":
            # Requests are served in order, so the oldest one is meant.
            handle = self._forking.pop(0)
            handle.pid = message["pid"]
            self._handles[message["pid"]] = handle
        else:
            self._handles.pop(message["pid"]).ended(message["status"])

    def _lose(self) -> None:
        if self.lost.is_set():
            return
        _log.error("the launcher has died, and all workers with it")
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self.lost.set()
        for handle in [*self._handles.values(), *self._forking]:
            handle.ended(-signal.SIGKILL)
        self._handles.clear()
        self._forking.clear()


def _spawn(link: Link, settings: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Start the launcher: a fresh interpreter, so that workers share nothing with this process but their links."""
    os.set_inheritable(link.fileno(), True)  # noqa: FBT003 - the standard library's signature
    env = {
        **os.environ,
        # Threads of a BLAS nobody calls would cost every worker megabytes, and make forking unsafe.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "DAMOND_LOG_LEVEL": logging.getLevelName(logging.getLogger("damond").getEffectiveLevel()),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "damond.service.launcher", str(link.fileno()), json.dumps(settings)],
        stdin=subprocess.DEVNULL,
        pass_fds=[link.fileno()],
        env=env,
        start_new_session=True,
    )


async def _wait_ended(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a child without a thread: an interpreter that shuts down takes no new ones."""
    ended = asyncio.Event()
    fd = os.pidfd_open(process.pid)
    asyncio.get_running_loop().add_reader(fd, ended.set)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)
    process.wait()
