"""The application: a page, its files, and one WebSocket for each browser."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from damond.web.guard import Access, Guard
from damond.web.live import Live
from damond.web.page import Page

_STATIC: Final = Path(__file__).parent / "static"


async def _index(_: Request) -> Response:
    return FileResponse(_STATIC / "index.html")


def make_app(directory: Path, access: Access, record: Path | None = None) -> ASGIApp:
    """Make the application.

    Args:
        directory: The runtime directory of the service to show.
        access: Who is let in.
        record: What the service has recorded, to look back in time.
    """
    live = Live(directory, record)

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
            WebSocketRoute("/live", Page(live).serve),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        lifespan=lifespan,
    )
    return Guard(app, access)
