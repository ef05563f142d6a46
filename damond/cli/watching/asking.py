"""Questions to the service, from threads: the view goes on while it waits for an answer."""

import asyncio
from pathlib import Path
from typing import Any, Final

from damond.client import Client
from damond.core import Snapshot

ASK_EVERY_S: Final = 2.0
"""Least time between two looks at the states of all contexts: events tell most of it earlier. Seconds."""

_PER_CONTEXT_S: Final = 0.02
"""At least so much for each context: an answer about 50 takes 20 ms of the supervisor, who may spend 2 % of time so."""

_TIMEOUT_S: Final = 2.0


def ask_after_s(nr_contexts: int) -> float:
    """Tell how long to wait between two looks at the states of so many contexts. Seconds.

    How long an answer took says nothing: a service that is being restarted answers late, and costs no more for it.
    """
    return max(ASK_EVERY_S, nr_contexts * _PER_CONTEXT_S)


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
