"""What the page reads of the service."""

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec
from damond.web import live

LIMIT_S = 30.0


def test_a_context_that_is_not_there_holds_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked for again and again, and each time what was opened for that is closed."""
    monkeypatch.setattr(live, "STATUS_EVERY_S", 0.01)

    async def look(directory: Path) -> tuple[int, int]:
        page, times, process = live.Live(directory), 0, psutil.Process()
        counted: list[int] = []
        kept = page._kept

        def count(name: str) -> Any:
            nonlocal times
            times += 1
            counted.append(process.num_fds())
            return kept(name)

        monkeypatch.setattr(page, "_kept", count)
        async with page.watching("gone"), asyncio.timeout(LIMIT_S):
            while times < 20:  # noqa: ASYNC110 - it has no event of its own
                await asyncio.sleep(0.01)
        return counted[4], max(counted[5:])

    with EmbeddedSupervisor() as supervisor:
        supervisor.start([ContextSpec(name="a", primitive="synthetic")])
        early, late = asyncio.run(look(supervisor.endpoints.path("stream").parent))
    assert late <= early + 10  # libzmq closes a little later
