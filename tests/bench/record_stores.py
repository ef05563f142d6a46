"""Compares ways of keeping a day of snapshots: the store of damond.record (SQLite) and Parquet.

``python tests/bench/record_stores.py [SNAPSHOTS]`` (864,000 is a day at 10 Hz; the default). Needs pyarrow. The
workload is the five synthetic tracks with about 100 regions, in virtual time, with the jitter of a real worker.
"""

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from damond.core import Attrs, Context, Kdamond, Origin, Primitive, Snapshot, Target
from damond.plugin import Registry
from damond.record import Block, Record, RecordWriter, codec

DAY = 864_000
BATCH = 600
NR_DISTINCT = 6_000
"""Ten minutes are simulated; a day is made of them, with times that go on."""

TWO_HOURS_NS = 2 * 3600 * 1_000_000_000
NR_TIMES, NR_ADDRS = 120, 512


class Jittery:
    """Virtual time of a worker: each sample is late by some 60 us, and costs some 130 us."""

    def __init__(self, samples: int) -> None:
        self._left = samples
        self._now_ns = 0
        self._cpu_us = 0
        self._rng = np.random.default_rng(5)

    def wall_ns(self) -> int:
        return 1_700_000_000_000_000_000 + self._now_ns

    def monotonic_ns(self) -> int:
        return self._now_ns

    def cpu_us(self) -> int:
        return self._cpu_us

    def wait(self, timeout_s: float) -> bool:
        self._now_ns += round(timeout_s * 1e9) + int(self._rng.exponential(60_000))
        self._cpu_us += 100 + int(self._rng.integers(0, 60))
        self._left -= 1
        return self._left < 0


