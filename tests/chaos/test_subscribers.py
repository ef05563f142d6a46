"""Subscribers that never read, that are many, or that come and go: they cost the others nothing."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Final

import psutil
import pytest
import zmq

from damond.core import Snapshot
from damond.stream import wire
from tests.chaos.conftest import STEADY
from tests.chaos.rig import FULL, LIMIT_S, Served, Witness, synthetic, wait

NR_SUBSCRIBERS: Final = 200
NR_CONNECTIONS: Final = 10_000 if FULL else 500


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"), "".join(map(synthetic, STEADY)))
    yield made
    try:
        made.end()
    finally:
        made.abandon()


@pytest.fixture
def steady(served: Served) -> Iterator[Witness]:
    """See that another subscriber loses nothing."""
    with served.witness() as witness:
        witness.wait_for_snapshots(1, *STEADY)
        yield witness
        witness.wait_for_snapshots(2, *STEADY)
        assert witness.lost(*STEADY) == []
    drops = served.status()["drops"]
    assert ({name: drops["missed"].get(name, 0) for name in STEADY}) == dict.fromkeys(STEADY, 0)
    assert (drops["malformed"], drops["log"]) == (0, 0)


@pytest.fixture
def context() -> Iterator["zmq.Context[zmq.Socket[bytes]]"]:
    made: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made.max_sockets = 4096
    yield made
    made.destroy(linger=0)


def subscriber(context: "zmq.Context[zmq.Socket[bytes]]", served: Served) -> "zmq.Socket[bytes]":
    sub = context.socket(zmq.SUB)
    sub.setsockopt(zmq.LINGER, 0)
    sub.setsockopt(zmq.SUBSCRIBE, b"damon.")
    sub.connect(f"ipc://{served.run}/stream")
    return sub


def test_never_reads(served: Served, steady: Witness, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    """Who never reads loses the newest, as seq shows, and holds a bounded number of messages in the supervisor."""
    with served.client() as client, ExitStack() as stack:
        # 1 ms and many regions: snapshots that are large fill every queue on the way within a second or two.
        fast = {"primitive": "synthetic", "sample_interval": "1ms", "aggr_interval": "1ms", "min_nr_regions": 500}
        client.start(contexts={"fast": fast})
        stack.callback(client.stop, "fast")
        deaf = stack.enter_context(context.socket(zmq.SUB))
        deaf.setsockopt(zmq.LINGER, 0)
        deaf.setsockopt(zmq.RCVHWM, 1)
        deaf.setsockopt(zmq.SUBSCRIBE, wire.topic("fast", "snapshot"))
        deaf.connect(f"ipc://{served.run}/stream")
        assert deaf.poll(int(LIMIT_S * 1000))
        memory = psutil.Process(served.process.pid).memory_info().rss
        with served.witness("fast") as witness:
            witness.wait_for_snapshots(1000, "fast")
        # 32 MiB of snapshots are kept for replay, whoever reads (hub.py).
        assert psutil.Process(served.process.pid).memory_info().rss - memory < 48 << 20
        seqs: list[int] = []
        while not gaps(seqs):
            assert deaf.poll(int(LIMIT_S * 1000)), len(seqs)
            seqs.append(wire.parse_header(deaf.recv_multipart()[1])[1])
    assert served.row("fast")["restarts"] == 0


def gaps(seqs: list[int]) -> list[int]:
    return [after for before, after in pairwise(seqs) if after != before + 1]


def test_two_hundred(served: Served, steady: Witness, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    """200 subscribers get every message; afterwards the supervisor has no descriptor of theirs any more."""
    mine = psutil.Process(served.process.pid)
    subs = [subscriber(context, served) for _ in range(NR_SUBSCRIBERS)]
    for sub in subs:
        seqs: list[int] = []
        while len(seqs) < 5:
            assert sub.poll(int(LIMIT_S * 1000))
            frames = sub.recv_multipart()
            if frames[0] == wire.topic("steady0", "snapshot"):
                seqs.append(wire.parse_header(frames[1])[1])
        assert gaps(seqs) == []
    most = mine.num_fds()
    for sub in subs:
        sub.close()
    wait(lambda: mine.num_fds() <= most - NR_SUBSCRIBERS, lambda: (mine.num_fds(), most))


@pytest.mark.timeout(600 if FULL else 120)
def test_come_and_go(served: Served, steady: Witness, context: "zmq.Context[zmq.Socket[bytes]]") -> None:
    """Subscribers that come and go, at any moment of their connection, leave nothing behind."""
    mine = psutil.Process(served.process.pid)
    before = mine.num_fds()
    for number in range(NR_CONNECTIONS):
        sub = subscriber(context, served)
        if number % 10 == 0:
            assert sub.poll(int(LIMIT_S * 1000))
        sub.close()
    wait(lambda: mine.num_fds() <= before, lambda: (mine.num_fds(), before))


def test_late_joiner(served: Served, steady: Witness) -> None:
    """Who comes late gets the newest snapshot at once, and the ones before it that are still kept."""
    with served.client() as client:
        newest = client.snapshot("steady0")
        assert isinstance(newest, Snapshot)
        assert newest.origin is not None
        kept = list(client.replay("steady0", newest.origin.epoch))
    seqs = [each.origin.seq for each in kept if each.origin]
    assert newest.origin.seq in seqs
    assert gaps(seqs) == []
