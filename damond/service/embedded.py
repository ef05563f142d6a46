"""A supervisor inside another program: its own thread, its own private runtime directory."""

import asyncio
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from damond.plugin import Registry
from damond.service.runtime_dir import RuntimeDir
from damond.service.spec import ContextSpec
from damond.service.supervisor import Supervisor
from damond.stream.endpoints import Endpoints

_T = TypeVar("_T")


class EmbeddedSupervisor:
    """Blocking calls on a :class:`Supervisor` that runs in a thread of this process.

    Attributes:
        endpoints: Where its stream is.
    """

    def __init__(self, registry: Registry | None = None, *, on_stderr: Callable[[bytes], object] | None = None) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="damond-")
        self.endpoints = Endpoints(Path(self._directory.name))
        self._registry = registry or Registry()
        self._on_stderr = on_stderr
        self._opened = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(),), name="damond-supervisor", daemon=True
        )
        self._thread.start()
        self._opened.wait()
        if self._failure is not None:
            raise self._failure

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        try:
            with RuntimeDir(self.endpoints.directory) as runtime:
                # As a kdamond: what died stays dead, and whoever started it is told.
                supervisor = Supervisor(
                    runtime, self._registry, on_stderr=self._on_stderr, restarts=False, trusting=True
                )
                self._supervisor = supervisor
                async with supervisor:
                    self._opened.set()
                    await self._closing.wait()
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._opened.set()

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def start(self, specs: Sequence[ContextSpec], *, exclusive: bool = False) -> None:
        """As :meth:`Supervisor.start`."""
        self._run(self._supervisor.start(specs, exclusive=exclusive))

    def stop(self, names: Sequence[str]) -> None:
        """As :meth:`Supervisor.stop`."""
        self._run(self._supervisor.stop(names))

    def status(self) -> dict[str, Any]:
        """As :meth:`Supervisor.status`."""

        async def ask() -> dict[str, Any]:
            return self._supervisor.status()

        return self._run(ask())

    @property
    def nr_running(self) -> int:
        """Contexts that run."""
        return self._supervisor.nr_running

    def close(self) -> None:
        """Stop everything and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
        self._directory.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
