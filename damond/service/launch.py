"""The launcher as the supervisor sees it: starts workers, and tells of their ends."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from damond.errors import UsageError, WorkerFailedError
from damond.service.handle import WorkerHandle
from damond.service.link import Link, LinkClosedError, close_all
from damond.service.spec import ContextSpec
from damond.stream.endpoints import Endpoints

_log = logging.getLogger(__name__)

_END_LIMIT_S: Final = 10.0
"""How long the launcher may take to end, before it is sent SIGKILL: twice what it gives the workers (launcher.py)."""


class LauncherProcess:
    """The launcher, and the workers that it has forked. An asynchronous context manager: afterwards none is left.

    Args:
        endpoints: Of the runtime directory; workers publish to it.
        trusting: Let contexts name functions and classes to import. Only for a supervisor that is embedded in the
            program that starts the contexts: otherwise whoever takes over the supervisor could run anything here.
        plugins: Names of the entry points that workers may load; None allows all.

    Attributes:
        lost: Set when the launcher has died: no worker lives, and nothing can be started any more.
    """

    def __init__(self, endpoints: Endpoints, *, trusting: bool = False, plugins: Sequence[str] | None = None) -> None:
        self.lost = asyncio.Event()
        self._endpoint = endpoints.workers
        self._settings = {
            "trusting": trusting,
            "plugins": None if plugins is None else list(plugins),
            "runtime_dir": str(endpoints.directory.absolute()),
        }
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
            WorkerFailedError: The launcher has died or is busy, or this process has no descriptors left.
            UsageError: The context is too large to be told to a worker.
        """
        ours, theirs, stderr_read, stderr_write = _channels(spec.name)
        handle = WorkerHandle(spec.name, ours, stderr_read, on_message, on_exit, on_stderr)
        try:
            message = {"kind": "start", "spec": spec.to_map(), "endpoint": self._endpoint}
            self._link.send(message, [theirs.fileno(), stderr_write])
            self._forking.append(handle)
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
        try:
            self._link.send({"kind": "signal", "pid": handle.pid, "signum": int(signum)})
        except LinkClosedError:
            self._lose()
        except BlockingIOError:
            _log.error("%s: the launcher takes no requests; the worker gets no %s", handle.name, signum.name)

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
        elif message["kind"] == "refused":
            handle = self._forking.pop(0)
            handle.refusal = message["reason"]
            handle.ended(os.EX_OSERR)
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
    try:
        await asyncio.wait_for(ended.wait(), _END_LIMIT_S)
    except TimeoutError:
        _log.error("the launcher does not end; sending SIGKILL")
        process.kill()  # PermissionError, if it is root's and this process is not any more: better told than waited for
        await ended.wait()
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)
    process.wait()
