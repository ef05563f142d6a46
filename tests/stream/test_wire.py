"""The wire format: a contract with other people's programs."""

from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import BudgetUse, Mapping, ProcessMemory, Snapshot, Summary, TargetSnapshot
from damond.errors import ProtocolError
from damond.stream import wire

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)


def snapshot(**changes: object) -> Snapshot:
    """A snapshot of two regions."""
    target = TargetSnapshot(
        7,
        4242,
        np.array([0x1000, 0x9000], np.uint64),
        np.array([0x2000, 0x1000], np.uint64),
        np.array([20, 0], np.uint32),
        np.array([3, 1], np.uint32),
        np.array([80, 20], np.uint32),
    )
    whole = Snapshot(
        context="web",
        primitive="vaddr",
        start_ns=1_000_000_000,
        end_ns=1_100_000_000,
        sample_us=5000,
        aggr_us=100_000,
        update_us=1_000_000,
        min_nr_regions=10,
        max_nr_regions=1000,
        max_nr_accesses=20,
        granularity=4096,
        checks=40,
        unknown=1,
        cpu_us=900,
        overruns=0,
        partial=False,
        targets=(target,),
    )
    return replace(whole, **changes)


SUMMARY = Summary(
    context="web",
    end_ns=5,
    total_bytes=12288,
    accessed_bytes=8192,
    bandwidth_bps=1,
    idle_ms={0: -400, 100: 200},
    nr_regions=2,
    checks_per_s=400.0,
    cpu_fraction=0.009,
)
EVENT = wire.Event(context="web", time_ns=9, event="stopped", reason="requested", details={"a": 1})


def test_golden_bytes() -> None:
    """Topic and header are these bytes, and the body is a msgpack map with these keys in any order."""
    topic, header, body = wire.encode(snapshot(), "host1", epoch=0x0102030405060708, seq=9)
    assert topic == b"damon.v1.web.snapshot"
    assert header == bytes.fromhex("0102030405060708" + "0000000000000009")
    assert msgpack.unpackb(body) == {
        "schema": 1,
        "host": "host1",
        "context": "web",
        "primitive": "vaddr",
        "start_ns": 1_000_000_000,
        "end_ns": 1_100_000_000,
        "sample_us": 5000,
        "aggr_us": 100_000,
        "update_us": 1_000_000,
        "min_nr_regions": 10,
        "max_nr_regions": 1000,
        "max_nr_accesses": 20,
        "granularity": 4096,
        "checks": 40,
        "unknown": 1,
        "cpu_us": 900,
        "overruns": 0,
        "partial": False,
        "targets": [
            {
                "id": 7,
                "pid": 4242,
                "start": [4096, 36864],
                "size": [8192, 4096],
                "nr_accesses": [20, 0],
                "age": [3, 1],
                "nr_samples": [80, 20],
            }
        ],
        "budget": None,
    }


BUDGET = BudgetUse(max_cpu=0.01, cpu=0.009, wanted_cpu=0.04, stretched=4.0, max_nr_regions=500)


def test_budget_crosses_the_wire() -> None:
    """A budget is a map of its own, with or without each bound."""
    for message in (snapshot(budget=BUDGET), replace(SUMMARY, budget=BUDGET)):
        frames = wire.encode(message, "h", 1, 1)
        assert msgpack.unpackb(frames[2])["budget"] == {
            "max_cpu": 0.01,
            "max_checks_per_s": None,
            "cpu": 0.009,
            "wanted_cpu": 0.04,
            "wanted_checks_per_s": 0.0,
            "stretched": 4.0,
            "max_nr_regions": 500,
        }
        decoded = wire.decode(frames)
        assert not isinstance(decoded, wire.Event)
        assert decoded.budget == BUDGET


def test_older_writers_are_read() -> None:
    """What writers of before do not send has a default."""
    topic, header, raw = wire.encode(snapshot(budget=BUDGET), "h", 1, 1)
    body = msgpack.unpackb(raw)
    del body["budget"], body["targets"][0]["nr_samples"]
    decoded = wire.decode([topic, header, msgpack.packb(body)])
    assert isinstance(decoded, Snapshot)
    assert decoded.budget is None
    assert decoded.targets[0].nr_samples.tolist() == [0, 0]


@pytest.mark.parametrize("message", [SUMMARY, EVENT], ids=["summary", "event"])
def test_round_trip(message: wire.Message) -> None:
    """What was encoded is decoded, with its origin."""
    decoded = wire.decode(wire.encode(message, "host1", 3, 4))
    assert decoded.origin is not None
    assert (decoded.origin.host, decoded.origin.epoch, decoded.origin.seq) == ("host1", 3, 4)
    assert replace(decoded, origin=None) == message


MEMORY = ProcessMemory(
    target_id=7,
    pid=4242,
    vsz_bytes=1 << 40,
    rss_bytes=1 << 20,
    pss_bytes=None,
    limit_bytes=1 << 30,
    mappings=(Mapping(0x1000, 0x3000, "libc.so.6"), Mapping(0x3000, 0x4000, ""), Mapping(0x8000, 0x9000, "libc.so.6")),
)


def test_memory_of_processes_survives() -> None:
    """A summary carries it, each name once; whoever knows no such key reads the rest."""
    sent = replace(SUMMARY, memory=(MEMORY, replace(MEMORY, target_id=8, mappings=())))
    frames = wire.encode(sent, "h", 1, 1)
    got = wire.decode(frames)
    assert isinstance(got, Summary)
    assert got.memory == sent.memory
    assert msgpack.unpackb(frames[2])["memory"][0]["mappings"] == {
        "start": [0x1000, 0x3000, 0x8000],
        "end": [0x3000, 0x4000, 0x9000],
        "name": [0, 1, 0],
        "names": ["libc.so.6", ""],
    }
    assert "memory" not in msgpack.unpackb(wire.encode(SUMMARY, "h", 1, 1)[2])


