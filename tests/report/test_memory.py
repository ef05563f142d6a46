from typing import Any

from damond.record import MemoryAt
from damond.report.memory import memory_of
from damond.report.source import of_snapshots
from damond.report.subject import Subject
from tests.report.synthetic import EPOCH_NS, MIB, monitor

S = 1_000_000_000


def subject(*rows: tuple[int, int, int], **more: Any) -> Subject:
    """Make a subject of 20 s; rows are second, target, RSS in MiB."""
    given = {"pss_bytes": None, "limit_bytes": None, **more}
    memory = [
        MemoryAt(
            time_ns=EPOCH_NS + at * S,
            pid=target,
            target_id=target,
            vsz_bytes=2 * rss * MIB,
            rss_bytes=rss * MIB,
            **given,
        )
        for at, target, rss in rows
    ]
    return of_snapshots(monitor({"size": 4 * MIB}, 20).snapshots, memory=memory)


def test_targets_are_added_up() -> None:
    """Two processes at different times: what both had last counts."""
    found = memory_of(subject((0, 1, 10), (1, 2, 100), (5, 1, 20), (6, 2, 200), (10, 1, 30), (11, 2, 300)))
    assert found.rss is not None
    assert (found.rss.newest, found.rss.greatest, found.rss.least) == (300 * MIB, 330 * MIB, 10 * MIB)


def test_a_process_that_ended_holds_nothing() -> None:
    """Three intervals after it was last seen, a process does not count any more."""
    rows = [(at, 1, 10) for at in range(20)]
    found = memory_of(subject((0, 2, 500), (1, 2, 500), *rows))
    assert found.rss is not None
    assert found.rss.newest == 10 * MIB
    assert found.rss.median == 10 * MIB


def test_limits_that_differ_are_no_limit() -> None:
    """One limit for all targets is told, two are not."""
    assert memory_of(subject((0, 1, 10), (0, 2, 10), limit_bytes=MIB)).limit_bytes == MIB
    assert memory_of(subject((0, 1, 10))).limit_bytes is None


def test_nothing_known_is_nothing() -> None:
    """Without a look at the processes there is no figure, and no 0."""
    found = memory_of(subject())
    assert (found.rss, found.vsz, found.pss, found.limit_bytes) == (None, None, None, None)
