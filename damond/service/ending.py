"""Makes a worker end: asked, then SIGTERM, then SIGKILL."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from typing import Final

from damond.errors import WorkerFailedError
from damond.service.handle import WorkerHandle
from damond.service.launch import LauncherProcess
from damond.service.processes import is_alive

_log = logging.getLogger(__name__)

STOP_GRACE_S: Final = 2.0
"""What a worker may take beyond two of its sample intervals, before it is sent SIGTERM, and again before SIGKILL."""


async def make_end(
    launcher: LauncherProcess, handle: WorkerHandle, sample_interval_s: float, signals: Sequence[signal.Signals]
) -> None:
    """Wait for the end of a worker, with a signal after each grace.

    The wait after the last one has no limit, unless the launcher, which delivers the signals and learns of the end, is
    stopped.

    Raises:
        WorkerFailedError: The launcher is stopped, and the worker has not ended by itself.
    """
    grace_s = STOP_GRACE_S + 2 * sample_interval_s
    pending = list(signals)
    while not await _ends(handle, grace_s):
        if handle.pid is not None and launcher.is_stopped and not is_alive(handle.pid):
            handle.ended(None)
        elif pending:
            signum = pending.pop(0)
            _log.warning("%s: does not end; sending %s", handle.name, signum.name)
            launcher.signal(handle, signum)
        elif launcher.is_stopped:
            raise WorkerFailedError(
                f"{handle.name}: worker {handle.pid} does not end, and the launcher (pid {launcher.pid}), which could "
                "kill it, is stopped",
                hint=f"kill -CONT {launcher.pid}; or kill -KILL {launcher.pid}, which ends all workers",
            )


async def _ends(handle: WorkerHandle, within_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(handle.exited.wait(), within_s)
    return handle.exited.is_set()
