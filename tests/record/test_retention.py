"""Old things go, a little at a time, and nothing else does."""

from pathlib import Path

import numpy as np
import pytest

from damond.core import Mapping, Origin, ProcessMemory, Summary, TargetSnapshot
from damond.record import Record, RecordWriter, Retention, database, deletion, writer
from tests.record.make import AGGR_NS, HOST, START_NS, make_snapshot, make_target

SEC_NS = 1_000_000_000
MIB = 1024 * 1024


def _summary(second: int, *names: str) -> Summary:
    mappings = tuple(Mapping(4096 * (number + 1), 4096 * (number + 2), name) for number, name in enumerate(names))
    memory = ProcessMemory(target_id=7, pid=42, vsz_bytes=10, rss_bytes=second, mappings=mappings)
    return Summary(
        context="web",
        end_ns=START_NS + second * SEC_NS,
        total_bytes=10,
        accessed_bytes=5,
        bandwidth_bps=1,
        nr_regions=2,
        checks_per_s=400.0,
        cpu_fraction=0.01,
        memory=(memory,),
        origin=Origin(host=HOST, epoch=1, seq=second),
    )


def _noise(seed: int, nr_regions: int) -> TargetSnapshot:
    """Make regions that can hardly be packed."""
    ages = np.random.default_rng(seed).integers(0, 2**32, nr_regions).tolist()
    return make_target([(page * 8192, 4096, 0, age) for page, age in enumerate(ages)])


def _fill(into: RecordWriter, seconds: range) -> None:
    for second in seconds:
        for tenth in range(10):
            into.add(make_snapshot(second * 10 + tenth))
        into.add(_summary(second, "[heap]" if second < 20 else "libc.so.6"))
        into.flush()
        while into.seal_one():
            pass


def test_what_is_too_old_goes(tmp_path: Path) -> None:
    """All of a batch or nothing of it; what a process had mapped when the rest begins stays known."""
    path = tmp_path / "a.damond"
    retention = Retention(max_age_us=130 * 1_000_000, wall_ns=lambda: START_NS + 400 * SEC_NS)
    with RecordWriter(path) as kept:
        _fill(kept, range(400))
        steps = 0
        while retention.step(kept):
            steps += 1
    assert steps >= 1
    with Record.open(path) as record:
        (context,) = record.contexts()
        oldest_s = (context.first_ns - START_NS) / SEC_NS
        assert 270 - writer.SEAL_AFTER_NS / SEC_NS - 1 <= oldest_s <= 270
        assert context.last_ns == START_NS + 4000 * AGGR_NS
        assert min(each.end_ns for each in record.summaries("web")) == START_NS + 270 * SEC_NS
        assert min(each.time_ns for each in record.memory("web")) == START_NS + 270 * SEC_NS
        (mapped,) = record.mappings("web")
        assert (mapped.time_ns, mapped.mappings[0].name) == (START_NS + 20 * SEC_NS, "libc.so.6")


def test_a_record_stays_below_its_size(tmp_path: Path) -> None:
    """The oldest goes first; the file never grows above the limit, what the log may take included."""
    path = tmp_path / "a.damond"
    limit = database.WAL_SZ + 2 * MIB
    retention = Retention(max_sz_bytes=limit, monotonic_s=iter(range(10**9)).__next__)
    largest = 0
    with RecordWriter(path) as kept:
        for number in range(400):
            kept.add(make_snapshot(number, _noise(number, 2500)))
            kept.flush()
            while kept.seal_one() or retention.step(kept):
                pass
            largest = max(largest, path.stat().st_size + path.with_name("a.damond-wal").stat().st_size)
    assert largest <= limit
    assert largest > limit // 2
    with Record.open(path) as record:
        seqs = [each.origin.seq for each in record.snapshots("web") if each.origin]
    assert seqs == list(range(seqs[0], 400))
    assert seqs[0] > 0


def test_room_is_given_back(tmp_path: Path) -> None:
    """When most of a record goes, the file becomes smaller, in small steps."""
    path = tmp_path / "a.damond"
    with RecordWriter(path) as kept:
        for number in range(300):
            kept.add(make_snapshot(number, _noise(number, 2000)))
            kept.flush()
        kept._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = path.stat().st_size
        while kept.delete_oldest(START_NS + 290 * AGGR_NS, None):
            pass
        kept._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert path.stat().st_size < before // 2
        assert deletion.used_bytes(kept._connection) < before // 4


def test_recording_goes_on_between_steps(tmp_path: Path) -> None:
    """One step deletes a bounded number of rows, whatever there is to delete."""
    path = tmp_path / "a.damond"
    with RecordWriter(path) as kept:
        for number in range(100):
            kept.add(make_snapshot(number))
            kept.flush()
        steps = 0
        while kept.delete_oldest(START_NS + 90 * AGGR_NS, None):
            steps += 1
            kept.add(make_snapshot(100 + steps))
            kept.flush()
        assert steps >= 90 // deletion._BATCHES
    with Record.open(path) as record:
        assert record.contexts()[0].nr_snapshots == 10 + steps


@pytest.mark.parametrize("how", [Retention(), Retention(max_age_us=10**15), Retention(max_sz_bytes=2**40)])
def test_without_need_nothing_goes(tmp_path: Path, how: Retention) -> None:
    """No limit, or one that is not reached: nothing is deleted."""
    with RecordWriter(tmp_path / "a.damond") as kept:
        _fill(kept, range(3))
        assert not how.step(kept)
