"""Whole screens, character by character: what a reader sees of data of which every number is known."""

import asyncio
import re
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from damond.cli.watching.app import WatchApp
from damond.cli.watching.contexts import Contexts
from damond.cli.watching.shown import Shown
from damond.cli.watching.view import View
from tests.cli.watching.conftest import Driver
from tests.cli.watching.making import moving

SCREENS = Path(__file__).parent / "screens"
NR_WINDOWS = 400


class Recorded:
    """In the place of a service: two contexts that deliver, one that failed and one that was never started."""

    unreadable = 0

    def __init__(self) -> None:
        self.contexts = Contexts(lambda name: 0.0 if name in ("db", "web") else None, lambda: 0.0)
        self._shown = Shown("web")

    async def ask(self, shown: Shown | None) -> float:
        row = {"reason": "", "primitive": "synthetic", "state": "running", "hint": ""}
        why = "there is no process 4194304"
        bad = {**row, "name": "gone", "state": "failed", "error": {"message": why}, "hint": "give another pid"}
        off = {
            **row,
            "name": "never",
            "state": "stopped",
            "reason": "never started",
            "hint": "'damond start never' starts it",
        }
        self.contexts.take_status({"host": "vm", "contexts": [{**row, "name": "db"}, bad, off, {**row, "name": "web"}]})
        for name in ("db", "web"):
            self.contexts.rows[name].take(moving(NR_WINDOWS - 1, name))
        return 60.0

    def first(self, wanted: str | None) -> str | None:
        return wanted

    def choose(self, view: View, name: str) -> None:
        if name == "web":
            self._shown.add(map(moving, range(NR_WINDOWS)))
            while self._shown.digest():
                pass
        view.choose(self._shown if name == "web" else Shown(name))

    async def fetch_past(self, shown: Shown) -> None:
        pass

    def collect(self, shown: Shown | None) -> None:
        pass

    def read_others(self, shown: Shown | None) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._shown.close()


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Time is that of Greenwich, and the terminal knows no colours."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setenv("NO_COLOR", "1")
    with Recorded() as made:
        yield made
    monkeypatch.undo()
    time.tzset()


def screen(recorded: Any, name: str, size: tuple[int, int], *keys: str, until: str = "IDLE|REGIONS|hint") -> list[str]:
    found: list[str] = []

    async def go() -> None:
        app = WatchApp(recorded, name)
        async with app.run_test(size=size) as pilot:
            view = Driver(app, pilot)
            await view.press(*keys)
            await view.until(lambda: re.search(until, view.text))
            found.extend(re.sub(r"this view +\d+ %", "this view N %", line).rstrip() for line in view.lines)

    asyncio.run(go())
    return found


@pytest.mark.parametrize(
    ("file", "name", "size", "keys"),
    [
        ("80x24", "web", (80, 24), ()),
        ("120x40", "web", (120, 40), ()),
        ("80x24-failed", "gone", (80, 24), ()),
        ("80x24-contexts", "web", (80, 24), ("2",)),
        ("80x24-idle", "web", (80, 24), ("5",)),
        ("80x24-regions", "web", (80, 24), ("4",)),
    ],
    ids=["80x24", "120x40", "a context that failed", "contexts alone", "idle times alone", "regions alone"],
)
def test_a_screen(recorded: Any, file: str, name: str, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    """It is as it was when it was last looked at; a change that is meant is copied into the file."""
    until = "skipped +primitive" if "2" in keys else "IDLE|REGIONS by|hint"
    found = screen(recorded, name, size, *keys, until=until)
    path = SCREENS / f"{file}.txt"
    assert found == path.read_text().split("\n")[:-1], "\n".join(found)
