"""What a running worker is asked to do between two samples, and its answers."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any, Final

from damond.errors import DamondError, UsageError, WorkerFailedError, from_code
from damond.service.handle import WorkerHandle

REQUEST_TIMEOUT_S: Final = 5.0
"""For the answer to a request, beyond two sample intervals."""


class Requests:
    """Requests to the workers of one context, each with its answer.

    Args:
        name: Of the context.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ids = itertools.count()
        self._answers: dict[int, asyncio.Future[None]] = {}

    async def ask(self, handle: WorkerHandle, kind: str, sample_interval_s: float, **args: Any) -> None:
        """Have a worker do something; return when it is done.

        Raises:
            UsageError: The request is too large for the link.
            DamondError: It refused.
            WorkerFailedError: It did not answer, or ended.
        """
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            handle.send({"kind": kind, "id": number, **args})
            await asyncio.wait_for(answer, REQUEST_TIMEOUT_S + 2 * sample_interval_s)
        except TimeoutError:
            raise WorkerFailedError(f"{self._name}: the worker does not answer", hint="it may hang") from None
        except DamondError:
            raise
        except ValueError as error:
            raise UsageError(f"{self._name}: {error}", hint="ask for less at once") from error
        finally:
            del self._answers[number]

    def answered(self, message: Mapping[str, Any]) -> None:
        """Take an answer in."""
        answer = self._answers.get(message["id"])
        if answer is None or answer.done():
            return
        if message["error"] is None:
            answer.set_result(None)
        else:
            answer.set_exception(from_code(**message["error"]))

    def fail_all(self, how: str) -> None:
        """Take note that the worker has ended: nothing more will be answered."""
        for answer in self._answers.values():
            if not answer.done():
                ended = WorkerFailedError(f"{self._name}: the worker ended: {how}", hint="'damond status' says why")
                answer.set_exception(ended)
