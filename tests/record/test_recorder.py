"""A recorder writes beside whoever hands messages over."""

import time
from pathlib import Path

import pytest

from damond.core import Origin
from damond.errors import RecordBusyError, RecordError
from damond.record import Record, Recorder
from damond.stream.wire import Event
from tests.record.make import HOST, START_NS, make_snapshot

LIMIT_S = 20.0


def test_what_comes_is_on_the_disk_a_second_later(tmp_path: Path) -> None:
    """Without anything else happening: whoever opens the record sees it."""
    path = tmp_path / "a.damond"
    with Recorder(path) as recorder:
        delays = []
        for number in range(5):
            recorder.add([make_snapshot(number)])
            begin_s = time.monotonic()
            with Record.open(path) as record:
                while len(list(record.snapshots("web") if record.contexts() else [])) <= number:
                    assert time.monotonic() < begin_s + LIMIT_S
            delays.append(time.monotonic() - begin_s)
        assert sorted(delays)[2] < 1.0
        assert recorder.state.sz_bytes > 0
    assert recorder.state.nr_snapshots == 5


def test_the_end_writes_the_rest(tmp_path: Path) -> None:
    """Events are kept too; one plain file is left."""
    path = tmp_path / "a.damond"
    event = Event(context="web", time_ns=START_NS, event="started", origin=Origin(host=HOST, epoch=1, seq=0))
    with Recorder(path) as recorder:
        recorder.add([event, *(make_snapshot(number) for number in range(20))])
    assert [each.name for each in tmp_path.iterdir()] == ["a.damond"]
    with Record.open(path) as record:
        assert list(record.events("web")) == [event]
        assert record.contexts()[0].nr_snapshots == 20


def test_a_record_that_is_lost_is_told(tmp_path: Path) -> None:
    """Whoever hands messages over gets the error, and so does whoever closes."""
    recorder = Recorder(tmp_path / "a.damond")
    recorder._writer._connection.execute("DROP TABLE batch")
    deadline = time.monotonic() + LIMIT_S

    def add_for_long() -> None:
        for number in range(10**6):
            recorder.add([make_snapshot(number)])
            assert time.monotonic() < deadline

    with pytest.raises(RecordError, match="no such table"):
        add_for_long()
    with pytest.raises(RecordError, match="no such table"):
        recorder.close()


def test_a_message_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    """What goes wrong in the thread that writes, whatever it is, is no silence."""
    recorder = Recorder(tmp_path / "a.damond")
    recorder.add([Event(context="web", time_ns=START_NS, event="started", details={"odd": object()})])
    deadline = time.monotonic() + LIMIT_S
    with pytest.raises(RecordError, match="TypeError"):  # noqa: PT012 - whenever it is seen
        while time.monotonic() < deadline:
            recorder.add([])
    with pytest.raises(RecordError, match="TypeError"):
        recorder.close()


def test_a_record_in_use_is_refused(tmp_path: Path) -> None:
    """At once, before anything is recorded."""
    with Recorder(tmp_path / "a.damond"), pytest.raises(RecordBusyError):
        Recorder(tmp_path / "a.damond")