class Sink:
    """Keeps the snapshots, as they would come over the stream."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []

    def started(self, ctx: Context, primitive: Primitive) -> None:
        pass

    def tuned(self, ctx: Context, old: Attrs) -> None:
        pass

    def aggregated(self, snapshot: Snapshot) -> None:
        origin = Origin(host="bench", epoch=1, seq=len(self.snapshots))
        self.snapshots.append(replace(snapshot, origin=origin))


def five_tracks(nr_snapshots: int, min_nr_regions: int = 85) -> list[Snapshot]:
    """Monitor the five tracks; no region may be larger than a part of the whole, so that there are about 100."""
    primitive = Registry(offering="synthetic").make("synthetic", {"preset": "five_tracks"})
    attrs = Attrs(min_nr_regions=min_nr_regions)
    ctx = Context(name="tracks", attrs=attrs, targets=[Target(0)], rng=np.random.default_rng(1))
    sink, time_passes = Sink(), Jittery(nr_snapshots * attrs.samples_per_aggr)
    Kdamond(ctx, primitive, clock=time_passes, stop=time_passes, sink=sink).run()
    return [each for each in sink.snapshots if not each.partial]


def day(snapshots: list[Snapshot], nr_snapshots: int) -> Iterator[Block]:
    """Repeat them with times and numbers that go on."""
    blocks = [Block.of(snapshots[first : first + BATCH]) for first in range(0, len(snapshots), BATCH)]
    span_ns = snapshots[-1].end_ns - snapshots[0].start_ns
    for number in range(nr_snapshots // BATCH):
        turn, block = number // len(blocks), blocks[number % len(blocks)]
        moved = {
            "start_ns": block.column("start_ns") + turn * span_ns,
            "end_ns": block.column("end_ns") + turn * span_ns,
            "seq": block.column("seq") + turn * len(snapshots),
        }
        yield replace(block, scalars={**block.scalars, **moved})


def heat_map(blocks: Iterator[tuple[np.ndarray, ...]], from_ns: int, size: int) -> np.ndarray:
    """Sum accesses into cells of time and address; the same work for every store."""
    heat = np.zeros(NR_TIMES * NR_ADDRS)
    for end_ns, start, length, nr_accesses in blocks:
        row = np.minimum((end_ns - from_ns) * NR_TIMES // TWO_HOURS_NS, NR_TIMES - 1)
        column = (start + length // np.uint64(2)) * np.uint64(NR_ADDRS) // np.uint64(size)
        cell = row * NR_ADDRS + column.astype(np.int64)
        heat += np.bincount(cell, nr_accesses * length.astype(np.float64), NR_TIMES * NR_ADDRS)
    return heat


class Sqlite:
    """The store of damond.record."""

    name = "SQLite, packed columns, zlib"

    def __init__(self, directory: Path) -> None:
        self.path = directory / "day.damond"

    def write(self, blocks: Iterator[Block]) -> None:
        # As sealed batches: a day of commits twice a second is measured on ten minutes, see live().
        with RecordWriter(self.path) as writer:
            writer.add(next(blocks).snapshot(0, "tracks", "bench"))  # enters the context
            writer.flush()
            connection = writer._connection
            connection.execute("DELETE FROM batch")
            connection.execute("BEGIN")
            for block in blocks:
                first_ns, last_ns = int(block.column("start_ns")[0]), int(block.column("end_ns")[-1])
                connection.execute(
                    "INSERT INTO batch(context_id, first_ns, last_ns, nr_snapshots, sealed, body) VALUES (1,?,?,?,1,?)",
                    (first_ns, last_ns, block.nr_snapshots, codec.pack(block)),
                )
            connection.execute("COMMIT")

    def read(self, from_ns: int, to_ns: int) -> Iterator[tuple[np.ndarray, ...]]:
        with Record.open(self.path) as record:
            for block in record.blocks("tracks", from_ns, to_ns):
                wanted = block.where((block.column("end_ns") > from_ns) & (block.column("end_ns") < to_ns))
                end_ns = wanted.column("end_ns")[wanted.region_snapshot()]
                yield end_ns, wanted.start, wanted.size, wanted.nr_accesses


class Parquet:
    """One row per region, sorted by time; a row group per minute, so that a range of time can be found."""

    name = "Parquet, a row per region, delta encoding, zstd"
    delta = ("time", "start")

    def __init__(self, directory: Path) -> None:
        self.path = directory / f"day-{type(self).__name__}.parquet"

    def columns(self, block: Block) -> dict[str, np.ndarray]:
        row = block.region_snapshot()
        scalars = {name: column[row] for name, column in block.scalars.items() if name != "end_ns"}
        return {
            "time": block.column("end_ns")[row],
            **scalars,
            "target": block.part_target[block.region_part()],
            "start": block.start,
            "size": block.size,
            "nr_accesses": block.nr_accesses,
            "age": block.age,
        }

    def write(self, blocks: Iterator[Block]) -> None:
        writer = None
        for block in blocks:
            table = pa.table(self.columns(block))
            if writer is None:
                encoding = dict.fromkeys(self.delta, "DELTA_BINARY_PACKED")
                dictionary = [name for name in table.column_names if name not in self.delta]
                writer = pq.ParquetWriter(
                    self.path, table.schema, compression="zstd", compression_level=9, use_dictionary=dictionary,
                    column_encoding=encoding,
                )  # fmt: skip
            writer.write_table(table, row_group_size=len(table))
        assert writer is not None
        writer.close()

    def read(self, from_ns: int, to_ns: int) -> Iterator[tuple[np.ndarray, ...]]:
        file = pq.ParquetFile(self.path)
        for number in range(file.num_row_groups):
            times = file.metadata.row_group(number).column(0).statistics
            if times.max > from_ns and times.min < to_ns:
                table = file.read_row_group(number, ["time", "start", "size", "nr_accesses"])
                time_ns, *rest = (column.to_numpy() for column in table.columns)
                wanted = (time_ns > from_ns) & (time_ns < to_ns)
                yield time_ns[wanted], *(column[wanted] for column in rest)


class NestedParquet(Parquet):
    """One row per snapshot, its regions as lists."""

    name = "Parquet, a row per snapshot, lists, zstd"
    delta = ()

    def columns(self, block: Block) -> dict[str, object]:
        offsets = pa.array(block.part_first.astype(np.int32))
        lists = {
            name: pa.ListArray.from_arrays(offsets, pa.array(getattr(block, name)))
            for name in ("start", "size", "nr_accesses", "age")
        }
        scalars = {name: column for name, column in block.scalars.items() if name != "end_ns"}
        return {"time": block.column("end_ns"), **scalars, **lists}

    def read(self, from_ns: int, to_ns: int) -> Iterator[tuple[np.ndarray, ...]]:
        file = pq.ParquetFile(self.path)
        for number in range(file.num_row_groups):
            times = file.metadata.row_group(number).column(0).statistics
            if times.max > from_ns and times.min < to_ns:
                table = file.read_row_group(number, ["time", "start", "size", "nr_accesses"])
                lists = [table.column(name).combine_chunks() for name in ("start", "size", "nr_accesses")]
                time_ns = np.repeat(table.column("time").to_numpy(), lists[0].value_lengths().to_numpy())
                wanted = (time_ns > from_ns) & (time_ns < to_ns)
                yield time_ns[wanted], *(each.values.to_numpy()[wanted] for each in lists)


def live(directory: Path, snapshots: list[Snapshot]) -> tuple[float, float, float]:
    """Record as it is done live, a commit every five snapshots; CPU and time per snapshot, and bytes at the end."""
    path = directory / "live.damond"
    cpu_s, begin_s = time.process_time(), time.perf_counter()
    with RecordWriter(path) as writer:
        for first in range(0, len(snapshots), 5):
            for each in snapshots[first : first + 5]:
                writer.add(each)
            writer.flush()
            writer.seal_one()
    spent = time.process_time() - cpu_s, time.perf_counter() - begin_s
    return spent[0] / len(snapshots), spent[1] / len(snapshots), path.stat().st_size / len(snapshots)


def timed(function: Callable[[], object]) -> float:
    gc.collect()
    begin_s = time.perf_counter()
    function()
    return time.perf_counter() - begin_s


def main() -> None:
    nr_snapshots = int(sys.argv[1]) if len(sys.argv) > 1 else DAY
    snapshots = five_tracks(min(NR_DISTINCT, nr_snapshots))
    regions = statistics.mean(each.nr_regions for each in snapshots)
    print(f"{nr_snapshots} snapshots of {regions:.0f} regions on average")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        cpu_s, wall_s, size = live(directory, snapshots)
        print(f"live, commits of 5: {cpu_s * 1e6:.0f} us CPU, {wall_s * 1e6:.0f} us per snapshot; {size:.0f} B each")
        from_ns = snapshots[0].start_ns + TWO_HOURS_NS  # from 02:00 to 04:00
        total = int(snapshots[0].total_bytes)
        maps = []
        for store in (Sqlite(directory), Parquet(directory), NestedParquet(directory)):
            write_s = timed(lambda store=store: store.write(day(snapshots, nr_snapshots)))
            read_s = [
                timed(
                    lambda store=store: maps.append(
                        heat_map(store.read(from_ns, from_ns + TWO_HOURS_NS), from_ns, total)
                    )
                )
                for _ in range(3)
            ]
            size = store.path.stat().st_size / nr_snapshots
            print(f"{store.name}: {size:.0f} B, {write_s / nr_snapshots * 1e6:.0f} us to write, each; ", end="")
            print(f"2 h as a heat map: {statistics.median(read_s):.2f} s (the first time {read_s[0]:.2f})")
        assert all(np.allclose(each, maps[0]) for each in maps), "the stores do not agree"


if __name__ == "__main__":
    main()
