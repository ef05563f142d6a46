"""Writing a record as damo reads it (3.4.3, and since 2.5): the zlib stream of a JSON list of records.

A record of damo is one target of one context, with one set of intervals. What damo has no word for is left out:
windows that were not full, what was lost, and events.
"""

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np

from damond.errors import RecordError
from damond.record.columns import Block, Ints
from damond.record.formats.selection import Selection
from damond.units import format_interval

_LEVEL: Final = 6
_INTERVALS: Final = ("sample_us", "aggr_us", "update_us")
_PERCENT: Final = 100
_WSS_LEFT_OUT: Final = 20
"""Snapshots that damo's report wss takes for warming up, unless told otherwise (option --exclude_samples, 3.4.3)."""

_NO_GOAL: Final = {"access_bp": 0, "aggrs": 0, "min_sample_us": 0, "max_sample_us": 0}


@dataclass(frozen=True, slots=True)
class _Found:
    """What is to be written.

    Attributes:
        targets: Those that have regions.
        intervals: Sampling, aggregation and update interval of most windows. Microseconds.
        nr_intervals: How many different ones there are.
        nr_windows: Windows that are written.
    """

    targets: list[int]
    intervals: tuple[int, int, int]
    nr_intervals: int
    nr_windows: int

    @property
    def max_nr_accesses(self) -> int:
        """Samples of a window that is as most are."""
        return max(self.intervals[1] // self.intervals[0], 1)


def write(selection: Selection, file: IO[bytes]) -> list[str]:
    """Write one context; return what the reader has to know.

    Raises:
        RecordError: There is not exactly one context, or nothing in it that damo could read.
    """
    if len(selection.contexts) != 1:
        names = ", ".join(map(str, selection.contexts))
        raise RecordError(
            f"damo's reports can't tell {len(selection.contexts)} contexts apart",
            hint=f"choose one with --context: {names}",
        )
    found = _look(selection)
    if selection.record.damaged and not found.targets:
        raise RecordError("what was recorded of it is damaged", hint="choose another span or context")
    if not found.targets:
        raise RecordError("there is no region in it: damo could not read it", hint="choose another span or context")
    packer = zlib.compressobj(_LEVEL)
    for text in _texts(selection, found):
        file.write(packer.compress(text.encode("ascii")))
    file.write(packer.flush())
    return list(_remarks(found))


def _remarks(found: _Found) -> Iterator[str]:
    if found.nr_intervals > 1:
        sample, aggr = (format_interval(each) for each in found.intervals[:2])
        yield f"the intervals have changed: accesses and ages are converted to those of most windows, {sample} / {aggr}"
    if found.nr_windows <= _WSS_LEFT_OUT:
        yield f"'damo report wss' leaves the first {_WSS_LEFT_OUT} snapshots out, all of these: --exclude_samples 0"


def _look(selection: Selection) -> _Found:
    """Find the targets that have regions, and the intervals that held."""
    targets: dict[int, None] = {}
    intervals: Counter[tuple[int, int, int]] = Counter()
    for block in _full(selection):
        targets |= dict.fromkeys(np.unique(block.part_target[np.diff(block.part_first) > 0]).tolist())
        columns = (block.column(name).tolist() for name in _INTERVALS)
        intervals.update(zip(*columns, strict=True))
    most = intervals.most_common(1)
    return _Found(list(targets), most[0][0] if most else (1, 1, 1), len(intervals), intervals.total())


def _full(selection: Selection) -> Iterator[Block]:
    """Yield the windows that were full: what was counted in others looks colder than it is."""
    for block in selection.blocks(selection.contexts[0]):
        yield block.where(block.column("partial") == 0)


def _texts(selection: Selection, found: _Found) -> Iterator[str]:
    """Yield the document piece by piece: a day of snapshots is larger than memory."""
    for number, target_id in enumerate(found.targets):
        yield "[" if number == 0 else ","
        head = json.dumps(_head(target_id, found.intervals))
        yield head.removesuffix("}") + ', "snapshots": ['
        separator = ""
        for block in _full(selection):
            for snapshot in _snapshots(block.of_target(target_id), found):
                yield separator + json.dumps(snapshot)
                separator = ",\n"
        yield "]}"
    yield "]\n"


def _head(target_id: int, intervals: tuple[int, int, int]) -> dict[str, Any]:
    sample_us, aggr_us, update_us = intervals
    return {
        "kdamond_idx": 0,
        "context_idx": 0,
        "intervals": {
            "sample_us": sample_us,
            "aggr_us": aggr_us,
            "ops_update_us": update_us,
            "intervals_goal": _NO_GOAL,
        },
        "scheme_idx": None,
        "target_id": target_id,
        "scheme_filters": [],
        "data_source": "unknown",
    }


def _snapshots(block: Block, found: _Found) -> Iterator[dict[str, Any]]:
    samples, ages = _converted(block, found)
    share = np.minimum(block.nr_accesses * _PERCENT // _per_region(block, "max_nr_accesses"), _PERCENT)
    usec = block.age.astype(np.int64) * _per_region(block, "aggr_us")
    columns = (block.start, block.start + block.size, samples, share, usec, ages)
    for index, row in enumerate(block.part_snapshot.tolist()):
        regions = slice(int(block.part_first[index]), int(block.part_first[index + 1]))
        yield {
            "start_time": int(block.column("start_ns")[row]),
            "end_time": int(block.column("end_ns")[row]),
            "regions": [
                {
                    "start": start,
                    "end": end,
                    "nr_accesses": {"samples": hits, "percent": percent},
                    "age": {"usec": age_us, "aggr_intervals": age},
                    "probe_hits": [],
                    "sz_filter_passed": 0,
                }
                for start, end, hits, percent, age_us, age in zip(
                    *(column[regions].tolist() for column in columns), strict=True
                )
            ],
            "total_bytes": int(block.size[regions].sum()),
            "damos_stats": None,
            "sample_interval_us": None,  # damo 3.4.3 writes it in nanoseconds when it converts a record
        }


def _per_region(block: Block, name: str) -> Ints:
    return np.maximum(block.column(name), 1)[block.region_snapshot()]


def _converted(block: Block, found: _Found) -> tuple[Ints, Ints]:
    """Convert accesses and ages to the intervals of the record (as damon_update_monitoring_results, Linux 6.12)."""
    samples, ages = block.nr_accesses.astype(np.int64), block.age.astype(np.int64)
    if found.nr_intervals > 1:
        samples = samples * found.max_nr_accesses // _per_region(block, "max_nr_accesses")
        ages = ages * _per_region(block, "aggr_us") // found.intervals[1]
    return samples, ages
