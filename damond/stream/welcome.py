"""The welcome: what a supervisor tells every reader as soon as it is connected. The format is described in wire.py."""

from dataclasses import dataclass
from typing import Any, Final

import msgpack

from damond.errors import ProtocolError
from damond.stream.wire import KINDS, SCHEMA, check_schema

TOPIC: Final = b"welcome.damon.v1"
"""What to subscribe to. Not below ``damon.``: who subscribes to that alone never sees a welcome."""
_SEPARATOR: Final = b"\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """Who publishes here.

    Attributes:
        version: Of the supervisor's damond.
        host: Name of its machine.
        pid: Its process id, there.
        started_ns: When it was started, Unix time. Nanoseconds. Another one means: another supervisor.
        queue: Messages that may wait for one reader; what is more is lost to that reader.
        kinds: The kinds of messages that it publishes.
    """

    version: str
    host: str
    pid: int
    started_ns: int
    queue: int
    kinds: tuple[str, ...] = KINDS


def encode(welcome: Welcome) -> bytes:
    """Make the frame of a welcome."""
    body = {name: getattr(welcome, name) for name in Welcome.__dataclass_fields__}
    raw: bytes = msgpack.packb({"schema": SCHEMA, **body, "kinds": list(welcome.kinds)})
    return TOPIC + _SEPARATOR + raw


def is_welcome(frames: list[bytes]) -> bool:
    """Say whether a message is a welcome."""
    return len(frames) == 1 and frames[0].startswith(TOPIC + _SEPARATOR)


def decode(frame: bytes) -> Welcome:
    """Read a welcome.

    Raises:
        ProtocolError: It is none that this version can read.
    """
    try:
        body: dict[str, Any] = msgpack.unpackb(frame.removeprefix(TOPIC + _SEPARATOR))
        check_schema(body)
        known = {name: body[name] for name in Welcome.__dataclass_fields__}
        return Welcome(**{**known, "kinds": tuple(body["kinds"])})
    except ProtocolError:
        raise
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise ProtocolError(
            f"a welcome that can't be read: {type(error).__name__}: {error}",
            hint="is it a supervisor of damond that publishes there?",
        ) from error
