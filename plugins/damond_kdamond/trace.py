"""Results from the tracepoint ``damon_aggregated``, by a trace instance of our own."""

import logging
import os
import time
from typing import Final, Protocol

from damond.core import Attrs
from damond_kdamond.assembly import Aggregation, Assembler
from damond_kdamond.files import Files
from damond_kdamond.formats import parse_format
from damond_kdamond.owner import Owner
from damond_kdamond.pages import Decoded, PageDecoder

_log = logging.getLogger(__name__)

TRACING: Final = "sys/kernel/tracing"
INSTANCES: Final = f"{TRACING}/instances"
AGGREGATED: Final = f"{TRACING}/events/damon/damon_aggregated"
TUNED: Final = f"{TRACING}/events/damon/damon_monitor_intervals_tune"

_EVENT_SZ: Final = 52
_KEPT: Final = 4
"""Aggregations that a CPU's buffer holds: damond looks twice in each, and may once be late."""

_LEAST_KB: Final = 64


class Source(Protocol):
    """Where results are read from.

    Attributes:
        sees_tuning: Whether aggregations carry the interval that the kernel has tuned itself to.
        reads_at_once: Whether :meth:`read` waits for nothing.
    """

    sees_tuning: bool
    reads_at_once: bool

    def read(self) -> list[Aggregation]:
        """Return the aggregations that have ended since the last call."""

    def fit(self, attrs: Attrs) -> None:
        """Take note of other attributes."""

    def close(self) -> None:
        """Leave everything as it was found."""


class TraceSource:
    """A trace instance with one event enabled (two where the kernel tunes the intervals), read page by page.

    Its clock is ``mono``, which is CLOCK_MONOTONIC.

    Args:
        files: Reads and writes.
        owner: This process; the instance has its name.
        nr_targets: How many targets there are.
        attrs: How many regions there may be.
        tunes: Whether the kernel tunes the intervals.

    Attributes:
        sees_tuning: Whether aggregations carry the interval that the kernel has tuned itself to.
    """

    def __init__(self, files: Files, owner: Owner, nr_targets: int, attrs: Attrs, *, tunes: bool) -> None:
        self._files = files
        self._assembler = Assembler(nr_targets)
        self._tuned: list[tuple[int, int]] = []
        self._fds: list[int] = []
        self._instance = f"{INSTANCES}/{owner.instance}"
        self._left_out = 0
        self.reads_at_once = True
        self.sees_tuning = tunes and files.root.path(TUNED).is_dir()
        files.mkdir(self._instance)
        try:
            self.fit(attrs)
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        files, instance = self._files, self._instance
        files.write(f"{instance}/trace_clock", "mono")
        self._decoder = PageDecoder(
            parse_format(files.read(f"{AGGREGATED}/format")),
            files.read(f"{TRACING}/events/header_page"),
            parse_format(files.read(f"{TUNED}/format")) if self.sees_tuning else None,
        )
        for event in (AGGREGATED, TUNED) if self.sees_tuning else (AGGREGATED,):
            files.write(f"{instance}/{event.removeprefix(TRACING + '/')}/enable", 1)
        for cpu in sorted(files.root.path(f"{instance}/per_cpu").iterdir()):
            raw = f"{instance}/per_cpu/{cpu.name}/trace_pipe_raw"
            self._fds.append(files.root.open(raw, os.O_RDONLY | os.O_NONBLOCK))

    def fit(self, attrs: Attrs) -> None:
        """Make room for aggregations of so many regions: on every CPU, so no more than needed."""
        size_kb = max(_LEAST_KB, _KEPT * attrs.max_nr_regions * _EVENT_SZ // 1024)
        self._files.write(f"{self._instance}/buffer_size_kb", size_kb)

    def read(self) -> list[Aggregation]:
        """Return the aggregations that have ended since the last call."""
        until_ns = time.monotonic_ns()
        decoded = Decoded()
        for fd in self._fds:
            self._decoder.decode(_pages(fd, self._decoder.page_sz), decoded)
        self._tuned += decoded.tuned
        found = self._assembler.feed(self._decoder.rows(decoded), until_ns, decoded.gaps)
        if decoded.gaps or self._assembler.left_out != self._left_out:
            self._left_out = self._assembler.left_out
            _log.warning("aggregations are missing: the trace buffer was full before it was read")
        return [self._with_tuning(each) for each in found]

    def _with_tuning(self, aggregation: Aggregation) -> Aggregation:
        """Add the interval tuned last: that comes before the events (kdamond_fn, mm/damon/core.c, Linux 7.2)."""
        sample_us = 0
        while self._tuned and self._tuned[0][0] <= aggregation.end_ns:
            sample_us = self._tuned.pop(0)[1]
        return Aggregation(aggregation.end_ns, aggregation.targets, aggregation.after_gap, sample_us)

    def close(self) -> None:
        """Remove the instance."""
        while self._fds:
            os.close(self._fds.pop())
        self._files.rmdir(self._instance)


def _pages(fd: int, page_sz: int) -> list[bytes]:
    """Read all that is there."""
    pages = []
    try:
        while page := os.read(fd, page_sz):
            pages.append(page)
    except BlockingIOError:
        pass
    return pages


def remove_leftovers(files: Files, myself: Owner) -> None:
    """Remove trace instances whose owners have ended without doing so; whoever calls this has none."""
    directory = files.root.path(INSTANCES)
    for path in sorted(directory.iterdir()) if directory.is_dir() else ():
        owner = Owner.of_instance(path.name)
        if owner is not None and (owner == myself or not owner.alive(files.root)):
            _log.info("removing the trace instance %s: process %d has ended", path.name, owner.pid)
            files.rmdir(f"{INSTANCES}/{path.name}")
