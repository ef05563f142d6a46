"""What damo's records have in common, however they are written: windows of one target each."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.core import TargetSnapshot
from damond.errors import RecordError

HINT: Final = "'damo record' writes such files; 'damo convert_record_format' turns others into json_compressed"

_NSEC_PER_USEC: Final = 1_000
_SAMPLE_US: Final = 5_000
"""DAMON's default, where a file does not tell. Microseconds."""


@dataclass(slots=True)
class Window:
    """One snapshot of damo.

    Attributes:
        start_ns: Begin; its end, if it is not known. Nanoseconds.
        end_ns: End. Nanoseconds.
        start: Of each region. Bytes.
        end: Of each region. Bytes.
        nr_accesses: Of each region; NaN is not known.
        percent: The same as a share of the samples, 0 to 100; NaN is not known.
        age: Of each region, in aggregations; NaN is not known.
        sample_us: Sampling interval, if it was another. Microseconds.
    """

    start_ns: int
    end_ns: int
    start: NDArray[np.uint64]
    end: NDArray[np.uint64]
    nr_accesses: NDArray[np.float64]
    percent: NDArray[np.float64]
    age: NDArray[np.float64]
    sample_us: int | None = None


@dataclass(slots=True)
class TargetRecord:
    """The windows of one target.

    Attributes:
        group: Which of them belong together: one context.
        target_id: As the file has it.
        sample_us: Sampling interval; None is not known. Microseconds.
        aggr_us: Aggregation interval; None is not known. Microseconds.
        update_us: Update interval; None is not known. Microseconds.
        windows: In the order of time.
    """

    group: tuple[object, ...]
    target_id: int | str
    sample_us: int | None = None
    aggr_us: int | None = None
    update_us: int | None = None
    windows: list[Window] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Intervals:
    """What the counts of a context mean.

    Attributes:
        sample_us: Sampling interval. Microseconds.
        aggr_us: Aggregation interval. Microseconds.
        update_us: Update interval. Microseconds.
    """

    sample_us: int
    aggr_us: int
    update_us: int

    @property
    def max_nr_accesses(self) -> int:
        """Samples in one window."""
        return max(self.aggr_us // self.sample_us, 1)


@dataclass(slots=True)
class Remarks:
    """What was not in a file, or not as it should be.

    Attributes:
        words: One each, without repetition.
    """

    words: dict[str, None] = field(default_factory=dict)

    def add(self, words: str) -> None:
        """Take one."""
        self.words[words] = None


def intervals_of(records: list[TargetRecord], given: dict[str, int], remarks: Remarks) -> Intervals:
    """Find the intervals of a context: those given, those of the file, or what its windows show."""
    first = records[0]
    aggr_us = given.get("aggr_us") or first.aggr_us
    if aggr_us is None:
        aggr_us = _median_window_us(records)
        remarks.add(f"no aggregation interval: windows are {aggr_us} us long in the median")
    sample_us = given.get("sample_us") or first.sample_us
    if sample_us is None:
        sample_us = min(_SAMPLE_US, aggr_us)
        remarks.add(f"no sampling interval: {sample_us} us is assumed, --sample says otherwise")
    return Intervals(sample_us, aggr_us, first.update_us or aggr_us)


def _median_window_us(records: list[TargetRecord]) -> int:
    spans = [window.end_ns - window.start_ns for record in records for window in record.windows]
    spans = [each for each in spans if each > 0]
    if not spans:
        raise RecordError("a single snapshot without intervals: nothing says how long it was", hint="give --aggr")
    # To two digits: windows are late by some, and nobody asks for 100.033 ms.
    return max(int(float(f"{np.median(spans) / _NSEC_PER_USEC:.2g}")), 1)


def to_target(window: Window, target_id: int, max_nr_accesses: int, remarks: Remarks) -> TargetSnapshot:
    """Make the regions of a window what they are here: sorted, disjoint, with whole counts.

    Raises:
        RecordError: Regions overlap, or have no counts.
    """
    known = np.flatnonzero(window.end > window.start)
    order = known[np.argsort(window.start[known], kind="stable")]
    start, end = window.start[order], window.end[order]
    if (start[1:] < end[:-1]).any():
        raise RecordError("regions overlap", hint=HINT)
    counts = np.where(np.isnan(window.nr_accesses), window.percent * max_nr_accesses / 100, window.nr_accesses)[order]
    if np.isnan(counts).any():
        raise RecordError("a region has neither nr_accesses.samples nor .percent", hint=HINT)
    ages = window.age[order]
    if np.isnan(ages).any():
        remarks.add("ages are not known: they are 0 in the record, and what is derived from them says nothing")
    # damo does not say how many samples stand behind a region: those of a window, as often as its age says.
    samples = np.nan_to_num((ages + 1) * max_nr_accesses)
    columns = (_counts(counts), _counts(np.nan_to_num(ages)), _counts(samples))
    return TargetSnapshot(target_id, None, start, end - start, *columns)


def _counts(column: NDArray[np.float64]) -> NDArray[np.uint32]:
    return column.clip(0, 2**32 - 1).round().astype(np.uint32)
