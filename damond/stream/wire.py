"""The stream's wire format, version 1.

A message has three frames:

==========  ==============================================================================================
topic       ASCII ``damon.v1.<context>.<kind>``; kind is ``snapshot``, ``summary`` or ``event``
header      16 bytes: two unsigned 64-bit big-endian integers, epoch and seq. epoch is the start of the
            worker in Unix nanoseconds; seq counts from 0 per topic and epoch, so a gap is a loss.
body        one msgpack map with string keys. Unknown keys are to be ignored. Times are Unix nanoseconds,
            sizes bytes, intervals microseconds.
==========  ==============================================================================================

The keys of the bodies are the fields of :class:`damond.core.Snapshot` (with ``targets`` as a list of maps whose
columns ``start``, ``size``, ``nr_accesses``, ``age`` and ``nr_samples`` are equally long lists),
:class:`damond.core.Summary` (percentiles of ``idle_ms`` as strings) and :class:`Event`, and ``schema`` (1) and ``host``
in all of them. ``budget`` is nil or a map of the fields of :class:`damond.core.BudgetUse`, ``advice`` nil or one of
those of :class:`damond.core.Advice`. Keys whose fields have a default may be left out, and are read as that default:
``unknown``, ``sampled_bytes``, ``cold_bytes`` and ``unseen_bytes`` (0), ``nr_samples`` (zeros), ``budget``, ``advice``
and ``smallest_found_bytes`` (nil), ``policy`` (kernel), ``reason`` ("") and ``details`` ({}) of an event.

``memory`` of a summary may be missing. It is a list of maps with the keys of :class:`damond.core.ProcessMemory`;
``mappings`` is a map of equally long lists: ``start``, ``end`` and ``name``, an index into its list ``names``. At most
every 5 s, bounded in size (:mod:`damond.service.footprint`), and whole each time: who joins late or lost one needs no
other.

Besides, who subscribes to ``welcome.damon.v1`` gets one message as soon as it is connected, and again whenever it is
connected anew: a welcome, in **one** frame (libzmq sends no other, ZMQ_XPUB_WELCOME_MSG):

==========  ==============================================================================================
topic       ASCII ``welcome.damon.v1``, and one zero byte
body        one msgpack map: ``schema`` (1), ``version`` of damond, ``host``, ``pid`` and ``started_ns`` of the
            supervisor, ``queue`` (messages that may wait for one reader; what is more is lost to it), ``kinds``
==========  ==============================================================================================

It is the first message of a connection: all before it is lost, and all after it is in seq. It says "connected", not
"subscribed": subscriptions travel the other way at the same time, and may be in force some microseconds later. Who
subscribes to everything (the empty topic) gets it too, and has to tell it by its number of frames.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal

import msgpack
import numpy as np

from damond.core import Advice, BudgetUse, Origin, ProcessMemory, Snapshot, Summary, TargetSnapshot
from damond.core import Mapping as Mapped
from damond.core.context import check_name
from damond.errors import InvalidNameError, ProtocolError

SCHEMA: Final = 1
PREFIX: Final = "damon.v1."
KINDS: Final = ("snapshot", "summary", "event")

Kind = Literal["snapshot", "summary", "event"]
Frames = Sequence[bytes]

_HEADER: Final = struct.Struct(">QQ")
NR_FRAMES: Final = 3
_MAPS: Final[Mapping[str, Any]] = {"budget": BudgetUse, "advice": Advice}
_SNAPSHOT_KEYS: Final = tuple(
    name for name in Snapshot.__dataclass_fields__ if name not in (*_MAPS, "targets", "origin")
)
_SUMMARY_KEYS: Final = tuple(
    name for name in Summary.__dataclass_fields__ if name not in (*_MAPS, "idle_ms", "memory", "origin")
)
_MEMORY_KEYS: Final = tuple(name for name in ProcessMemory.__dataclass_fields__ if name != "mappings")
_TOPIC_HINT: Final = "a topic is damon.v1.CONTEXT.KIND; the address may be that of another program"
_WRITER_HINT: Final = "whatever writes to this stream must keep to its format: 'python3 -m pydoc damond.stream.wire'"
_COLUMNS: Final = {"start": np.uint64, "size": np.uint64, "nr_accesses": np.uint32, "age": np.uint32}
_ALL_COLUMNS: Final = (*_COLUMNS, "nr_samples")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A change in the life of a context.

    Attributes:
        context: Name of the context.
        time_ns: When, Unix time. Nanoseconds.
        event: ``starting``, ``started``, ``target_gone``, ``stopping``, ``stopped``, ``failed``, ``restarting``,
            ``attrs_changed``, ``targets_changed``, ``paused`` or ``resumed``.
        reason: Why, for people; a word where a program may rely on it (``requested``, ``target_gone``; targets have
            ``ended`` by themselves, were ``selected`` or are as ``requested``).
        details: More, by event. ``targets_changed``: ``targets`` (the ids that are watched now), ``added`` and
            ``removed`` (lists of maps with ``id`` and ``pid``, which is nil where a target is no process).
        origin: Where it came from, if it came over the stream.
    """

    context: str
    time_ns: int
    event: str
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin | None = None


