"""Writing a record as damo reads it (3.4.3, and since 2.5): the zlib stream of a JSON list of records.

A record of damo is one target of one context, with one set of intervals. What damo has no word for is left out:
windows that were not full, what was lost, events, mappings, memory.
"""

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np

from damond.errors import RecordError
from damond.record.columns import Block
from damond.record.formats.selection import Selection

_LEVEL: Final = 6
_INTERVALS: Final = ("sample_us", "aggr_us", "update_us")
_PERCENT: Final = 100
_NO_GOAL: Final = {"access_bp": 0, "aggrs": 0, "min_sample_us": 0, "max_sample_us": 0}


@dataclass(frozen=True, slots=True)
class _Part:
    """What becomes one record of damo.

    Attributes:
        target_id: The target.
        intervals: Sampling, aggregation and update interval. Microseconds.
    """

    target_id: int
    intervals: tuple[int, int, int]


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
    parts = _parts(selection)
    if not parts:
        raise RecordError("there is no region in it: damo could not read it", hint="choose another span or context")
    packer = zlib.compressobj(_LEVEL)
    for text in _texts(selection, parts):
        file.write(packer.compress(text.encode("ascii")))
    file.write(packer.flush())
    nr_intervals = len({part.intervals for part in parts})
    if nr_intervals == 1:
        return []
    return [f"the intervals have changed: {nr_intervals} records for each target, and 'damo report wss' takes the last"]


def _parts(selection: Selection) -> list[_Part]:
    """Find the targets that have regions, and the intervals that held."""
    found: dict[_Part, None] = {}
    for block in _full(selection):
        rows = np.stack([block.part_target, *(block.column(name)[block.part_snapshot] for name in _INTERVALS)])
        for target_id, *intervals in np.unique(rows[:, np.diff(block.part_first) > 0], axis=1).T.tolist():
            found[_Part(target_id, tuple(intervals))] = None
    return list(found)


def _full(selection: Selection) -> Iterator[Block]:
    """Yield the windows that were full: what was counted in others looks colder than it is."""
    for block in selection.blocks(selection.contexts[0]):
        yield block.where(block.column("partial") == 0)


def _texts(selection: Selection, parts: list[_Part]) -> Iterator[str]:
    """Yield the document piece by piece: a day of snapshots is larger than memory."""
    for number, part in enumerate(parts):
        yield "[" if number == 0 else ","
        head = json.dumps(_head(part))
        yield head.removesuffix("}") + ', "snapshots": ['
        separator = ""
        for block in _full(selection):
            for snapshot in _snapshots(block, part):
                yield separator + json.dumps(snapshot)
                separator = ",\n"
        yield "]}"
    yield "]\n"


def _head(part: _Part) -> dict[str, Any]:
    sample_us, aggr_us, update_us = part.intervals
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
        "target_id": part.target_id,
        "scheme_filters": [],
        "data_source": "unknown",
    }


def _snapshots(block: Block, part: _Part) -> Iterator[dict[str, Any]]:
    sample_us, aggr_us, update_us = part.intervals
    wanted = (
        (block.column("sample_us") == sample_us)
        & (block.column("aggr_us") == aggr_us)
        & (block.column("update_us") == update_us)
    )
    only = block.where(wanted).of_target(part.target_id)
    for index, row in enumerate(only.part_snapshot.tolist()):
        regions = slice(int(only.part_first[index]), int(only.part_first[index + 1]))
        size = only.size[regions]
        yield {
            "start_time": int(only.column("start_ns")[row]),
            "end_time": int(only.column("end_ns")[row]),
            "regions": list(_regions(only, regions, max(int(only.column("max_nr_accesses")[row]), 1), aggr_us)),
            "total_bytes": int(size.sum()),
            "damos_stats": None,
            "sample_interval_us": None,  # damo 3.4.3 writes it in nanoseconds when it converts a record
        }


def _regions(block: Block, rows: slice, max_nr_accesses: int, aggr_us: int) -> Iterator[dict[str, Any]]:
    end = block.start[rows] + block.size[rows]
    columns = (block.start[rows], end, block.nr_accesses[rows], block.age[rows])
    for start, behind, samples, age in zip(*(column.tolist() for column in columns), strict=True):
        yield {
            "start": start,
            "end": behind,
            "nr_accesses": {"samples": samples, "percent": min(samples * _PERCENT // max_nr_accesses, _PERCENT)},
            "age": {"usec": age * aggr_us, "aggr_intervals": age},
            "probe_hits": [],
            "sz_filter_passed": 0,
        }
