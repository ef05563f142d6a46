"""Questions to the service, from threads: the view goes on while it waits for an answer."""

import asyncio
from pathlib import Path
from typing import Any, Final

from damond.client import Client
from damond.core import Snapshot

ASK_EVERY_S: Final = 2.0
"""Least time between two looks at the states of all contexts: events tell most of it earlier. Seconds."""

MAX_TIME_SHARE: Final = 0.02
"""Of the supervisor's time: an answer about 50 contexts takes 20 ms of its CPU, and is asked for less often then."""

_TIMEOUT_S: Final = 2.0


class Asking:
    """One service.

    Args:
        directory: Its runtime directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def status(self) -> dict[str, Any]:
        """Ask for all that is known.

        Raises:
            DamondError: There is no answer.
        """
        return await asyncio.to_thread(self._status)

    async def past(self, context: str, last: tuple[int, int]) -> list[Snapshot]:
        """Fetch the snapshots that the service still keeps of the worker of the moment.

        Args:
            context: Of whom.
            last: Epoch and seq of the last that is known already.

        Raises:
            DamondError: There is no answer.
        """
        return await asyncio.to_thread(self._past, context, last)

    def _status(self) -> dict[str, Any]:
        with Client(self._directory) as client:
            return dict(client.request("status", timeout_s=_TIMEOUT_S))

    def _past(self, context: str, last: tuple[int, int]) -> list[Snapshot]:
        with Client(self._directory) as client:
            newest = client.snapshot(context)
            if not isinstance(newest, Snapshot) or newest.origin is None:
                return []
            epoch, seq = newest.origin.epoch, last[1] + 1 if newest.origin.epoch == last[0] else 0
            return [each for each in client.replay(context, epoch, seq) if isinstance(each, Snapshot)]
