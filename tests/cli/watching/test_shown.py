"""What is kept of a context."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from damond.cli.watching.shown import MAX_DIGESTED, MAX_PROCESSES, Shown
from tests.cli.watching.making import moving, snapshot, target, with_targets


@pytest.fixture
def shown() -> Iterator[Shown]:
    with Shown("web") as made:
        yield made


def numbers(shown: Shown) -> list[int]:
    return [round((each.start_ns - moving(0).start_ns) / 10**8) for each in shown.recent]


def test_the_past_comes_first(shown: Shown) -> None:
    """What comes while the past is fetched waits for it; what is in both is known once."""
    shown.expect_past()
    shown.add([moving(5), moving(6)])
    assert not shown.digest()
    shown.add_past([moving(number) for number in (3, 4, 5)])
    assert shown.digest()
    assert numbers(shown) == [3, 4, 5, 6]
    assert shown.last[1] == 6


def test_without_a_past_it_begins_with_what_comes(shown: Shown) -> None:
    """An answer that never came is an empty one."""
    shown.expect_past()
    shown.add([moving(5)])
    shown.add_past([])
    shown.digest()
    assert numbers(shown) == [5]


def test_coming_back_fills_the_gap(shown: Shown) -> None:
    """A context that is chosen again has what it had, and what came meanwhile."""
    shown.add([moving(0), moving(1)])
    shown.digest()
    shown.expect_past()
    shown.add([moving(4)])
    shown.add_past([moving(number) for number in (2, 3)])
    shown.digest()
    assert numbers(shown) == [0, 1, 2, 3, 4]


def test_another_worker_begins_anew(shown: Shown) -> None:
    """Its numbers start from 0 again; that is not old."""
    shown.add([moving(7), snapshot(8, [(0, 1, 0, 0)], epoch=1)])
    first = snapshot(9, [(0, 1, 0, 0)], epoch=2)
    shown.add([replace(first, origin=replace(first.origin, seq=0))])  # type: ignore[type-var]
    shown.digest()
    assert numbers(shown) == [7, 8, 9]


def test_much_is_worked_in_bit_by_bit(shown: Shown) -> None:
    """So that keys are answered in between."""
    shown.add([moving(number) for number in range(MAX_DIGESTED + 1)])
    shown.digest()
    assert len(numbers(shown)) == MAX_DIGESTED
    shown.digest()
    assert len(numbers(shown)) == MAX_DIGESTED + 1


def test_the_maps_of_another_process_are_not_used(shown: Shown) -> None:
    """A process that has nothing mapped where its target is monitored has got the pid, in another namespace say."""
    mine = with_targets(moving(0), target([(1, 2, 5, 0)], os.getpid(), os.getpid()))
    shown.add([mine])
    shown.digest()
    assert shown.moment is not None
    assert shown.moment.maps == {}
    assert shown.moment.memory.total_bytes == mine.total_bytes


def test_what_is_not_mapped_is_no_memory(shown: Shown) -> None:
    """Of a process that can be looked at, here this one: a region over all of it leaves what it has mapped."""
    everything = target([(0, 1 << 27, 5, 0)], os.getpid(), os.getpid())
    shown.add([with_targets(moving(0), everything)])
    shown.digest()
    assert shown.moment is not None
    assert os.getpid() in shown.moment.maps
    assert 0 < shown.moment.memory.total_bytes < shown.moment.snapshot.total_bytes


def test_too_many_processes_are_not_looked_at(shown: Shown) -> None:
    """Each takes an open file; numbers are those that were published then."""
    many = [target([(0, 1 << 27, 5, 0)], number, os.getpid()) for number in range(MAX_PROCESSES + 1)]
    shown.add([with_targets(moving(0), *many)])
    shown.digest()
    assert shown.moment is not None
    assert shown.moment.maps == {}
