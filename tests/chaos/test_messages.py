"""Random and mutated messages on every socket: each gets its answer, and changes nothing."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgpack
import psutil
import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.chaos.conftest import STEADY
from tests.chaos.rig import FULL, LIMIT_S, Served, Witness, synthetic, wait

NR_MESSAGES: Final = 100_000 if FULL else 5_000
NR_SUBSCRIPTIONS: Final = 100_000 if FULL else 5_000
WINDOW: Final = 8
"""Requests that wait for their replies at once: below what the supervisor keeps for one client (control.py)."""
ALLOWED_GROWTH: Final = 48 << 20
"""Bytes: the replay buffer (32 MiB) and what the allocator keeps after the largest requests (256 KiB each, of which 64
may be under way)."""

REQUESTS: Final[Sequence[dict[str, Any]]] = [
    {"verb": "hello"},
    {"verb": "list"},
    {"verb": "status"},
    {"verb": "plugins"},
    {"verb": "start", "args": {"names": ["nobody"]}},
    {"verb": "start", "args": {"contexts": {"x": {"primitive": "nothing", "options": {"a": [1, {"b": None}]}}}}},
    {"verb": "start", "args": {"contexts": {"a b": {"pids": [1], "sample_interval": "5 parsecs"}}, "exclusive": True}},
    {"verb": "stop", "args": {"names": ["nobody"]}},
    {"verb": "tune", "args": {"context": "nobody", "attrs": {"aggr_interval": "1s"}, "add_targets": [2**63]}},
    {"verb": "pause", "args": {"context": "nobody"}},
    {"verb": "resume", "args": {"context": "nobody"}},
    {"verb": "snapshot", "args": {"context": "steady0", "kind": "summary"}},
    {"verb": "replay", "args": {"context": "steady0", "epoch": 1, "from_seq": 0}},
]
"""Nothing that could change the service, however it is mutated: what is named does not exist."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"), "".join(map(synthetic, STEADY)))
    yield made
    try:
        made.end()
    finally:
        made.abandon()


@pytest.fixture
def unchanged(served: Served) -> Iterator[Witness]:
    """See that the same workers run as before, that they lost nothing and that no request met a defect."""
    before = facts(served)
    memory = psutil.Process(served.process.pid).memory_info().rss
    defects = served.status()["control"]["internal"]
    with served.witness() as witness:
        yield witness
        witness.wait_for_snapshots(2, *STEADY)
        assert witness.lost(*STEADY) == []
    assert facts(served) == before
    assert served.status()["control"]["internal"] == defects, served.log.read_text()
    assert psutil.Process(served.process.pid).memory_info().rss - memory < ALLOWED_GROWTH


def facts(served: Served) -> list[Any]:
    """Tell what a request must not change; what it could not start may be there as failed."""
    rows = served.status()["contexts"]
    facts = [(row["name"], row["state"], row["pid"], row["attrs"], row["paused"]) for row in rows]
    return [each for each in facts if each[1] != "failed"]


