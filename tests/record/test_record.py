"""What was written can be read, while it is being written and later."""

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from damond.errors import RecordBusyError, RecordError, UnknownNameError
from damond.record import Record, RecordWriter
from tests.record.make import AGGR_NS, HOST, START_NS, assert_same, make_snapshot


def _write(path: Path, numbers: range, **more: object) -> None:
    with RecordWriter(path) as writer:
        for number in numbers:
            writer.add(make_snapshot(number, **more))  # type: ignore[arg-type]


def test_snapshots_come_back(tmp_path: Path) -> None:
    """As they came over the stream, with their origin; and the context with its span."""
    path = tmp_path / "a.damond"
    _write(path, range(30))
    with Record.open(path) as record:
        (context,) = record.contexts()
        assert (context.name, context.host, context.primitive) == ("web", HOST, "synthetic")
        assert (context.first_ns, context.last_ns, context.nr_snapshots) == (START_NS, START_NS + 30 * AGGR_NS, 30)
        found = list(record.snapshots("web"))
    for number, each in enumerate(found):
        assert_same(each, make_snapshot(number))


def test_what_is_written_at_once_is_divided(tmp_path: Path) -> None:
    """Ten minutes that come at once (a disk was full) are kept by the minute, in order, as if they had come slowly.

    As one batch, each look at any moment would unpack all of it.
    """
    path = tmp_path / "a.damond"
    with RecordWriter(path) as writer:
        for number in range(5):
            writer.add(make_snapshot(number))
        writer.flush()
        for number in range(5, 6000):
            writer.add(make_snapshot(number))
        writer.flush()
        with Record.open(path) as record:
            blocks = list(record.blocks("web"))
    assert [each.nr_snapshots for each in blocks[:-1]] == [605] + [600] * 8
    assert np.concatenate([each.column("seq") for each in blocks]).tolist() == list(range(6000))


def test_a_range_of_time_is_what_overlaps_it(tmp_path: Path) -> None:
    """Of a range that begins and ends within windows, these windows are part; blocks are cut to it too."""
    path = tmp_path / "a.damond"
    _write(path, range(30))
    with Record.open(path) as record:
        bounds = (START_NS + 10 * AGGR_NS + 1, START_NS + 12 * AGGR_NS + 1)
        assert [each.origin.seq for each in record.snapshots("web", *bounds) if each.origin] == [10, 11, 12]
        assert sum(block.nr_snapshots for block in record.blocks("web", *bounds)) == 3
        with pytest.raises(RecordError, match="nothing of web@box") as caught:
            record.spanning("web", START_NS + 40 * AGGR_NS)
        assert "2023-11-14 22:13:20 UTC" in caught.value.hint


def test_a_record_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    """A reader sees what was flushed, also in the middle of an iteration that began before more was."""
    path = tmp_path / "a.damond"
    with RecordWriter(path) as writer, Record.open(path) as record:
        assert record.contexts() == ()
        writer.add(make_snapshot(0))
        writer.flush()
        reading = record.snapshots("web")
        assert_same(next(reading), make_snapshot(0))
        writer.add(make_snapshot(1))
        writer.flush()
        assert list(reading) == []
        assert len(list(record.snapshots("web"))) == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.damond"]


def test_a_record_is_continued(tmp_path: Path) -> None:
    """A second run appends; what was lost between is known, since the worker was the same."""
    path = tmp_path / "a.damond"
    _write(path, range(10))
    _write(path, range(25, 30))
    with Record.open(path) as record:
        (gap,) = record.gaps("web")
        assert (gap.missed, gap.restarted, gap.reason) == (15, False, "lost")
        assert (gap.start_ns, gap.end_ns) == (START_NS + 10 * AGGR_NS, START_NS + 25 * AGGR_NS)
        assert [each.origin.missed for each in record.snapshots("web") if each.origin] == [0] * 10 + [15] + [0] * 4


