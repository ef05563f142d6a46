"""What a running service has, read once for all browsers."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from damond.client import Client, Snapshot, Summary, subscribe
from damond.errors import DamondError, ProtocolError
from damond.web import past
from damond.web.watched import Watched

_log = logging.getLogger(__name__)

STATUS_EVERY_S: Final = 2.0
"""How often the table of contexts is renewed while anybody looks."""

_SPARK: Final = 60
"""Points of the working set that the table keeps of every context: two minutes."""

_REPLAYED: Final = 1200
"""Snapshots fetched from the service's replay buffer when a context is looked at: two minutes at 10 Hz."""


@dataclass(slots=True, eq=False)
class _Reading:
    """One context that somebody looks at.

    Attributes:
        watched: What is known of it.
        viewers: How many look.
        task: Reads the stream.
    """

    watched: Watched = field(default_factory=Watched)
    viewers: int = 0
    task: asyncio.Task[None] | None = None


class Live:
    """The service as this page sees it: a status for the table, a stream for each context that is looked at.

    Args:
        directory: The runtime directory of the service.
        record: What it has recorded; None if it is not to be shown.

    Attributes:
        status: What the service last said of itself, or None.
        trouble: Why there is no service; empty while there is.
        record: As given.
        recorded: Context -> from when to when there is a record of it, see :func:`damond.web.past.recorded`.
        status_seq: Counts the answers, so that nobody draws one twice.
    """

    def __init__(self, directory: Path, record: Path | None = None) -> None:
        self.record = record
        self.recorded: dict[str, dict[str, float]] = {}
        self.status: dict[str, Any] | None = None
        self.trouble = ""
        self.status_seq = 0
        self._directory = directory
        self._readings: dict[str, _Reading] = {}
        self._sparks: dict[str, deque[int]] = {}
        self._browsers = 0
        self._wanted = asyncio.Event()
        self._changed = asyncio.Condition()

    async def run(self) -> None:
        """Renew the status while anybody looks, until cancelled."""
        while True:
            await self._wanted.wait()
            await self._ask()
            await self.tell()
            await asyncio.sleep(STATUS_EVERY_S)

    async def _ask(self) -> None:
        self.status_seq += 1
        try:
            if self.record is not None:
                self.recorded = await asyncio.to_thread(past.recorded, self.record)
            self.status = await asyncio.to_thread(self._fetch_status)
            self.trouble = ""
        except DamondError as error:
            self.trouble = str(error)
            return
        for each in self.status["contexts"]:
            newest = each.get("newest")
            if newest and each["state"] == "running":
                self._sparks.setdefault(each["name"], deque(maxlen=_SPARK)).append(newest["accessed_bytes"])

    def _fetch_status(self) -> dict[str, Any]:
        with Client(self._directory) as client:
            return client.status()

    def spark(self, name: str) -> list[int]:
        """List the working sets that the table has seen of a context. Bytes."""
        return list(self._sparks.get(name, ()))

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[None]:
        """Count a browser: without any, nothing is asked."""
        self._browsers += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._browsers -= 1
            if not self._browsers:
                self._wanted.clear()

    @asynccontextmanager
    async def watching(self, name: str) -> AsyncIterator[Watched]:
        """Read a context's stream while at least one looks at it."""
        reading = self._readings.setdefault(name, _Reading())
        reading.viewers += 1
        if reading.task is None:
            reading.task = asyncio.create_task(self._read(name, reading.watched))
        try:
            yield reading.watched
        finally:
            reading.viewers -= 1
            if not reading.viewers:
                self._readings.pop(name)
                reading.task.cancel()
                await asyncio.gather(reading.task, return_exceptions=True)

    async def _read(self, name: str, watched: Watched) -> None:
        """Take what is kept, then what comes; begin again when the service comes back."""
        while True:
            try:
                await self._read_on(name, watched)
            except ProtocolError as error:
                _log.warning("%s: %s", name, error)
            except DamondError:
                await self.changed(STATUS_EVERY_S)

    async def _read_on(self, name: str, watched: Watched) -> None:
        stream = aiter(subscribe(name, kinds=("snapshot", "summary"), runtime_dir=self._directory))
        coming = asyncio.ensure_future(anext(stream))  # connected first, so that no gap is between
        try:
            for each in await asyncio.to_thread(self._kept, name):
                watched.add(each)
            while True:
                watched.add(await coming)
                await self.tell()
                coming = asyncio.ensure_future(anext(stream))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await stream.aclose()

    def _kept(self, name: str) -> list[Snapshot | Summary]:
        with Client(self._directory) as client:
            newest, summary = client.snapshot(name), client.snapshot(name, "summary")
            if not isinstance(newest, Snapshot) or newest.origin is None:
                return []
            kept = client.replay(name, newest.origin.epoch, max(0, newest.origin.seq - _REPLAYED))
            return [each for each in (*kept, summary) if isinstance(each, Snapshot | Summary)]

    async def changed(self, timeout_s: float) -> None:
        """Wait until there is something new to show, but no longer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait()

    async def tell(self) -> None:
        """Wake whoever waits for something new to show."""
        async with self._changed:
            self._changed.notify_all()
