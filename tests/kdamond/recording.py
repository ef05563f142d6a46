"""Raw trace pages: recorded ones, of the two guest kernels, and generated ones, by the documented format.

The recordings are 1.5 s of a process with 32 MiB hot of 256, at most 40 regions, on one CPU; ``trace.txt`` is what the
kernel itself printed of the same events.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from damond_kdamond.formats import EventFormat, parse_format
from damond_kdamond.pages import ROW, Decoded, PageDecoder, Rows

RECORDED = Path(__file__).with_name("recorded")
KERNELS = ("linux-7.2", "linux-6.12")

PAGE_SZ = 4096
HEADER_SZ = 16
MISSED = 1 << 31
EXTEND_FROM = 1 << 27
"""A longer time since the event before needs an event of its own."""

_LINE = re.compile(
    r"^(\d+)\.(\d{6}): damon_aggregated: target_id=(\d+) nr_regions=(\d+) (\d+)-(\d+): (\d+) (\d+)$", re.MULTILINE
)


@dataclass(frozen=True)
class Recording:
    """What one kernel wrote."""

    pages: list[bytes]
    format: str
    header_page: str
    printed: list[tuple[int, ...]]

    def decoder(self) -> PageDecoder:
        return PageDecoder(parse_format(self.format), self.header_page)


def recording(kernel: str) -> Recording:
    """Load what a kernel wrote; ``printed`` has times in microseconds, then the columns of ROW."""
    directory = RECORDED / kernel
    data = (directory / "pages.bin").read_bytes()
    lines = [tuple(map(int, each)) for each in _LINE.findall((directory / "trace.txt").read_text())]
    return Recording(
        [data[at : at + PAGE_SZ] for at in range(0, len(data), PAGE_SZ)],
        (directory / "format.txt").read_text(),
        (directory / "header_page.txt").read_text(),
        [(seconds * 1_000_000 + micros, *rest) for seconds, micros, *rest in lines],
    )


def formats() -> tuple[EventFormat, EventFormat, str]:
    """Return the formats of Linux 7.2: of the event, of the one about tuning, and of a page."""
    directory = RECORDED / "linux-7.2"
    event, tuned = (parse_format((directory / name).read_text()) for name in ("format.txt", "tuned_format.txt"))
    return event, tuned, (directory / "header_page.txt").read_text()


def rows_of(
    sizes: Sequence[int],
    time_ns: int,
    *,
    target: int = 0,
    first: int = 0x10000,
    nr_accesses: int = 0,
    age: int = 0,
) -> Rows:
    """Make the events of one target in one aggregation: regions that follow each other, 1 us from event to event."""
    rows = np.zeros(len(sizes), ROW)
    bounds = first + np.concatenate([[0], np.cumsum(sizes)])
    rows["time_ns"] = time_ns + 1000 * np.arange(len(sizes))
    rows["target_id"], rows["nr_regions"] = target, len(sizes)
    rows["start"], rows["end"] = bounds[:-1], bounds[1:]
    rows["nr_accesses"], rows["age"] = nr_accesses, age
    return rows


def packed(rows: Rows, *, missed: bool = False) -> list[bytes]:
    """Write events into pages as a kernel of a little-endian machine does; padding fills the rest of a page."""
    event, _, _ = formats()
    writer = PageWriter(missed=missed)
    for time_ns, target_id, nr_regions, start, end, nr_accesses, age in rows.tolist():
        body = struct.pack("<HBBiQIxxxxQQII", event.id, 0, 0, 63, target_id, nr_regions, start, end, nr_accesses, age)
        writer.data(time_ns, body)
    return writer.finish()


class PageWriter:
    """Writes events of any kind into pages."""

    def __init__(self, *, missed: bool = False) -> None:
        self.pages: list[bytes] = []
        self._data = b""
        self._begin_ns = self._last_ns = 0
        self._flags = MISSED if missed else 0

    def data(self, time_ns: int, body: bytes, *, big: bool = False) -> None:
        """Append an event; ``big`` writes its length the way events of more than 112 bytes have it."""
        words = len(body) // 4
        self._event(time_ns, 0 if big else words, (struct.pack("<I", len(body) + 4) if big else b"") + body)

    def padding(self, size: int) -> None:
        """Append an event that was given up: its time means nothing."""
        self._data += struct.pack("<II", 29 | 1 << 5, size + 4) + bytes(size)

    def stamp(self, time_ns: int) -> None:
        """Append an absolute time, of which 59 bits are there."""
        self._room(8)
        self._data += struct.pack("<II", 31 | (time_ns & (EXTEND_FROM - 1)) << 5, time_ns >> 27 & 0xFFFFFFFF)
        self._last_ns = time_ns

    def _event(self, time_ns: int, kind: int, rest: bytes) -> None:
        self._room(8 + 4 + len(rest))
        if not self._data:
            self._begin_ns = self._last_ns = time_ns
        delta = time_ns - self._last_ns
        if delta >= EXTEND_FROM:
            self._data += struct.pack("<II", 30 | (delta & (EXTEND_FROM - 1)) << 5, delta >> 27)
            delta = 0
        self._data += struct.pack("<I", kind | delta << 5) + rest
        self._last_ns = time_ns

    def _room(self, size: int) -> None:
        if len(self._data) + size > PAGE_SZ - HEADER_SZ:
            self._close()

    def _close(self) -> None:
        header = struct.pack("<QQ", self._begin_ns, len(self._data) | self._flags)
        # What is behind the last event in a page of the kernel is whatever was there before.
        self.pages.append((header + self._data).ljust(PAGE_SZ, b"\xee"))
        self._data, self._flags = b"", 0

    def finish(self) -> list[bytes]:
        if self._data:
            self._close()
        return self.pages


def decode(pages: list[bytes], decoder: PageDecoder | None = None) -> tuple[Rows, Decoded]:
    """Decode pages of one CPU."""
    event, tuned, header_page = formats()
    decoder = decoder or PageDecoder(event, header_page, tuned)
    decoded = Decoded()
    decoder.decode(pages, decoded)
    return decoder.rows(decoded), decoded
