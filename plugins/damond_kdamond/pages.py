"""The binary pages of a trace buffer (trace_pipe_raw), decoded into columns."""

import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond_kdamond.formats import HEAD_SZ, EventFormat, parse_fields

Rows = NDArray[np.void]
"""Events ``damon_aggregated``, of the type :data:`ROW`."""

ROW: Final = np.dtype(
    [
        ("time_ns", np.uint64),
        ("target_id", np.uint64),
        ("nr_regions", np.uint32),
        ("start", np.uint64),
        ("end", np.uint64),
        ("nr_accesses", np.uint32),
        ("age", np.uint32),
    ]
)

_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31
_BIG_DATA: Final = 0
"""Types of event that are no data, and data whose length follows (header_event; others are a number of words)."""

_WORD: Final = 4
_TIME_BITS: Final = 27
_STAMP_TOP: Final = 0x1F << 59
"""A time stamp has 59 bits; the rest is the page's own (rb_fix_abs_ts, kernel/trace/ring_buffer.c, Linux 7.2)."""

_COMMIT_BITS: Final = (1 << _TIME_BITS) - 1
_MISSED: Final = 1 << 31
"""Beside the size in a page's header: events before it were lost (RB_MISSED_EVENTS, ring_buffer.c, Linux 7.2)."""

_U32: Final = struct.Struct("=I")
_U64: Final = struct.Struct("=Q")

_LITTLE: Final = sys.byteorder == "little"
_KIND_SHIFT, _KIND_MASK = (0, 0x1F) if _LITTLE else (_TIME_BITS, 0x1F)
_DELTA_SHIFT, _DELTA_MASK = (5, _COMMIT_BITS) if _LITTLE else (0, _COMMIT_BITS)


@dataclass(slots=True)
class Decoded:
    """What some pages held.

    Attributes:
        events: Events ``damon_aggregated`` as they are in the pages, with their heads.
        times: Their times. Nanoseconds of the trace clock.
        tuned: Events ``damon_monitor_intervals_tune``: time, ``sample_us``.
        gaps: Times of the pages before which events were lost. Nanoseconds of the trace clock.
    """

    events: list[bytes] = field(default_factory=list)
    times: list[NDArray[np.uint64]] = field(default_factory=list)
    tuned: list[tuple[int, int]] = field(default_factory=list)
    gaps: list[int] = field(default_factory=list)


