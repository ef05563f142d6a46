"""The application: a page, its files, and one WebSocket for each browser."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from damond.core.context import check_name
from damond.errors import DamondError
from damond.web import view
from damond.web.guard import Access, Guard
from damond.web.live import Live

_log = logging.getLogger(__name__)

_STATIC: Final = Path(__file__).parent / "static"
_EVERY_S: Final = 0.25
"""Least time between two pictures: four a second are motion enough, and bounded work."""
_AT_LEAST_EVERY_S: Final = 2.0
_MAX_BROWSERS: Final = 32
_TRY_AGAIN_LATER: Final = 1013
"""Close code of a WebSocket (IANA registry)."""


@dataclass(slots=True)
class _Wish:
    """What one browser wants to see."""

    context: str | None = None
    target: int | None = None
    everything: bool = False

    def take(self, request: Mapping[str, Any]) -> None:
        """Take what a page asks for.

        Raises:
            InvalidNameError: The name can't be a context's.
        """
        if isinstance(request.get("context"), str):
            self.context = check_name(request["context"])
        self.target = request["target"] if isinstance(request.get("target"), int) else None
        self.everything = bool(request.get("everything", self.everything))


class _Page:
    """Serves the browsers of one application."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._nr_browsers = 0

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one browser until it goes."""
        await websocket.accept()
        if self._nr_browsers >= _MAX_BROWSERS:
            await websocket.close(_TRY_AGAIN_LATER, f"more than {_MAX_BROWSERS} browsers look already")
            return
        self._nr_browsers += 1
        wish, wished = _Wish(), asyncio.Event()
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

    async def _show(self, websocket: WebSocket, wish: _Wish, wished: asyncio.Event) -> None:
        told: object = None
        while True:
            wished.clear()
            async with contextlib.AsyncExitStack() as stack:
                recent = await stack.enter_async_context(self._live.watching(wish.context)) if wish.context else None
                while not wished.is_set():
                    if told != (told := (self._live.status_seq, wish.context)):
                        await _send(websocket, view.overview(self._live))
                    if recent is not None and wish.context is not None:
                        picture = view.live_view(
                            wish.context, recent, target_id=wish.target, everything=wish.everything
                        )
                        await _send(websocket, picture)
                    await asyncio.sleep(_EVERY_S)
                    await self._live.changed(_AT_LEAST_EVERY_S)

    async def _listen(self, websocket: WebSocket, wish: _Wish, wished: asyncio.Event) -> None:
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


async def _index(_: Request) -> Response:
    return FileResponse(_STATIC / "index.html")


def make_app(directory: Path, access: Access) -> ASGIApp:
    """Make the application.

    Args:
        directory: The runtime directory of the service to show.
        access: Who is let in.
    """
    live = Live(directory)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(live.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    app = Starlette(
        routes=[
            Route("/", _index),
            WebSocketRoute("/live", _Page(live).serve),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        lifespan=lifespan,
    )
    return Guard(app, access)
