"""One browser: what it wants to see, and what it is sent."""

import asyncio
import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from damond.core.context import check_name
from damond.errors import DamondError
from damond.web import overview, past, view
from damond.web.live import Live
from damond.web.watched import Watched

_EVERY_S: Final = 0.25
"""Least time between two pictures: four a second are motion enough, and bounded work."""
_AT_LEAST_EVERY_S: Final = 2.0
_SPANS_S: Final = (30, 120, 600, 3600, 6 * 3600)
"""How far back a live picture may go. Seconds."""
_MAX_BROWSERS: Final = 32
_TRY_AGAIN_LATER: Final = 1013
"""Close code of a WebSocket (IANA registry)."""
_LATEST_MS: Final = 2**63 / 1_000_000


@dataclass(slots=True)
class Wish:
    """What one browser wants to see.

    Attributes:
        context: Name of a context; None until it has chosen.
        target: One of its targets; None is the first.
        everything: Draw all addresses instead of the hottest.
        span_s: How far back the live picture goes. Seconds.
        past_ms: A span of the record instead: Unix time, milliseconds.
    """

    context: str | None = None
    target: int | None = None
    everything: bool = False
    span_s: float = 120.0
    past_ms: tuple[float, float] | None = None

    def take(self, request: Mapping[str, Any]) -> None:
        """Take what a page asks for.

        Raises:
            InvalidNameError: The name can't be a context's.
        """
        if isinstance(request.get("context"), str):
            self.context = check_name(request["context"])
        self.target = request["target"] if isinstance(request.get("target"), int) else None
        self.everything = bool(request.get("everything", self.everything))
        if request.get("span_s") in _SPANS_S:
            self.span_s = float(request["span_s"])
        from_ms, to_ms = _time(request.get("from_ms")), _time(request.get("to_ms"))
        self.past_ms = None if from_ms is None or to_ms is None else (from_ms, to_ms)


def _time(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        return None
    return min(max(0.0, float(given)), _LATEST_MS)


class Page:
    """Serves the browsers of one application.

    Args:
        live: The service that they look at.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._nr_browsers = 0
        self._one_at_a_time = asyncio.Semaphore(1)  # pictures of a record may take seconds of CPU

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one browser until it goes."""
        await websocket.accept()
        if self._nr_browsers >= _MAX_BROWSERS:
            await websocket.close(_TRY_AGAIN_LATER, f"more than {_MAX_BROWSERS} browsers look already")
            return
        self._nr_browsers += 1
        wish, wished = Wish(), asyncio.Event()
        tasks = [
            asyncio.create_task(self._listen(websocket, wish, wished)),
            asyncio.create_task(self._show(websocket, wish, wished)),
        ]
        try:
            async with self._live.browser():
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._nr_browsers -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            with contextlib.suppress(WebSocketDisconnect, asyncio.CancelledError):
                task.result()

    async def _show(self, websocket: WebSocket, wish: Wish, wished: asyncio.Event) -> None:
        told: object = None
        while True:
            wished.clear()
            async with contextlib.AsyncExitStack() as stack:
                watched = await stack.enter_async_context(self._live.watching(wish.context)) if wish.context else None
                is_drawn = False
                while not wished.is_set():
                    if told != (told := (self._live.status_seq, wish.context)):
                        await _send(websocket, overview.table(self._live))
                    if watched is not None and not is_drawn:
                        await _send(websocket, await self._picture(wish, watched))
                        is_drawn = wish.past_ms is not None
                    await asyncio.sleep(_EVERY_S)
                    await self._live.changed(_AT_LEAST_EVERY_S)

    async def _picture(self, wish: Wish, watched: Watched) -> dict[str, Any]:
        name = wish.context or ""
        if wish.past_ms is None:
            return view.live_view(name, watched, target_id=wish.target, span_s=wish.span_s, everything=wish.everything)
        if self._live.record is None:
            return {"kind": "view", "context": name, "newest": None, "why": "nothing is recorded"}
        async with self._one_at_a_time:
            return await asyncio.to_thread(
                past.past_view,
                self._live.record,
                name,
                wish.past_ms,
                target_id=wish.target,
                everything=wish.everything,
            )

    async def _listen(self, websocket: WebSocket, wish: Wish, wished: asyncio.Event) -> None:
        while True:
            text = await websocket.receive_text()
            try:
                request = json.loads(text)
                wish.take(request if isinstance(request, dict) else {})
            except (ValueError, DamondError) as error:
                await _send(websocket, {"kind": "refused", "reason": str(error)})
                continue
            wished.set()
            await self._live.tell()


async def _send(websocket: WebSocket, message: Mapping[str, Any]) -> None:
    await websocket.send_text(json.dumps(message, separators=(",", ":")))
