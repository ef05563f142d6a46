"""Snapshots packed for the disk, many at once: columns that hardly change from row to row, then compressed.

What a body is, before compression (zlib): one msgpack map of ``primitive``, ``policy``, ``nr_snapshots`` and
``columns``: name -> [width, least, bytes]. A column of n values is stored as the differences to its least value,
unsigned, in ``width`` bytes each (0 where all are equal): first all lowest bytes, then all second ones, and so on,
since high bytes are mostly zero. Not stored as they are:

- times: ``wait`` is from the end of the window before (of the first: from 0) to the begin, ``span`` from begin to end;
- ``epoch``, ``seq`` and ``part_start`` (start of a target's first region): the difference to the row before;
- ``gap`` is from the end of the region before to the start of a region: mostly 0, since neighbours touch;
- ``nr_samples`` comes in the order of addresses, then of time, as differences: a region that lives on gets about as
  many more each time, whatever became of those around it. It may be missing, as may policy and numbers of snapshots;
- ``birth`` is age less the number of the snapshot: of a region that lives on it stays the same;
- addresses and sizes are divided by the greatest power of two that divides all of them (``shift``): a page, mostly.
"""

import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from damond.core.regions import Addrs, Counts
from damond.errors import RecordError
from damond.record import budgets
from damond.record.columns import PER_ORIGIN, PER_SNAPSHOT, Block, Ints, firsts

LEVEL: Final = 6
"""Of zlib: 9 takes four times as long for 2 % less (five tracks, 90 regions, 60 s a body)."""

_SCALARS: Final = (
    *(name for name in (*PER_SNAPSHOT, *PER_ORIGIN) if name not in ("start_ns", "end_ns")),
    *budgets.COLUMNS,
)
_GROWING: Final = frozenset({"epoch", "seq", "part_start", "nr_samples"})
_WIDTHS: Final = (0, 1, 2, 4, 8)
_MAX_SHIFT: Final = 63


def pack(block: Block) -> bytes:
    """Pack snapshots; at least one."""
    start_ns, end_ns = block.column("start_ns"), block.column("end_ns")
    columns: dict[str, Ints] = {name: block.column(name) for name in _SCALARS}
    columns["wait"] = start_ns - np.concatenate([[0], end_ns[:-1]])
    columns["span"] = end_ns - start_ns
    columns["nr_parts"] = np.bincount(block.part_snapshot, minlength=block.nr_snapshots)
    columns["part_target"], columns["part_pid"] = block.part_target, block.part_pid
    columns |= _region_columns(block)
    packed = {name: _pack(column, growing=name in _GROWING) for name, column in columns.items()}
    head = {"primitive": block.primitive, "policy": block.policy, "nr_snapshots": block.nr_snapshots}
    body: bytes = msgpack.packb({**head, "columns": packed})
    return zlib.compress(body, LEVEL)


def deflate(value: Any) -> bytes:
    """Pack plain values."""
    return zlib.compress(msgpack.packb(value), LEVEL)


def inflate(raw: bytes) -> Any:
    """Read what :func:`deflate` made.

    Raises:
        RecordError: It is damaged.
    """
    try:
        return msgpack.unpackb(zlib.decompress(raw))
    except (zlib.error, ValueError, msgpack.UnpackException) as error:
        raise RecordError(f"a part of the record is damaged: {error}", hint="the rest can be read") from error


def _region_columns(block: Block) -> dict[str, Ints]:
    # As signed numbers, addresses wrap around and back: only their differences and bits matter.
    bits = int(np.bitwise_or.reduce(block.start)) | int(np.bitwise_or.reduce(block.size))
    shift = (bits & -bits).bit_length() - 1 if bits else 0
    start, size = (each.view(np.int64) >> shift for each in (block.start, block.size))
    nr_regions = np.diff(block.part_first)
    first = block.part_first[:-1][nr_regions > 0]
    part_start = np.zeros(len(nr_regions), np.int64)
    part_start[nr_regions > 0] = start[first]
    gap = start.copy()
    gap[1:] -= start[:-1] + size[:-1]
    gap[first] = 0
    return {
        "shift": np.array([shift]),
        "nr_regions": nr_regions,
        "part_start": part_start,
        "gap": gap,
        "size": size,
        "nr_accesses": block.nr_accesses.astype(np.int64),
        "birth": block.age.astype(np.int64) - block.region_snapshot(),
        "nr_samples": block.nr_samples.astype(np.int64)[_by_address(block.start)],
    }


def _by_address(start: Addrs) -> NDArray[np.intp]:
    """Order regions by address, those of one address by time."""
    return np.argsort(start, kind="stable")


