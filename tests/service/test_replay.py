"""What the hub keeps of the stream, and that it keeps no more."""

import sys

from damond.service.replay import Replay
from damond.stream import wire


def frames(context: str, seq: int, size: int = 1000, epoch: int = 1) -> list[bytes]:
    return [wire.topic(context, "snapshot"), wire.header(epoch, seq), bytes(size)]


def test_the_oldest_go_first_and_memory_is_bounded() -> None:
    """What is held never exceeds the limit, counted as Python holds it, and the newest are there."""
    replay = Replay(limit_sz=20_000)
    for seq in range(100):
        replay.add(frames("a", seq))
        assert replay.held_sz <= 20_000
    found = replay.find("a", 1, 0)
    each_sz = sys.getsizeof(found[0]) + sum(map(sys.getsizeof, found[0]))
    assert replay.held_sz == len(found) * each_sz
    assert len(found) == 20_000 // each_sz
    assert [wire.parse_header(each[1])[1] for each in found] == list(range(100 - len(found), 100))
    assert replay.describe() == {"snapshots": len(found), "bytes": replay.held_sz, "limit_bytes": 20_000}


def test_one_worker_from_a_number_on() -> None:
    """Neither another context's, nor another worker's of the same context, nor what came before."""
    replay = Replay()
    for each in (frames("a", 0), frames("b", 1), frames("a", 1), frames("a", 2, epoch=2), frames("a", 2)):
        replay.add(each)
    assert [wire.parse_header(each[1]) for each in replay.find("a", 1, 1)] == [(1, 1), (1, 2)]
    assert replay.find("a", 3, 0) == []


def test_one_that_is_larger_than_all() -> None:
    """A snapshot that does not fit is not kept, and takes the others with it: their number is in order."""
    replay = Replay(limit_sz=5_000)
    replay.add(frames("a", 0))
    replay.add(frames("a", 1, size=10_000))
    assert (len(replay), replay.held_sz) == (0, 0)
