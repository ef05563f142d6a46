"""What is known of all contexts."""

from typing import Any

import pytest

from damond.cli.watching.contexts import STALE_S, Contexts, hint_of, stale_after_s
from damond.stream.wire import Event
from tests.cli.watching.making import moving, snapshot

STATUS = {
    "host": "vm",
    "contexts": [
        {"name": "web", "state": "running", "reason": "", "primitive": "vaddr", "healthy": True, "hint": ""},
        {
            "name": "bad",
            "state": "failed",
            "reason": "it broke",
            "primitive": "vaddr",
            "error": {"code": "x", "message": "bad: it broke badly", "hint": "mend it"},
            "hint": "mend it",
        },
        {"name": "off", "state": "stopped", "reason": "never started", "primitive": "synthetic", "hint": "start it"},
    ],
}


class World:
    """A clock, and when snapshots came."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.arrived: dict[str, float] = {}
        self.contexts = Contexts(self.arrived.get, lambda: self.now_s)
        self.contexts.take_status(STATUS)

    def condition(self, name: str) -> str:
        return self.contexts.condition(self.contexts.rows[name])


@pytest.fixture
def world() -> World:
    return World()


def test_what_the_service_says(world: World) -> None:
    """States by name, why, and what would help."""
    assert [world.condition(name) for name in ("web", "bad", "off")] == ["no data", "failed", "stopped"]
    assert world.contexts.rows["bad"].reason == "bad: it broke badly"
    hints = {name: hint_of(row) for name, row in world.contexts.rows.items()}
    assert hints == {"web": "", "bad": "mend it", "off": "start it"}


@pytest.mark.parametrize(
    ("change", "silent_s", "condition"),
    [
        ({}, 0.1, "running"),
        ({}, STALE_S + 0.2, "running"),
        ({}, STALE_S + 0.4, "stale"),
        ({"healthy": False}, 0.1, "late"),
        ({"paused": True}, 60.0, "paused"),
        ({"waits": True}, 60.0, "waiting"),
        ({"state": "backoff"}, 0.1, "restarting"),
        ({"state": "something new"}, 0.1, "something new"),
    ],
    ids=[
        "running",
        "three windows may pass",
        "stale",
        "late",
        "paused is not stale",
        "nobody to watch",
        "back-off",
        "unknown state",
    ],
)
def test_conditions(world: World, change: dict[str, Any], silent_s: float, condition: str) -> None:
    """A context is judged by its own windows, of a tenth of a second here."""
    row = world.contexts.rows["web"]
    row.take(moving(0))
    for name, value in change.items():
        setattr(row, name, value)
    world.arrived["web"] = world.now_s - silent_s
    assert world.condition("web") == condition


def test_nothing_is_up_to_date_without_a_service(world: World) -> None:
    """Whatever the last word about it was: what is shown is old."""
    world.arrived["web"] = world.now_s
    world.contexts.gone = True
    assert world.condition("web") == "stale"


def test_long_windows_take_long() -> None:
    """Windows of 100 ms may be missing for 0.3 s and what a busy viewer takes."""
    assert stale_after_s(moving(0)) == pytest.approx(STALE_S + 0.3)
    assert stale_after_s(None) == STALE_S


@pytest.mark.parametrize(
    ("event", "condition"),
    [
        ("starting", "starting"),
        ("started", "running"),
        ("restarting", "restarting"),
        ("stopping", "stopping"),
        ("stopped", "stopped"),
        ("failed", "failed"),
        ("paused", "paused"),
        ("resumed", "running"),
        ("attrs_changed", "running"),
    ],
)
def test_events_come_earlier_than_answers(world: World, event: str, condition: str) -> None:
    """They change the state, with the reason; one that tells of something else changes none."""
    world.arrived["web"] = world.now_s
    world.contexts.take_event(Event(context="web", time_ns=0, event=event, reason="why", details={"hint": "do"}))
    assert world.condition("web") == condition
    row = world.contexts.rows["web"]
    changes_state = event not in ("attrs_changed", "paused", "resumed")
    assert (row.reason, row.hint) == (("why", "do") if changes_state else ("", ""))


def test_a_context_that_is_new(world: World) -> None:
    """One that only an event told of is known; one that is no more is called removed."""
    world.contexts.take_event(Event(context="new", time_ns=0, event="starting"))
    assert world.condition("new") == "starting"
    world.contexts.take_status(STATUS)
    assert world.condition("new") == "removed"


def test_losses_add_up(world: World) -> None:
    """Of every snapshot that was taken."""
    row = world.contexts.rows["web"]
    for number in (3, 9):
        row.take(snapshot(number, [(0, 1, 0, 0)], missed=number))
    assert row.missed == 12
