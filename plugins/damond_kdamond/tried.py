"""Results from ``tried_regions``: what a scheme that does nothing, and covers everything, was tried on."""

import errno
import os
import time
from typing import Final

import numpy as np

from damond.core import Attrs
from damond.errors import SourceUnavailableError, UsageError
from damond.units import NSEC_PER_USEC
from damond_accessbits import Root
from damond_kdamond.admin import SCHEME, Admin
from damond_kdamond.assembly import Aggregation
from damond_kdamond.pages import ROW, Rows

TRIED: Final = f"{SCHEME}/tried_regions"
_FIELDS: Final = ("start", "end", "nr_accesses", "age")
_NUMBER_SZ: Final = 32

_GAP: Final = 1.5
"""Aggregations after which the one that was asked for is not the next one any more."""


class TriedRegions:
    """Asks the kernel to write the regions of the aggregation under way to sysfs when it ends, and reads them.

    Slower than the tracepoint: four small files per region are 7 us (0.7 ms for 100, 7.4 ms for 1000; CPython 3.11);
    and each question waits for the end of an aggregation, so that a stop may wait as long. It does not say
    which target a region belongs to: one target only.

    Args:
        root: Where /sys is.
        admin: The kdamond; not yet started.
        nr_targets: How many targets there are.
        attrs: How long an aggregation is.

    Raises:
        SourceUnavailableError: This kernel has no tried_regions.
        UsageError: There is more than one target.

    Attributes:
        sees_tuning: False: nothing is said about intervals.
        reads_at_once: False: it waits for the end of an aggregation.
    """

    sees_tuning = False
    reads_at_once = False

    def __init__(self, root: Root, admin: Admin, nr_targets: int, attrs: Attrs) -> None:
        if not root.path(TRIED).is_dir():
            raise SourceUnavailableError(
                "tried_regions",
                "this kernel's DAMON has none",
                hint="it came with Linux 6.2; tracepoint works from 5.18 on",
            )
        if nr_targets > 1:
            raise UsageError(
                f"tried_regions does not say which of {nr_targets} targets a region belongs to",
                hint='give one target per context, or source = "tracepoint": it needs tracefs at /sys/kernel/tracing',
            )
        admin.match_everything()
        self._root = root
        self._admin = admin
        self._end_ns = time.monotonic_ns()
        self.fit(attrs)

    def read(self) -> list[Aggregation]:
        """Wait for the end of the aggregation under way and return it."""
        try:
            self._admin.command("update_schemes_tried_regions")
        except OSError as error:
            # It has just ended (EINVAL), or was stopped while we waited: whoever asks next will see that. Or somebody
            # else asks all the time.
            if error.errno != errno.EBUSY and self._admin.running():
                raise
            return []
        end_ns = time.monotonic_ns()
        rows = read_tried(self._root)
        if not len(rows):
            return []
        gap = end_ns - self._end_ns > _GAP * self._aggr_ns
        self._end_ns = end_ns
        return [Aggregation(end_ns, {0: rows}, after_gap=gap)]

    def fit(self, attrs: Attrs) -> None:
        """Take note of another aggr_interval."""
        self._aggr_ns = attrs.aggr_interval * NSEC_PER_USEC

    def close(self) -> None:
        """The kdamond's directory goes with all that is in it."""


def read_tried(root: Root) -> Rows:
    """Read all regions below ``tried_regions``, in the order in which the kernel numbers them: by address."""
    directory = root.open(TRIED, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # By descriptor, which pathlib does not know: all of it is one kdamond's.
        names = sorted(
            (
                name
                for name in os.listdir(directory)  # noqa: PTH208
                if name.isdecimal()
            ),
            key=int,
        )
        found = [tuple(_number(directory, f"{name}/{field}") for field in _FIELDS) for name in names]
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV):
            raise
        found = []  # cleared while we read: the kdamond is gone
    finally:
        os.close(directory)
    rows = np.zeros(len(found), ROW)
    rows["nr_regions"] = len(found)
    for field, column in zip(_FIELDS, zip(*found, strict=True), strict=False):
        rows[field] = np.array(column, np.uint64)
    return rows[np.argsort(rows["start"], kind="stable")]


def _number(directory: int, relative: str) -> int:
    fd = os.open(relative, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return int(os.read(fd, _NUMBER_SZ))
    finally:
        os.close(fd)