Message = Snapshot | Summary | Event


def kind_of(message: Message) -> Kind:
    """Name the kind of a message."""
    if isinstance(message, Snapshot):
        return "snapshot"
    return "summary" if isinstance(message, Summary) else "event"


def topic(context: str, kind: str) -> bytes:
    """Make the topic of a context's messages of one kind."""
    return f"{PREFIX}{context}.{kind}".encode("ascii")


@lru_cache(maxsize=1024)  # a reader meets the same ones all the time
def parse_topic(raw: bytes) -> tuple[str, str]:
    """Read context and kind from a topic.

    Raises:
        ProtocolError: It is no topic of wire version 1.
    """
    try:
        text = raw.decode("ascii")
        context, kind = text.removeprefix(PREFIX).rsplit(".", 1)
        if not text.startswith(PREFIX) or kind not in KINDS:
            raise ProtocolError(f"{raw!r} is no topic of wire version 1", hint=_TOPIC_HINT)
        return check_name(context), kind
    except (ValueError, InvalidNameError) as error:
        raise ProtocolError(f"{raw!r} is no topic of wire version 1", hint=_TOPIC_HINT) from error


def header(epoch: int, seq: int) -> bytes:
    """Make the header frame."""
    return _HEADER.pack(epoch, seq)


def parse_header(raw: bytes) -> tuple[int, int]:
    """Read epoch and seq.

    Raises:
        ProtocolError: It is no header.
    """
    if len(raw) != _HEADER.size:
        raise ProtocolError(f"a header of {len(raw)} bytes instead of {_HEADER.size}", hint=_WRITER_HINT)
    epoch, seq = _HEADER.unpack(raw)
    return epoch, seq


def to_map(message: Message, host: str) -> dict[str, Any]:
    """Make the body of a message as a map of plain values: what goes on the wire, and what ``--json`` prints."""
    if isinstance(message, Snapshot):
        body = {name: getattr(message, name) for name in _SNAPSHOT_KEYS}
        body["targets"] = [
            {"id": each.id, "pid": each.pid, **{name: getattr(each, name).tolist() for name in _ALL_COLUMNS}}
            for each in message.targets
        ]
        body["budget"] = _plain(message.budget)
    elif isinstance(message, Summary):
        body = {name: getattr(message, name) for name in _SUMMARY_KEYS}
        body["idle_ms"] = {str(percentile): idle for percentile, idle in message.idle_ms.items()}
        if message.memory:
            body["memory"] = [_memory_map(each) for each in message.memory]
        body |= {name: _plain(getattr(message, name)) for name in _MAPS}
    else:
        body = {
            "context": message.context,
            "time_ns": message.time_ns,
            "event": message.event,
            "reason": message.reason,
            "details": dict(message.details),
        }
    return {"schema": SCHEMA, "host": host, **body}


def _memory_map(memory: ProcessMemory) -> dict[str, Any]:
    codes: dict[str, int] = {}
    rows = [(start, end, codes.setdefault(name, len(codes))) for start, end, name in memory.mappings]
    start, end, code = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    body = {name: getattr(memory, name) for name in _MEMORY_KEYS}
    return {**body, "mappings": {"start": start, "end": end, "name": code, "names": list(codes)}}


