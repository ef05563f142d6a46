"""Writing a record as a table: a row per region, as Parquet or CSV; or as JSON, a snapshot per line."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from damond.errors import UsageError
from damond.record import budgets
from damond.record.columns import NO_PID, Block
from damond.record.formats.selection import Selection
from damond.record.model import RecordedContext
from damond.stream import wire

COLUMNS: Final = (
    "context",
    "host",
    "start_ns",
    "end_ns",
    "target_id",
    "pid",
    "start",
    "size",
    "nr_accesses",
    "max_nr_accesses",
    "age",
    "nr_samples",
    "sample_us",
    "aggr_us",
    "partial",
    "missed",
    "restarted",
    "policy",
    "sampled_bytes",
    "granularity",
    "budget_max_cpu",
    "budget_max_checks_per_s",
    "budget_stretched",
)
"""Of Parquet and CSV. Times are Unix nanoseconds, ``start`` and ``size`` bytes, intervals microseconds, ``age``
aggregations; ``pid`` is empty where the target is no process. ``nr_samples`` stand behind ``nr_accesses`` and ``age``
(0: not known), ``sampled_bytes`` is the size of the largest region that was sampled as one (0: not known). The fields
of :class:`damond.core.BudgetUse` are empty where there is no budget, or no such bound."""

_PER_SNAPSHOT: Final = (
    *("start_ns", "end_ns", "max_nr_accesses", "sample_us", "aggr_us", "missed"),
    *("sampled_bytes", "granularity"),
)
_FLAGS: Final = ("partial", "restarted")
_BUDGET: Final = {f"budget_{name}": name for name in ("max_cpu", "max_checks_per_s", "stretched")}
_ROW_GROUP: Final = 60_000
"""Rows of a row group of Parquet: about a minute of 100 regions."""


def columns_of(context: RecordedContext, block: Block) -> dict[str, Any]:
    """Make the columns of one block, a row per region; those of which some may be empty are masked arrays."""
    part, row = block.region_part(), block.region_snapshot()
    pid = block.part_pid[part]
    found: dict[str, Any] = {
        "context": context.name,
        "host": context.host,
        "policy": block.policy,
        **{name: block.column(name)[row] for name in _PER_SNAPSHOT},
        **{name: block.column(name)[row] != 0 for name in _FLAGS},
        **{column: budgets.floats(block.scalars, name)[row] for column, name in _BUDGET.items()},
        "target_id": block.part_target[part],
        "pid": np.ma.array(pid, mask=pid == NO_PID),
        **{name: getattr(block, name) for name in ("start", "size", "nr_accesses", "age", "nr_samples")},
    }
    return {name: found[name] for name in COLUMNS}


def _blocks(selection: Selection) -> Iterator[tuple[RecordedContext, Block]]:
    for context in selection.contexts:
        for block in selection.blocks(context):
            yield context, block


def write_csv(selection: Selection, file: IO[bytes]) -> list[str]:
    """Write comma separated values with a headline (RFC 4180); return what the reader has to know: nothing."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for context, block in _blocks(selection):
        columns = columns_of(context, block)
        nr_rows = len(block.start)
        lists = [[column] * nr_rows if isinstance(column, str) else _plain(column) for column in columns.values()]
        rows.writerows(zip(*lists, strict=True))
    text.flush()
    text.detach()
    return []


def _plain(column: Any) -> list[Any]:
    return (column.astype(np.int64) if column.dtype == np.bool_ else column).tolist()  # type: ignore[no-any-return]


def write_json(selection: Selection, file: IO[bytes]) -> list[str]:
    """Write a JSON object per snapshot and line, with the keys of the stream."""
    for context, block in _blocks(selection):
        for row in range(block.nr_snapshots):
            snapshot = block.snapshot(row, context.name, context.host)
            file.write(json.dumps(wire.to_map(snapshot, context.host)).encode("ascii") + b"\n")
    return []


def write_parquet(selection: Selection, path: Path) -> list[str]:
    """Write Parquet, compressed by zstd.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed", hint="pip install 'damond[parquet]'"
        ) from error
    words = pa.dictionary(pa.int32(), pa.string())
    types = dict.fromkeys(("context", "host", "policy"), words) | dict.fromkeys(("start", "size"), pa.uint64())
    types |= dict.fromkeys(("nr_accesses", "age", "nr_samples"), pa.uint32()) | dict.fromkeys(_FLAGS, pa.bool_())
    types |= dict.fromkeys(_BUDGET, pa.float64())
    schema = pa.schema([(name, types.get(name, pa.int64())) for name in COLUMNS])
    delta = ("start_ns", "end_ns", "start")
    with parquet.ParquetWriter(
        path,
        schema,
        compression="zstd",
        use_dictionary=[name for name in COLUMNS if name not in delta],
        column_encoding=dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
    ) as writer:
        for context, block in _blocks(selection):
            arrays = [
                _array(pa, column, schema.field(name).type, len(block.start))
                for name, column in columns_of(context, block).items()
            ]
            writer.write_table(pa.table(arrays, schema=schema), row_group_size=_ROW_GROUP)
    return []


def _array(pa: Any, column: Any, kind: Any, nr_rows: int) -> Any:
    if isinstance(column, str):
        return pa.array([column] * nr_rows, kind)
    hidden = np.ma.getmaskarray(column) if isinstance(column, np.ma.MaskedArray) else None
    return pa.array(np.ma.getdata(column), kind, mask=hidden)