class PageDecoder:
    """Decodes the pages of one trace instance, in which no other events are enabled.

    Runs of equal events are taken as one array: an aggregation is such a run, of 78 events per page of 4 KiB.

    Binary and not text (trace_pipe), as measured: user-mode Linux 7.2 takes 0.1 to 0.2 us per event to hand pages out
    and 2.3 to 3 us to print them. From pages to the columns of a target, 10, 100 and 1000 regions take 36, 51 and
    200 us; to take no more than the text apart takes 31, 260 and 2,500 us (CPython 3.11, tests/bench/trace_decode.py).

    Args:
        aggregated: Format of ``damon_aggregated``.
        header_page: Content of ``events/header_page``.
        tuned: Format of ``damon_monitor_intervals_tune``, where it is enabled.

    Attributes:
        page_sz: Bytes of a page.
    """

    def __init__(self, aggregated: EventFormat, header_page: str, tuned: EventFormat | None = None) -> None:
        self._aggregated = aggregated
        self._tuned = tuned
        self._dtype = aggregated.dtype()
        self._run_kind = aggregated.size // _WORD
        page = parse_fields(header_page)
        self._data_at, data_sz = page["data"]
        self.page_sz = self._data_at + data_sz
        self._commit_at, commit_sz = page["commit"]
        self._commit = _U64 if commit_sz == _U64.size else _U32

    def decode(self, pages: Sequence[bytes], into: Decoded) -> None:
        """Decode pages of one CPU's buffer, in the order in which they were read."""
        for page in pages:
            self._decode_page(page, into)

    def rows(self, decoded: Decoded) -> Rows:
        """Return what was decoded as columns, sorted by time; the order of equal times stays."""
        events = np.frombuffer(b"".join(decoded.events), self._dtype)
        rows = np.zeros(len(events), ROW)
        rows["time_ns"] = np.concatenate([np.zeros(0, np.uint64), *decoded.times])
        for name in ROW.names[1:] if ROW.names else ():
            if name in self._aggregated.fields:  # age came with Linux 5.17
                rows[name] = events[name]
        return rows[np.argsort(rows["time_ns"], kind="stable")]

    def _decode_page(self, page: bytes, into: Decoded) -> None:
        (time_ns,) = _U64.unpack_from(page)
        (commit,) = self._commit.unpack_from(page, self._commit_at)
        if commit & _MISSED:
            into.gaps.append(time_ns)
        at, end = self._data_at, min(self._data_at + (commit & _COMMIT_BITS), len(page))
        while end - at >= 2 * _WORD:
            times = self._run(page, at, end, time_ns)
            if len(times):
                past = at + len(times) * self._dtype.itemsize
                into.events.append(page[at:past])
                into.times.append(times)
                time_ns, at = int(times[-1]), past
            else:
                time_ns, at = self._one(page, at, time_ns, into)

    def _run(self, page: bytes, at: int, end: int, time_ns: int) -> NDArray[np.uint64]:
        """Return the times of the events ``damon_aggregated`` that follow each other from ``at`` on."""
        events = np.frombuffer(page, self._dtype, (end - at) // self._dtype.itemsize, at)
        head = events["head"]
        alike = (head >> _KIND_SHIFT & _KIND_MASK == self._run_kind) & (events["common_type"] == self._aggregated.id)
        number = len(alike) if alike.all() else int(alike.argmin())
        return np.cumsum(head[:number] >> _DELTA_SHIFT & _DELTA_MASK, dtype=np.uint64) + np.uint64(time_ns)

    def _one(self, page: bytes, at: int, time_ns: int, into: Decoded) -> tuple[int, int]:
        """Take whatever is at ``at``; return the time of it, and where the next one is."""
        (head,), (word,) = _U32.unpack_from(page, at), _U32.unpack_from(page, at + HEAD_SZ)
        kind, delta = head >> _KIND_SHIFT & _KIND_MASK, head >> _DELTA_SHIFT & _DELTA_MASK
        if kind == _TIME_EXTEND:
            return time_ns + (word << _TIME_BITS | delta), at + 2 * _WORD
        if kind == _TIME_STAMP:
            return time_ns & _STAMP_TOP | word << _TIME_BITS | delta, at + 2 * _WORD
        if kind == _PADDING:
            return time_ns, at + HEAD_SZ + word if delta else len(page)
        body, past = (
            (at + 2 * _WORD, at + HEAD_SZ + word) if kind == _BIG_DATA else (at + HEAD_SZ, at + HEAD_SZ + kind * _WORD)
        )
        self._event(page[body:past], time_ns + delta, into)
        return time_ns + delta, past

    def _event(self, event: bytes, time_ns: int, into: Decoded) -> None:
        """Take an event of any length: of a kernel that pads differently, or about tuned intervals."""
        event_id = _field(event, self._aggregated, "common_type")
        if event_id == self._aggregated.id:
            size = self._aggregated.size
            into.events.append(bytes(HEAD_SZ) + event[:size].ljust(size, b"\0"))
            into.times.append(np.array([time_ns], np.uint64))
        elif self._tuned is not None and event_id == self._tuned.id:
            into.tuned.append((time_ns, _field(event, self._tuned, "sample_us")))


def _field(event: bytes, layout: EventFormat, name: str) -> int:
    offset, size = layout.fields[name]
    return int.from_bytes(event[offset : offset + size], sys.byteorder)
