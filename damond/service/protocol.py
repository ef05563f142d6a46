"""What a request is: its form, its limits, and what is said of one that is none."""

from typing import Any, Final

import msgpack

from damond.client import MAX_REQUEST_SZ, VERSION
from damond.errors import ProtocolError

_MAX_ID_SZ: Final = 64
_MAX_DEPTH: Final = 32


def parse(frames: list[bytes]) -> dict[str, Any]:
    """Read a request.

    Raises:
        ProtocolError: It is oversized, no msgpack, no map, of another version, or lacks a field.
    """
    size = sum(map(len, frames))
    if len(frames) != 1:
        raise ProtocolError(f"a request of {len(frames)} frames", hint="send one msgpack map in one frame")
    if size > MAX_REQUEST_SZ:
        raise ProtocolError(f"a request of {size} bytes", hint=f"at most {MAX_REQUEST_SZ} bytes are read")
    try:
        request = msgpack.unpackb(frames[0])
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        what = f"{type(error).__name__} {error}".strip()
        raise ProtocolError(f"a request that is not msgpack: {what}", hint="send one msgpack map") from error
    if not isinstance(request, dict):
        raise ProtocolError(f"a request that is a {type(request).__name__}, not a map", hint="send one msgpack map")
    return _checked(request)


def _checked(request: dict[str, Any]) -> dict[str, Any]:
    if _is_deep(request):
        raise ProtocolError("a request that is nested too deeply", hint=f"at most {_MAX_DEPTH} levels are read")
    if request.get("v") != VERSION:
        raise ProtocolError(f"control version {request.get('v')!r}", hint=f"this damond speaks version {VERSION}")
    args = request.setdefault("args", {})
    request_id = request.setdefault("id", None)
    if not isinstance(request_id, int | str | None) or len(str(request_id)) > _MAX_ID_SZ:
        raise ProtocolError("a request whose id is neither a number nor a short text", hint="count your requests")
    if not isinstance(request.get("verb"), str) or not isinstance(args, dict):
        raise ProtocolError(
            "a request without a verb (text) or with args that are no map", hint="send {v, id, verb, args}"
        )
    return request


def _is_deep(value: Any) -> bool:
    """Whether lists and maps are nested more deeply than anything that makes sense; asked without recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return False
    return True


def reply(request_id: Any, **rest: Any) -> bytes:
    """Make a reply: ``ok`` and ``result`` or ``error``."""
    raw: bytes = msgpack.packb({"v": VERSION, "id": request_id, **rest})
    return raw
