"""``damond serve``: supervisor, control and signals in one asyncio loop."""

import asyncio
import logging
import signal
from collections.abc import Callable
from pathlib import Path

from damond.errors import DamondError, WorkerFailedError
from damond.plugin import Registry
from damond.service.config import Config
from damond.service.control import ControlServer
from damond.service.runtime_dir import RuntimeDir
from damond.service.spec import ContextSpec
from damond.service.supervisor import Supervisor

_log = logging.getLogger(__name__)


async def serve(config: Config, registry: Registry, directory: Path, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM, SIGINT or the verb ``shutdown``.

    Args:
        config: Contexts, and whether each starts by itself.
        registry: The primitives.
        directory: The runtime directory.
        on_ready: Called with the stream's endpoint once requests are answered and contexts have been started.

    Raises:
        RuntimeDirError: The runtime directory can't be used.
        AlreadyServedError: Another supervisor serves on it.
        WorkerFailedError: The launcher has died.
    """
    with RuntimeDir(directory) as runtime:
        async with Supervisor(runtime, registry, config.specs()) as supervisor:
            control = ControlServer(supervisor, runtime.endpoints.control)
            answering = asyncio.create_task(control.serve())
            loop = asyncio.get_running_loop()
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(signum, control.shutdown.set)
            await asyncio.gather(*(_start(supervisor, spec) for spec in config.specs(autostart_only=True)))
            on_ready(runtime.endpoints.stream)
            await _first(control.shutdown, supervisor.launcher.lost)
            answering.cancel()
            control.close()
            if supervisor.launcher.lost.is_set():
                raise WorkerFailedError("the launcher of the workers has died", hint="start the supervisor again")


async def _start(supervisor: Supervisor, spec: ContextSpec) -> None:
    """Start one context of the configuration; one that fails is reported, and the others go on."""
    try:
        await supervisor.start([spec])
    except DamondError as error:
        _log.error("%s: not started: %s", spec.name, error)


async def _first(*events: asyncio.Event) -> None:
    waiting = [asyncio.create_task(each.wait()) for each in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