def _pack(column: Ints, *, growing: bool) -> list[Any]:
    if not len(column):
        return [0, 0, b""]
    if growing:
        column = np.diff(column, prepend=0)
    least = int(column.min())
    above = (column - least).astype("<i8").view(np.uint64)  # modulo 2**64, as the way back
    width = next(each for each in _WIDTHS if int(above.max()) < 1 << (8 * each))
    return [width, least, above.view(np.uint8).reshape(-1, 8)[:, :width].T.tobytes()]


def unpack(raw: bytes) -> Block:
    """Read what :func:`pack` made.

    Raises:
        RecordError: It is damaged.
    """
    try:
        body = msgpack.unpackb(zlib.decompress(raw))
        packed: dict[str, Sequence[Any]] = body["columns"]
        return _block(
            (str(body["primitive"]), str(body.get("policy", ""))),
            int(body["nr_snapshots"]),
            lambda name, length: _unpack(packed[name], length, growing=name in _GROWING),
            frozenset(packed),
        )
    except (zlib.error, ValueError, TypeError, LookupError, OverflowError, msgpack.UnpackException) as error:
        raise RecordError(f"a stretch of snapshots is damaged: {error}", hint="the rest can be read") from error


def _unpack(packed: Sequence[Any], length: int, *, growing: bool) -> Ints:
    width, least, raw = packed
    if width not in _WIDTHS or len(raw) != width * length:
        raise ValueError(f"a column of {len(raw)} bytes instead of {width} * {length}")
    # Byte by byte: a table of 8 bytes a row, filled crosswise, was a quarter of the time of unpacking.
    column: Ints = np.full(length, least, np.int64)
    for place, lowest_first in enumerate(np.frombuffer(raw, np.uint8).reshape(width, length)):
        column += lowest_first.astype(np.int64) << (8 * place)
    return np.cumsum(column) if growing else column


def _block(names: tuple[str, str], nr_snapshots: int, read: Callable[[str, int], Ints], there: frozenset[str]) -> Block:
    def read_scalar(name: str) -> Ints:
        # Another release has numbers that this one has not, and the other way round: what is not there is 0.
        return read(name, nr_snapshots) if name in there else np.zeros(nr_snapshots, np.int64)

    shift = int(read("shift", 1)[0])
    if not 0 <= shift <= _MAX_SHIFT:
        raise ValueError(f"a shift of {shift}")
    span = read("span", nr_snapshots)
    end_ns = np.cumsum(read("wait", nr_snapshots) + span)
    nr_parts = int((parts_of := read("nr_parts", nr_snapshots)).sum())
    nr_regions = read("nr_regions", nr_parts)
    if min(parts_of.min(initial=0), nr_regions.min(initial=0)) < 0:
        raise ValueError("a negative number of rows")
    part_snapshot = np.repeat(np.arange(nr_snapshots), parts_of)
    part_first = firsts(nr_regions)
    nr_rows = int(part_first[-1])
    size, nr_accesses, birth = (read(name, nr_rows) for name in ("size", "nr_accesses", "birth"))
    start = _starts(read("gap", nr_rows), size, part_first, read("part_start", nr_parts))
    start_bytes = (start << shift).view(np.uint64)
    return Block(
        primitive=names[0],
        policy=names[1],
        scalars={
            **{name: read_scalar(name) for name in _SCALARS},
            "start_ns": end_ns - span,
            "end_ns": end_ns,
        },
        part_snapshot=part_snapshot,
        part_target=read("part_target", nr_parts),
        part_pid=read("part_pid", nr_parts),
        part_first=part_first,
        start=start_bytes,
        size=(size << shift).view(np.uint64),
        nr_accesses=nr_accesses.astype(np.uint32),
        age=(birth + np.repeat(part_snapshot, nr_regions)).astype(np.uint32),
        nr_samples=_samples(read("nr_samples", nr_rows) if "nr_samples" in there else None, start_bytes),
    )


def _samples(by_address: Ints | None, start: Addrs) -> Counts:
    found = np.zeros(len(start), np.uint32)
    if by_address is not None and by_address.any():
        found[_by_address(start)] = by_address
    return found


def _starts(gap: Ints, size: Ints, part_first: NDArray[np.intp], part_start: Ints) -> Ints:
    """Sum up to addresses as if all regions were one part, then move each part to where its first region is."""
    start = np.cumsum(gap + size) - size
    nr_regions = np.diff(part_first)
    filled = nr_regions > 0
    moved = np.zeros(len(nr_regions), np.int64)
    moved[filled] = part_start[filled] - start[part_first[:-1][filled]]
    start += np.repeat(moved, nr_regions)
    return start