class Requests:
    """A client that sends anything."""

    def __init__(self, endpoint: str) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)

    def ask(self, *frames: bytes) -> Any:
        """Send one message and wait for its answer."""
        self.socket.send_multipart(frames)
        return self.answer()

    def answer(self) -> Any:
        assert self.socket.poll(int(LIMIT_S * 1000)), "no answer"
        return msgpack.unpackb(self.socket.recv())

    def close(self) -> None:
        self._context.destroy(linger=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def mutate(rng: random.Random, raw: bytes) -> list[bytes]:
    """Damage a message in one of the ways in which messages are damaged."""
    data = bytearray(raw)
    where = rng.randrange(len(data))
    match rng.randrange(9):
        case 0:
            data[where] ^= 1 << rng.randrange(8)
        case 1:
            del data[where:]
        case 2:
            data[where:where] = rng.randbytes(rng.randrange(1, 40))
        case 3:
            del data[where : where + rng.randrange(1, 8)]
        case 4:
            data[where] = rng.choice([0x80, 0x90, 0xC0, 0xC1, 0xC7, 0xD9, 0xDB, 0xDD, 0xDF, 0xFF])
        case 5:
            data = bytearray(rng.randbytes(rng.randrange(200)))
        case 6:
            data = bytearray(b"\x91" * rng.randrange(2000)) + data
        case 7:
            data += rng.randbytes(1) * rng.randrange(1, 300_000 if rng.random() < 0.02 else 300)
        case _:
            return [bytes(data)] * rng.randrange(1, 4)
    return [bytes(data)]


@pytest.mark.timeout(1200 if FULL else 120)
@pytest.mark.parametrize("socket", ["control", "query"])
def test_mutated_requests(served: Served, unchanged: Witness, socket: str) -> None:
    """Every message, however damaged, gets one answer."""
    rng = random.Random(1)  # noqa: S311 - the same messages each time
    with Requests(f"ipc://{served.run}/{socket}") as client:
        for first in range(0, NR_MESSAGES, WINDOW):
            count = min(WINDOW, NR_MESSAGES - first)
            for number in range(count):
                request = {"v": 1, "id": first + number, "args": {}, **rng.choice(REQUESTS)}
                client.socket.send_multipart(mutate(rng, msgpack.packb(request)))
            for _ in range(count):
                answer = client.answer()
                assert set(answer) in ({"v", "id", "ok", "result"}, {"v", "id", "ok", "error"})
        assert client.ask(msgpack.packb({"v": 1, "id": "end", "verb": "hello"}))["id"] == "end"


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.binary(), inner, max_size=4),
    max_leaves=12,
)


@settings(
    max_examples=2000 if FULL else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    verb=st.sampled_from([each["verb"] for each in REQUESTS]),
    args=st.dictionaries(
        st.sampled_from(["names", "contexts", "exclusive", "context", "attrs", "kind", "epoch", "from_seq"])
        | st.text(),
        VALUES,
        max_size=5,
    ),
    request_id=VALUES,
)
def test_any_arguments(served: Served, unchanged: Witness, verb: str, args: dict[str, Any], request_id: Any) -> None:
    """Well-formed requests with any arguments and any id get an answer that says what is wrong."""
    with Requests(f"ipc://{served.run}/control") as client:
        answer = client.ask(msgpack.packb({"v": 1, "id": request_id, "verb": verb, "args": args}))
    if not answer["ok"]:
        assert answer["error"]["code"] not in ("internal", "error")
        assert answer["error"]["message"]


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param({"verb": "hello", "id": nested(600)}, id="nested id"),
        pytest.param({"verb": "start", "args": {"contexts": {"x": nested(500)}}}, id="nested context"),
        pytest.param(
            {"verb": "start", "args": {"contexts": {"x": {"options": {"a": nested(500)}}}}}, id="nested option"
        ),
        pytest.param({"verb": "stop", "args": {"names": ["n" * 250_000]}}, id="long name"),
        pytest.param({"verb": "v" * 250_000}, id="long verb"),
        pytest.param({"verb": "hello", "args": {f"a{number}": 0 for number in range(20_000)}}, id="many arguments"),
        pytest.param({"verb": "start", "args": {"names": ["nobody"] * 30_000}}, id="many names"),
        pytest.param(
            {"verb": "start", "args": {"contexts": {f"c{n}": {"primitive": "no"} for n in range(2000)}}},
            id="many contexts",
        ),
        pytest.param(
            {"verb": "start", "args": {"contexts": {"x": {"primitive": "vaddr", "pids": list(range(1, 70_000))}}}},
            id="many targets",
        ),
        pytest.param(
            {"verb": "tune", "args": {"context": "steady0", "add_targets": list(range(2**32, 2**32 + 25_000))}},
            id="more targets than a link takes",
        ),
        pytest.param({"verb": "tune", "args": {"context": "steady0", "attrs": {"sample_interval": -1}}}, id="negative"),
    ],
)
def test_extremes(served: Served, unchanged: Witness, request_: dict[str, Any]) -> None:
    """What is as large or as deep as a request may be is refused for what it is, in bounded time."""
    raw = msgpack.Packer(autoreset=True).pack({"v": 1, "id": 1, **request_}) if "id" not in request_ else deep(request_)
    with Requests(f"ipc://{served.run}/control") as client:
        answer = client.ask(raw)
    assert not answer["ok"]
    assert answer["error"]["code"] not in ("internal", "error"), answer["error"]["message"][:300]


