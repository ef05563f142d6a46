"""Reading damo's JSON: the list of records, packed by zlib or plain, with numbers as numbers or for people."""

import json
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from damond.errors import RecordError
from damond.record.formats.foreign import HINT, TargetRecord, Window

_NUMBER: Final = re.compile(r"(-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*([A-Za-z%]*)")
_TIMES: Final = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_SIZES: Final = {f"{unit}{more}": 1024**power for power, unit in enumerate(["", *"KMGTPE"]) for more in ("", "B", "iB")}
_SHARES: Final = {"%": 1, "samples": 1}
_NSEC_PER_USEC: Final = 1_000
_MAX_SZ: Final = 8 * 1024**3
"""Bytes of JSON that are read: it has to be in memory as a whole."""


def read(raw: bytes) -> list[TargetRecord]:
    """Read a file's content.

    Raises:
        RecordError: It is no such JSON, or lacks something: which, and where.
    """
    try:
        document = json.loads(_unpacked(raw))
    except (zlib.error, ValueError, RecursionError) as error:
        raise RecordError(f"it is no JSON of damo: {error}", hint=HINT) from error
    if not isinstance(document, list):
        raise RecordError("it is JSON, but no list of records", hint=HINT)
    return [_record(each, f"record {number}") for number, each in enumerate(document)]


def _unpacked(raw: bytes) -> bytes:
    if raw[:1] != b"\x78":
        return raw
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(raw, _MAX_SZ)
    if unpacker.unconsumed_tail:
        raise RecordError("it unpacks to more than 8 GiB", hint="split it: 'damo adjust --snapshot_idx' takes a part")
    if not unpacker.eof:
        raise RecordError("it is cut: the end of the packed data is missing", hint="copy it again")
    return text


def _record(body: Any, where: str) -> TargetRecord:
    _must_have(body, ("target_id", "snapshots"), where)
    intervals = body.get("intervals") or {}
    keys = {"sample_us": "sample_us", "aggr_us": "aggr_us", "update_us": "ops_update_us"}
    times = {name: _interval_us(intervals.get(key), where) for name, key in keys.items()}
    group = tuple(body.get(key) for key in ("kdamond_idx", "context_idx", "scheme_idx"))
    windows = [_window(each, f"{where}, snapshot {number}") for number, each in enumerate(body["snapshots"])]
    return TargetRecord(group, body["target_id"], windows=windows, **times)


def _window(body: Any, where: str) -> Window:
    _must_have(body, ("start_time", "end_time", "regions"), where)
    rows = [_region(each, f"{where}, region {number}") for number, each in enumerate(body["regions"])]
    start, end, samples, percent, age = zip(*rows, strict=True) if rows else ((),) * 5
    end_ns = round(_number(body["end_time"], _TIMES, where))
    return Window(
        end_ns if body["start_time"] is None else round(_number(body["start_time"], _TIMES, where)),
        end_ns,
        np.array(start, np.uint64),
        np.array(end, np.uint64),
        np.array(samples, np.float64),
        np.array(percent, np.float64),
        np.array(age, np.float64),
        _interval_us(body.get("sample_interval_us"), where),
    )


def _region(body: Any, where: str) -> tuple[int, int, float, float, float]:
    _must_have(body, ("start", "end", "nr_accesses"), where)
    start, end = (round(_number(body[name], _SIZES, where)) for name in ("start", "end"))
    if not 0 <= start <= end < 2**64:
        raise RecordError(f"{where}: [{start}, {end}) is no address range", hint=HINT)
    accesses, age = body["nr_accesses"] or {}, body.get("age") or {}
    samples, percent, age_aggrs = (
        float("nan") if table.get(key) is None else float(_number(table[key], _SHARES, where))
        for table, key in ((accesses, "samples"), (accesses, "percent"), (age, "aggr_intervals"))
    )
    return start, end, samples, percent, age_aggrs


def _must_have(body: Any, keys: Sequence[str], where: str) -> None:
    if not isinstance(body, Mapping):
        raise RecordError(f"{where} is no map but {json.dumps(body)[:60]}", hint=HINT)
    for key in keys:
        if key not in body:
            raise RecordError(f"{where} has no {key!r}", hint=HINT)


def _interval_us(value: Any, where: str) -> int | None:
    return None if value is None else round(_number(value, _TIMES, where, plain=_NSEC_PER_USEC) / _NSEC_PER_USEC)


def _number(value: Any, units: Mapping[str, int], where: str, *, plain: int = 1) -> float | int:
    """Read a number, or a text for people: ``"139,637,976,727,552"``, ``"16.000 MiB"``, ``"1 s 500 ms"``.

    Args:
        value: What the file has.
        units: Unit -> how many of the least one.
        where: For the error.
        plain: How many of the least unit a number without one means.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value * plain
    found = _NUMBER.findall(value) if isinstance(value, str) else []
    if not found or _NUMBER.sub("", value).strip() or any(unit and unit not in units for _, unit in found):
        raise RecordError(f"{where}: {json.dumps(value)[:60]} is no number with a unit that is known here", hint=HINT)
    parts = [(digits.replace(",", ""), units[unit] if unit else plain) for digits, unit in found]
    return sum((float(digits) if "." in digits else int(digits)) * unit for digits, unit in parts)
