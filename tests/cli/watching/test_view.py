"""What the reader has chosen."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from damond.cli.watching.contexts import Contexts
from damond.cli.watching.shown import Shown
from damond.cli.watching.view import COLUMNS_NS, View
from damond.core import AddrRange, Snapshot
from tests.cli.watching.making import MIB, moving, target, with_targets


@pytest.fixture
def view() -> Iterator[View]:
    made = View(Contexts({}.get))
    with Shown("web") as shown:
        made.choose(shown)
        yield made


def show(view: View, found: Snapshot) -> None:
    assert view.shown is not None
    view.shown.add([found])
    view.shown.digest()


def test_the_most_accessed_target_first_then_the_others(view: View) -> None:
    """The choice stays when another becomes hotter, until its target is no more."""
    cold, hot = target([(0, 100, 1, 0)], 1), target([(0, 100, 9, 0)], 2)
    show(view, with_targets(moving(0), cold, hot))
    assert view.target is not None
    assert view.target.id == 2
    show(view, with_targets(moving(1), replace(hot, id=1), replace(cold, id=2)))
    assert view.target.id == 2
    view.next_target()
    assert view.target.id == 1
    show(view, with_targets(moving(2), replace(hot, id=3)))
    assert view.target.id == 3


def test_columns_are_no_shorter_than_windows(view: View) -> None:
    """Half a second, or what an aggregation takes; then by choice, within bounds."""
    show(view, moving(0))
    assert view.column_ns == 500_000_000
    view.scale_time(-9)
    assert view.column_ns == 100_000_000
    view.scale_time(99)
    assert view.column_ns == COLUMNS_NS[-1]
    show(view, replace(moving(1), aggr_us=3_000_000))
    view.scale_time(-99)
    assert view.column_ns == 5_000_000_000


def test_columns_do_not_follow_every_change_of_an_interval(view: View) -> None:
    """Tuned intervals go up and down: a column that is not much too long stays, one that is too short never does."""
    found = []
    for number, aggr_us in enumerate((900_000, 1_100_000, 900_000, 600_000, 400_000, 1_900_000)):
        show(view, replace(moving(number), aggr_us=aggr_us))
        found.append(view.column_ns // 10**8)
    assert found == [10, 20, 20, 20, 5, 20]


def test_zooming_in_and_out_comes_back(view: View) -> None:
    """To a region with its surroundings, to the middle of that, and out until everything is there."""
    show(view, moving(0))
    view.zoom_in(AddrRange(64 * MIB, 128 * MIB))
    assert view.zoom == AddrRange(32 * MIB, 160 * MIB)
    view.zoom_in(AddrRange(0, 1))
    assert view.zoom == AddrRange(64 * MIB, 128 * MIB)
    view.zoom_out()
    view.zoom_out()
    assert view.zoom == AddrRange(0, 224 * MIB)
    for _ in range(3):
        view.zoom_out()
    assert view.zoom is None


def test_zoom_has_an_end(view: View) -> None:
    """Pages are not cut."""
    show(view, moving(0))
    for _ in range(99):
        view.zoom_in(AddrRange(64 * MIB, 128 * MIB))
    assert view.zoom is not None
    assert view.zoom.size >= 4096


def test_frozen(view: View) -> None:
    """The moment stays while others come, and is given up for another context."""
    show(view, moving(0))
    view.freeze()
    show(view, moving(1))
    assert view.moment is not None
    assert view.moment.snapshot.end_ns == moving(0).end_ns
    view.freeze()
    assert view.moment.snapshot.end_ns == moving(1).end_ns
    view.freeze()
    with Shown("db") as other:
        view.choose(other)
        assert (view.frozen, view.moment) == (None, None)
