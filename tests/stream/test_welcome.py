"""The welcome on the wire: a contract with other people's programs."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.errors import ProtocolError
from damond.stream import welcome
from damond.stream.welcome import Welcome

FIRST = Welcome(version="0.1", host="host1", pid=4242, started_ns=1_700_000_000_000_000_000, queue=256)


def test_golden_bytes() -> None:
    """One frame: the topic, a zero byte, and a msgpack map with these keys in any order."""
    frame = welcome.encode(FIRST)
    topic, _, body = frame.partition(b"\0")
    assert topic == b"welcome.damon.v1"
    assert msgpack.unpackb(body) == {
        "schema": 1,
        "version": "0.1",
        "host": "host1",
        "pid": 4242,
        "started_ns": 1_700_000_000_000_000_000,
        "queue": 256,
        "kinds": ["snapshot", "summary", "event"],
    }
    assert frame == bytes.fromhex(
        "77656c636f6d652e64616d6f6e2e763100"  # welcome.damon.v1, zero
        "87a6736368656d6101"  # a map of 7: schema 1
        "a776657273696f6ea3302e31"  # version "0.1"
        "a4686f7374a5686f737431"  # host "host1"
        "a3706964cd1092"  # pid 4242
        "aa737461727465645f6e73cf17979cfe362a0000"  # started_ns
        "a57175657565cd0100"  # queue 256
        "a56b696e647393a8736e617073686f74a773756d6d617279a56576656e74"  # kinds
    )
    assert welcome.decode(frame) == FIRST


def test_more_is_ignored() -> None:
    """A newer supervisor may say more."""
    topic, _, body = welcome.encode(FIRST).partition(b"\0")
    more = msgpack.packb({**msgpack.unpackb(body), "colour": "red"})
    assert welcome.decode(topic + b"\0" + more) == FIRST


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(msgpack.packb([1]), id="no map"),
        pytest.param(msgpack.packb({"schema": 2}), id="other schema"),
        pytest.param(msgpack.packb({"schema": 1, "host": "h"}), id="keys missing"),
    ],
)
def test_malformed(body: bytes) -> None:
    """What can't be read is refused as such."""
    with pytest.raises(ProtocolError):
        welcome.decode(welcome.TOPIC + b"\0" + body)


@given(raw=st.binary(max_size=64))
def test_garbage(raw: bytes) -> None:
    """Any bytes are refused by the same error, and nothing else."""
    with pytest.raises(ProtocolError):
        welcome.decode(welcome.TOPIC + b"\0" + raw)