def _plain(value: BudgetUse | Advice | None) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


def _map(name: str, body: Mapping[str, Any]) -> Any:
    """Read a map of its own; keys in it that are not known are ignored."""
    given, cls = body.get(name), _MAPS[name]
    if given is None:
        return None
    return cls(**{key: value for key, value in given.items() if key in cls.__dataclass_fields__})


def encode(message: Message, host: str, epoch: int, seq: int) -> list[bytes]:
    """Make the three frames of a message."""
    body: bytes = msgpack.packb(to_map(message, host))
    return [topic(message.context, kind_of(message)), header(epoch, seq), body]


def decode(frames: Frames, *, missed: int = 0, skipped: int = 0, restarted: bool = False) -> Message:
    """Read a message from its frames.

    Args:
        frames: Topic, header, body.
        missed: For the message's origin: messages lost just before.
        skipped: For the message's origin: messages passed over just before.
        restarted: For the message's origin: the worker is another one than before.

    Raises:
        ProtocolError: The frames are no message of wire version 1.
    """
    if len(frames) != NR_FRAMES:
        raise ProtocolError(f"a message of {len(frames)} frames instead of {NR_FRAMES}", hint=_WRITER_HINT)
    _, kind = parse_topic(frames[0])
    epoch, seq = parse_header(frames[1])
    try:
        body = msgpack.unpackb(frames[2])
        check_schema(body)
        origin = Origin(host=body["host"], epoch=epoch, seq=seq, missed=missed, skipped=skipped, restarted=restarted)
        return _from_map(kind, body, origin)
    except ProtocolError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, msgpack.UnpackException) as error:
        raise ProtocolError(
            f"a {kind} that can't be read: {type(error).__name__}: {error}", hint=_WRITER_HINT
        ) from error


def check_schema(body: Mapping[str, Any]) -> None:
    """Refuse what a newer writer has written.

    Raises:
        ProtocolError: It is of another schema.
        KeyError: It has none.
    """
    if body["schema"] != SCHEMA:
        raise ProtocolError(f"schema {body['schema']} instead of {SCHEMA}", hint="update the reader")


def _from_map(kind: str, body: Mapping[str, Any], origin: Origin) -> Message:
    if kind == "snapshot":
        return Snapshot(
            **{name: body[name] for name in _SNAPSHOT_KEYS if name in body},
            targets=tuple(map(_target, body["targets"])),
            budget=_map("budget", body),
            origin=origin,
        )
    if kind == "summary":
        return Summary(
            **{name: body[name] for name in _SUMMARY_KEYS if name in body},
            idle_ms={int(percentile): idle for percentile, idle in body["idle_ms"].items()},
            memory=tuple(map(_memory, body.get("memory", ()))),
            **{name: _map(name, body) for name in _MAPS},
            origin=origin,
        )
    return Event(
        context=body["context"],
        time_ns=body["time_ns"],
        event=body["event"],
        reason=body.get("reason", ""),
        details=body.get("details", {}),
        origin=origin,
    )


def _memory(body: Mapping[str, Any]) -> ProcessMemory:
    mappings, names = body["mappings"], body["mappings"]["names"]
    rows = zip(mappings["start"], mappings["end"], mappings["name"], strict=True)
    return ProcessMemory(
        **{name: body[name] for name in _MEMORY_KEYS},
        mappings=tuple(Mapped(start, end, names[code]) for start, end, code in rows),
    )


def _target(body: Mapping[str, Any]) -> TargetSnapshot:
    columns: dict[str, Any] = {name: np.array(body[name], dtype) for name, dtype in _COLUMNS.items()}
    if "nr_samples" in body:
        columns["nr_samples"] = np.array(body["nr_samples"], np.uint32)
    if len({len(column) for column in columns.values()}) != 1:
        raise ProtocolError("the columns of a target are not equally long", hint=_WRITER_HINT)
    return TargetSnapshot(id=body["id"], pid=body["pid"], **columns)
