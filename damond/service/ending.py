"""Makes a worker end: asked, then SIGTERM, then SIGKILL."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from typing import Final

from damond.service.handle import WorkerHandle
from damond.service.launch import LauncherProcess

_log = logging.getLogger(__name__)

STOP_GRACE_S: Final = 2.0
"""What a worker may take beyond two of its sample intervals, before it is sent SIGTERM, and again before SIGKILL."""


async def make_end(
    launcher: LauncherProcess, handle: WorkerHandle, sample_interval_s: float, signals: Sequence[signal.Signals]
) -> None:
    """Wait for the end of a worker, with a signal after each grace; the wait after the last one has no limit."""
    grace_s = STOP_GRACE_S + 2 * sample_interval_s
    for signum in signals:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(handle.exited.wait(), grace_s)
            return
        _log.warning("%s: does not end; sending %s", handle.name, signum.name)
        launcher.signal(handle, signum)
    await handle.exited.wait()