@given(rows=st.lists(st.tuples(U64, U64, U32, U32, U32), max_size=20), epoch=U64, seq=U64)
def test_columns_survive(rows: list[tuple[int, int, int, int, int]], epoch: int, seq: int) -> None:
    """Every column arrives with its values and type, over the whole range of each."""
    columns = [np.array([row[i] for row in rows], np.uint64 if i < 2 else np.uint32) for i in range(5)]
    sent = snapshot(targets=(TargetSnapshot(0, None, *columns),))
    got = wire.decode(wire.encode(sent, "h", epoch, seq))
    assert isinstance(got, Snapshot)
    (target,) = got.targets
    for name, column in zip(("start", "size", "nr_accesses", "age", "nr_samples"), columns, strict=True):
        arrived = getattr(target, name)
        assert arrived.dtype == column.dtype
        assert arrived.tolist() == column.tolist()


def test_unknown_keys_are_ignored() -> None:
    """A newer writer may say more."""
    topic, header, body = wire.encode(EVENT, "h", 1, 1)
    more = msgpack.packb({**msgpack.unpackb(body), "colour": "red"})
    assert wire.decode([topic, header, more]).context == "web"


GOOD = wire.encode(snapshot(), "h", 1, 1)

DESIGNED = (
    *("schema", "context", "host", "primitive", "start_ns", "end_ns", "sample_us", "aggr_us", "update_us"),
    *("min_nr_regions", "max_nr_regions", "max_nr_accesses", "granularity", "checks", "cpu_us", "overruns", "partial"),
    "targets",
)
"""What version 1 asks of a writer of snapshots; the rest may be left out."""


def test_a_writer_of_the_least() -> None:
    """A writer that sends the keys of version 1 alone is understood: what it leaves out is nothing."""
    body = {name: msgpack.unpackb(GOOD[2])[name] for name in DESIGNED}
    decoded = wire.decode([*GOOD[:2], msgpack.packb(body)])
    assert replace(decoded, origin=None) == snapshot(unknown=0, targets=decoded.targets)
    event = {"schema": 1, "context": "web", "host": "h", "time_ns": 9, "event": "stopped"}
    decoded = wire.decode([wire.topic("web", "event"), GOOD[1], msgpack.packb(event)])
    assert isinstance(decoded, wire.Event)
    assert (decoded.reason, decoded.details) == ("", {})


@pytest.mark.parametrize("name", DESIGNED)
def test_what_a_writer_must_send(name: str) -> None:
    """A key of version 1 that is missing makes it no message, and the error names the key."""
    body = {key: value for key, value in msgpack.unpackb(GOOD[2]).items() if key != name}
    with pytest.raises(ProtocolError, match=name) as caught:
        wire.decode([*GOOD[:2], msgpack.packb(body)])
    assert caught.value.hint


def changed(**changes: object) -> bytes:
    """The body of a good snapshot with some keys replaced."""
    return bytes(msgpack.packb({**msgpack.unpackb(GOOD[2]), **changes}))


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([], id="no frame"),
        pytest.param(GOOD[:2], id="two frames"),
        pytest.param([b"damon.v2.web.snapshot", *GOOD[1:]], id="other version"),
        pytest.param([b"damon.v1.web.picture", *GOOD[1:]], id="unknown kind"),
        pytest.param([b"damon.v1.w b.snapshot", *GOOD[1:]], id="bad name"),
        pytest.param([b"\xff", *GOOD[1:]], id="topic not ASCII"),
        pytest.param([GOOD[0], b"short", GOOD[2]], id="short header"),
        pytest.param([*GOOD[:2], b""], id="empty body"),
        pytest.param([*GOOD[:2], b"\xc1"], id="no msgpack"),
        pytest.param([*GOOD[:2], msgpack.packb([1])], id="no map"),
        pytest.param([*GOOD[:2], changed(schema=2)], id="other schema"),
        pytest.param([*GOOD[:2], changed(targets=3)], id="targets no list"),
        pytest.param(
            [*GOOD[:2], changed(targets=[{"id": 1, "pid": 1, "start": [1], "size": [], "nr_accesses": [], "age": []}])],
            id="columns of different length",
        ),
        pytest.param(
            [
                *GOOD[:2],
                changed(targets=[{"id": 1, "pid": 1, "start": [-1], "size": [1], "nr_accesses": [1], "age": [1]}]),
            ],
            id="negative address",
        ),
    ],
)
def test_malformed(frames: list[bytes]) -> None:
    """What is no message of version 1 is refused as such."""
    with pytest.raises(ProtocolError):
        wire.decode(frames)


def test_another_schema_says_what_to_do() -> None:
    """A newer writer is told from a broken one: the reader is to be updated."""
    with pytest.raises(ProtocolError, match=r"^schema 2 instead of 1") as caught:
        wire.decode([*GOOD[:2], changed(schema=2)])
    assert caught.value.hint == "update the reader"


@given(raw=st.lists(st.binary(max_size=64), max_size=4))
def test_garbage(raw: list[bytes]) -> None:
    """Any bytes are refused by the same error, and nothing else."""
    with pytest.raises(ProtocolError):
        wire.decode(raw)
