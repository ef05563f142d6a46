"""What a worker tells of its pace."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from damond.core import Attrs, Context
from damond.service.link import Link
from damond.service.reporter import PACE_INTERVAL_NS, Reporter
from damond.stream.wire import Event, Message
from damond.units import Usec
from tests.conftest import SnapshotOf


@dataclass
class Heard:
    """In the place of the stream: keeps what is published."""

    epoch: int = 1
    messages: list[Message] = field(default_factory=list)

    def publish(self, message: Message) -> int:
        self.messages.append(message)
        return len(self.messages)

    def paces(self) -> list[tuple[str, int]]:
        """Why the sampling interval has changed, and to what."""
        events = [each for each in self.messages if isinstance(each, Event) and each.event == "attrs_changed"]
        return [(each.reason, each.details["attrs"]["sample_interval"]) for each in events]


class Paced:
    """A context whose pace changes, and what is told of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, snapshot_of: SnapshotOf) -> None:
        self._ahead_ns = 0
        self._snapshot = snapshot_of([])
        monkeypatch.setattr("damond.service.reporter.time", self)
        self.links = Link.pair()
        self.heard = Heard()
        self.ctx = Context()
        self.reporter = Reporter("one", self.heard, self.links[0])  # type: ignore[arg-type] - what it uses of a publisher

    def monotonic_ns(self) -> int:
        return time.monotonic_ns() + self._ahead_ns

    def time_ns(self) -> int:
        return time.time_ns()

    def go(self, how: Any, sample_us: int) -> None:
        """Change the sampling interval, and tell it in one way or the other."""
        old = self.ctx.attrs
        self.ctx.attrs = Attrs(sample_interval=Usec(sample_us), aggr_interval=Usec(20 * sample_us))
        how(self.ctx, old)

    def later(self) -> None:
        """Let the time pass after which a pace may be told again; then there is a snapshot."""
        self._ahead_ns += PACE_INTERVAL_NS
        self.reporter.aggregated(self._snapshot)


@pytest.fixture
def paced(monkeypatch: pytest.MonkeyPatch, snapshot_of: SnapshotOf) -> Iterator[Paced]:
    made = Paced(monkeypatch, snapshot_of)
    yield made
    for link in made.links:
        link.close()


def test_a_tune_overtakes_what_was_not_told_yet(paced: Paced) -> None:
    """What goal and budget did before a tune is not told after it: it is in force no more."""
    paced.go(paced.reporter.paced, 10_000)
    paced.go(paced.reporter.paced, 20_000)
    paced.go(paced.reporter.tuned, 1_000_000)
    paced.later()
    assert paced.heard.paces() == [("paced", 10_000), ("tuned", 1_000_000)]
    paced.go(paced.reporter.paced, 2_000_000)
    assert paced.heard.paces()[2:] == [("paced", 2_000_000)]


def test_the_last_of_many_paces_is_told(paced: Paced) -> None:
    """Of changes in short succession the first is told at once, and later the one that is in force then."""
    for sample_us in (10_000, 20_000, 40_000):
        paced.go(paced.reporter.paced, sample_us)
    paced.later()
    paced.later()
    assert paced.heard.paces() == [("paced", 10_000), ("paced", 40_000)]
    last = paced.heard.messages[[isinstance(each, Event) for each in paced.heard.messages].index(True, 1)]
    assert isinstance(last, Event)
    assert (last.details["changed"]["sample_interval"], last.details["changes"]) == ([10_000, 40_000], 2)
