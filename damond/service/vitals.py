"""What a service can't go on without: memory, and tasks and threads that only end with it; how it learns of a loss."""

import asyncio
import functools
import logging
import threading
from collections.abc import Coroutine
from typing import Any, Final

from damond.errors import ServiceFailedError

_log = logging.getLogger(__name__)

_VITAL: Final = "vital"
_RESERVE_SZ: Final = 8 << 20
"""Bytes of address space (pages that nobody touched) for an end with messages after memory has run out."""


def vital(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run something that ends by being cancelled only; that it has failed is told to the loop's exception handler."""
    task = asyncio.create_task(coroutine)
    task.add_done_callback(functools.partial(_tell, is_vital=True))
    return task


def reported(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run something that may fail by itself; told at once, too, as memory that is out there is out everywhere."""
    task = asyncio.create_task(coroutine)
    task.add_done_callback(functools.partial(_tell, is_vital=False))
    return task


def _tell(task: asyncio.Task[None], *, is_vital: bool) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        name = getattr(task.get_coro(), "__qualname__", task.get_name())
        context = {"message": f"{name} has failed", "exception": error, _VITAL: is_vital}
        task.get_loop().call_exception_handler(context)


class Vitals:
    """Takes over what the loop and threads report of exceptions that nobody caught; needs a running loop.

    All are logged. The service can't go on after a thread or a vital task has failed, nor after a ``MemoryError``
    in the loop itself: a socket whose event was lost on the way is never read again.

    Attributes:
        lost: Set once the service can't go on.
    """

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self._why = ""
        self._reserve = bytearray(_RESERVE_SZ)
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._on_exception)
        self._excepthook, threading.excepthook = threading.excepthook, self._on_thread

    def check(self) -> None:
        """Do nothing, as long as the service can go on.

        Raises:
            ServiceFailedError: It can't.
        """
        if self.lost.is_set():
            raise ServiceFailedError(
                f"the service can't go on: {self._why}", hint="the log has the traceback; start it again"
            )

    def close(self) -> None:
        """Give back what was taken over."""
        self._loop.set_exception_handler(None)
        threading.excepthook = self._excepthook

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if context.get(_VITAL) or isinstance(error, MemoryError):
            self._lose(f"{context['message']}: {type(error).__name__} {error}".rstrip())
        loop.default_exception_handler(context)  # last: where memory is out, a traceback takes more of it

    def _on_thread(self, args: threading.ExceptHookArgs) -> None:
        name = args.thread.name if args.thread else "?"
        why = f"thread {name!r} has failed: {args.exc_type.__name__} {args.exc_value}".rstrip()
        self._loop.call_soon_threadsafe(self._lose, why)
        self._excepthook(args)

    def _lose(self, why: str) -> None:
        if not self.lost.is_set():
            self._why = why
            self.lost.set()
            self._reserve.clear()
            _log.critical("the service can't go on: %s", why)
