"""The view, driven by its keys, in front of a real service."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.pilot import Pilot

from damond.cli.watching.app import WatchApp
from damond.cli.watching.reading import Reading

LIMIT_S = 30.0


class Driver:
    """A view on a screen of some size: its text, its keys, and waiting for what is to be seen."""

    def __init__(self, app: WatchApp, pilot: Pilot[None]) -> None:
        self.app = app
        self._pilot = pilot

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without colours."""
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def panel(self, name: str) -> list[str]:
        """The lines of one panel; none if it is not there."""
        region = self.app.query_one(f"#{name}").region
        return [line[region.x : region.right].rstrip() for line in self.lines[region.y : region.bottom]]

    async def press(self, *keys: str) -> None:
        await self._pilot.press(*keys)

    async def press_at_once(self, *keys: str) -> None:
        """Press keys before the first has taken effect."""
        for key in keys:
            self._pilot.app.screen.post_message(Key(key, key if len(key) == 1 else None))
        await self._pilot.pause()

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait for a condition, with a limit; return what it found."""
        deadline_s = time.monotonic() + LIMIT_S
        while not (found := condition()):
            assert time.monotonic() < deadline_s, self.text
            await self._pilot.pause(0.05)
        return found

    async def sees(self, words: str) -> str:
        """Wait for words on the screen; return its text."""
        return str(await self.until(lambda: self.text if words in self.text else ""))

    async def resize(self, width: int, height: int) -> None:
        await self._pilot.resize_terminal(width, height)


Scenario = Callable[[Driver], Awaitable[None]]
Drive = Callable[..., None]


@pytest.fixture
def drive(monkeypatch: pytest.MonkeyPatch) -> Drive:
    """Run a scenario in front of a service, on a terminal that knows colours."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)

    def run(run_dir: Path, scenario: Scenario, *, name: str | None = None, size: tuple[int, int] = (120, 40)) -> None:
        async def go() -> None:
            with Reading(run_dir) as reading:
                app = WatchApp(reading, name)
                async with app.run_test(size=size) as pilot:
                    await scenario(Driver(app, pilot))

        asyncio.run(go())

    return run