def deep(request: dict[str, Any]) -> bytes:
    """Pack by hand what msgpack itself refuses to nest."""
    return b"\x83\xa1v\x01\xa4verb" + bytes(msgpack.packb(request["verb"])) + b"\xa2id" + b"\x91" * 600 + b"\xc0"


def test_replies_that_nobody_reads(served: Served, unchanged: Witness) -> None:
    """A client that never reads loses replies, which are counted, and takes none from others."""
    before = served.status()["control"]["replies_lost"]
    with Requests(f"ipc://{served.run}/query") as deaf, Requests(f"ipc://{served.run}/query") as client:
        deaf.socket.setsockopt(zmq.RCVHWM, 1)
        raw = msgpack.packb({"v": 1, "id": 1, "verb": "status"})

        def lost() -> int:
            for _ in range(100):
                deaf.socket.send(raw)
            answer = client.ask(msgpack.packb({"v": 1, "id": 2, "verb": "status"}))
            return int(answer["result"]["control"]["replies_lost"])

        wait(lambda: lost() > before)


def subscription(rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return rng.randbytes(rng.randrange(1, 60))
    topic = rng.choice([b"damon.v1.", b"damon.v1.steady0.snapshot", b"damon.v1.x.event", b"", rng.randbytes(30)])
    return bytes([rng.choice([0, 1, 1, 1, 2, 255])]) + topic[: rng.randrange(len(topic) + 1)] + rng.randbytes(4)


@pytest.mark.timeout(1200 if FULL else 120)
def test_any_subscriptions(served: Served, unchanged: Witness) -> None:
    """Subscriptions of any bytes end at the supervisor: no worker hears of them, and nobody loses a message."""
    workers = [psutil.Process(served.row(name)["pid"]) for name in STEADY]
    memory = [each.memory_info().rss for each in workers]
    rng = random.Random(2)  # noqa: S311 - as above
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with context, context.socket(zmq.XSUB) as strange, context.socket(zmq.SUB) as plain:
        for each in (strange, plain):
            each.setsockopt(zmq.LINGER, 0)
            each.setsockopt(zmq.SNDHWM, 0)
            each.connect(f"ipc://{served.run}/stream")
        for _ in range(NR_SUBSCRIPTIONS):
            strange.send(subscription(rng))
        strange.send(b"\x01" + b"x" * 100_000)
        plain.setsockopt(zmq.SUBSCRIBE, b"damon.v1.steady0.snapshot")
        assert plain.poll(int(LIMIT_S * 1000))
        unchanged.wait_for_snapshots(5, *STEADY)
    assert max(each.memory_info().rss - was for each, was in zip(workers, memory, strict=True)) < 2 << 20
    overruns = sum(each.overruns for each in unchanged.seen)
    assert overruns <= unchanged.count("steady0") * 5


@pytest.mark.parametrize("socket", ["control", "query", "stream", "workers"])
def test_no_zeromq_at_all(served: Served, unchanged: Witness, socket: str, tmp_path: Path) -> None:
    """Bytes that are not even ZeroMQ's protocol end their connection and nothing else."""
    import socket as sockets  # noqa: PLC0415 - the parameter is the better name

    rng = random.Random(3)  # noqa: S311 - as above
    for _ in range(200):
        with sockets.socket(sockets.AF_UNIX) as raw:
            raw.connect(str(served.run / socket))  # blocks while as many as may wait are waiting (listen(2))
            greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" if rng.random() < 0.5 else b""
            try:
                raw.sendall(greeting + rng.randbytes(rng.randrange(1, 3000)))
            except BrokenPipeError:
                continue  # it has seen enough