def test_restarts_silence_and_clock_steps_are_gaps(tmp_path: Path) -> None:
    """Each says what it was; nothing is put in another order."""
    path = tmp_path / "a.damond"
    with RecordWriter(path) as writer:
        writer.add(make_snapshot(0))
        writer.add(make_snapshot(5, epoch=2, seq=3))
        writer.add(make_snapshot(100, epoch=2, seq=4))
        writer.add(make_snapshot(50, epoch=2, seq=5))
    with Record.open(path) as record:
        assert [(each.reason, each.missed) for each in record.gaps("web")] == [
            ("restarted", 3),
            ("silent", 0),
            ("clock", 0),
        ]
        starts = [(each.start_ns - START_NS) // AGGR_NS for each in record.snapshots("web")]
    assert starts == [0, 5, 100, 50]


def test_two_hosts_are_two_contexts(tmp_path: Path) -> None:
    """A name that two hosts have needs the host; one that none has is told with the nearest."""
    path = tmp_path / "a.damond"
    _write(path, range(3))
    _write(path, range(4), host="other")
    with Record.open(path) as record:
        assert record.context("web@other").nr_snapshots == 4
        with pytest.raises(RecordError, match="on 2 hosts") as caught:
            record.context("web")
        assert "web@box and web@other" in caught.value.hint
        with pytest.raises(UnknownNameError, match="wep"):
            record.context("wep")


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    """One record, one writer: the other is told; the lock ends with its holder."""
    path = tmp_path / "a.damond"
    with RecordWriter(path), pytest.raises(RecordBusyError, match=r"records into"):
        RecordWriter(path)
    RecordWriter(path).close()


def test_sealing_changes_nothing_but_the_size(tmp_path: Path) -> None:
    """Two minutes in small batches become few large ones; a reader finds the same."""
    path = tmp_path / "a.damond"
    with RecordWriter(path) as writer, Record.open(path) as record:
        for number in range(1300):
            writer.add(make_snapshot(number))
            if number % 10 == 9:
                writer.flush()
                while writer.seal_one():
                    pass
        blocks = [block.nr_snapshots for block in record.blocks("web")]
        assert blocks[0] >= 600
        assert sum(blocks) == 1300
        for number, each in enumerate(record.snapshots("web")):
            assert each.origin is not None
            assert (each.origin.seq, each.origin.missed) == (number, 0)


BAD = {
    "missing": (None, "No such file", "damond record"),
    "empty": (b"", "is empty", "damond import"),
    "text": (b"# not a record\n" * 400, "is no record", "damond import"),
    "damo": (b"x\x9c" + os.urandom(5000), "is no record", "damond import"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_record_is_refused(tmp_path: Path, case: str) -> None:
    """With words on what it is, and what to do."""
    content, words, hint = BAD[case]
    path = tmp_path / "a.damond"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecordError, match=words) as caught:
        Record.open(path)
    assert hint in caught.value.hint


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """It is not guessed at, neither to read nor to append."""
    path = tmp_path / "a.damond"
    _write(path, range(3))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    for use in (Record.open, RecordWriter):
        with pytest.raises(RecordError, match="version 99") as caught:
            use(path)
        assert "update" in caught.value.hint


def test_a_foreign_database_is_refused(tmp_path: Path) -> None:
    """Nothing is read from it, and nothing written to it."""
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes(text)")
    connection.close()
    before = path.read_bytes()
    for use in (Record.open, RecordWriter):
        with pytest.raises(RecordError, match="another program"):
            use(path)
    assert path.read_bytes() == before


def test_a_cut_record_is_told(tmp_path: Path) -> None:
    """A file that was copied in part says so at once."""
    path = tmp_path / "a.damond"
    _write(path, range(500))
    raw = path.read_bytes()
    for length in (len(raw) - 1, len(raw) // 2, 5000):
        path.write_bytes(raw[:length])
        with pytest.raises(RecordError, match=r"is cut|damaged"):
            Record.open(path)


def test_a_damaged_stretch_is_left_out(tmp_path: Path) -> None:
    """The rest is read, and the reader knows what is missing."""
    path = tmp_path / "a.damond"
    _write(path, range(5))
    _write(path, range(5, 10))
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE batch SET body = CAST(substr(body, 1, 30) || x'00' || substr(body, 32) AS BLOB) WHERE id = 1"
        )
    connection.close()
    with Record.open(path) as record:
        assert [each.origin.seq for each in record.snapshots("web") if each.origin] == [5, 6, 7, 8, 9]
        (gap,) = record.damaged
    assert (gap.reason, gap.missed) == ("damaged", 5)
    assert (gap.start_ns, gap.end_ns) == (START_NS, START_NS + 5 * AGGR_NS)
