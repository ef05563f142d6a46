"""Whatever ends a writer, what was on the disk before stays there."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from damond.errors import RecordFullError
from damond.record import Record, RecordWriter
from tests.record.make import make_snapshot, make_target

LIMIT_S = 60.0
STRIDE = 61
"""Every byte of the last write is where it may end; at every 61st (no multiple of it is a multiple of anything in the
format) all that is left is read, at the others it is counted."""


@dataclass
class Scene:
    """Two commits, the second of which is to suffer.

    Attributes:
        before: The files after the first.
        after: The files after the second.
    """

    before: dict[str, bytes]
    after: dict[str, bytes]

    def lay_out(self, directory: Path, **changed: bytes) -> Path:
        """Write the files as they would be found after a power cut: without the shared memory."""
        for each in directory.iterdir():
            each.unlink()
        for suffix, raw in {**self.after, **changed}.items():
            (directory / f"a.damond{suffix}").write_bytes(raw)
        return directory / "a.damond"


def _files(path: Path) -> dict[str, bytes]:
    return {
        suffix: path.with_name(path.name + suffix).read_bytes()
        for suffix in ("", "-wal")
        if path.with_name(path.name + suffix).exists()
    }


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """20 snapshots, then 10 more."""
    path = tmp_path_factory.mktemp("scene") / "a.damond"
    writer = RecordWriter(path)
    files = []
    for numbers in (range(20), range(20, 30)):
        for number in numbers:
            writer.add(make_snapshot(number))
        writer.flush()
        files.append(_files(path))
    writer.abandon()
    return Scene(*files)


def _seqs(path: Path) -> list[int]:
    with Record.open(path) as record:
        return [each.origin.seq for each in record.snapshots("web") if each.origin]


def _offsets(scene: Scene) -> Iterator[int]:
    first, behind = len(scene.before["-wal"]), len(scene.after["-wal"])
    assert behind > first
    yield from range(first, behind, STRIDE)
    yield behind - 1


def _nr_snapshots(path: Path) -> int:
    """Count what is in a record, found as after a power cut: without the shared memory. By SQLite alone: 0.4 ms."""
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT sum(nr_snapshots) FROM batch").fetchone()[0])


def test_a_write_cut_at_any_byte_loses_itself_alone(scene: Scene, tmp_path: Path) -> None:
    """Cut anywhere, the last commit is there as a whole or not at all, and the one before always is."""
    wal = scene.after["-wal"]
    for offset in _offsets(scene):
        path = scene.lay_out(tmp_path, **{"-wal": wal[:offset]})
        assert _seqs(path) == list(range(20)), offset
    path = scene.lay_out(tmp_path)
    assert _seqs(path) == list(range(30))
    for offset in range(len(wal) - 1, len(scene.before["-wal"]) - 1, -1):
        os.truncate(f"{path}-wal", offset)
        assert _nr_snapshots(path) == 20, offset


def test_a_write_torn_at_any_byte_loses_itself_alone(scene: Scene, tmp_path: Path) -> None:
    """As after a power cut in which the file had grown, and only some of the content had come: zeros from there on."""
    wal = scene.after["-wal"]
    for offset in _offsets(scene):
        if any(wal[offset:]):
            path = scene.lay_out(tmp_path, **{"-wal": wal[:offset] + bytes(len(wal) - offset)})
            assert _seqs(path) == list(range(20)), offset
    path = scene.lay_out(tmp_path)
    with Path(f"{path}-wal").open("r+b", buffering=0) as file:
        for offset in range(len(wal) - 1, len(scene.before["-wal"]) - 1, -1):
            file.seek(offset)
            file.write(bytes(1))
            if any(wal[offset:]):
                assert _nr_snapshots(path) == 20, offset


def test_a_writer_goes_on_after_a_cut(scene: Scene, tmp_path: Path) -> None:
    """What was lost is a gap, known to the snapshot; nothing is there twice."""
    wal = scene.after["-wal"]
    path = scene.lay_out(tmp_path, **{"-wal": wal[: len(wal) - 100]})
    with RecordWriter(path) as writer:
        writer.add(make_snapshot(30))
    assert _seqs(path) == [*range(20), 30]
    with Record.open(path) as record:
        assert [(each.missed, each.reason) for each in record.gaps("web")] == [(10, "lost")]


def test_a_cut_while_the_log_goes_into_the_database(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> None:
    """A checkpoint may be cut at any byte of the database: the log has all of it still."""
    directory = tmp_path_factory.mktemp("checkpoint")
    path = scene.lay_out(directory)
    RecordWriter(path).close()
    done = path.read_bytes()
    for offset in range(0, len(done), 997):
        torn = done[:offset] + scene.after[""][offset:]
        assert _seqs(scene.lay_out(directory, **{"": torn[: max(offset, len(scene.after[""]))]})) == list(range(30))


WRITER = """
import sys
from pathlib import Path
from damond.record import Recorder
from tests.record.make import make_snapshot

recorder = Recorder(Path(sys.argv[1]))
for line in sys.stdin:
    recorder.add([make_snapshot(int(line))])
    state = recorder.state
    print(state.nr_snapshots, flush=True)
"""


def test_kill_loses_at_most_what_was_not_told_yet(tmp_path: Path) -> None:
    """SIGKILL at any moment: what the recorder has said to be written is there, in order, and can be appended to."""
    path = tmp_path / "a.damond"
    number = 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            told, begun = 0, number
            while told < 10:
                print(number, file=process.stdin, flush=True)
                number += 1
                told = int(process.stdout.readline())
            process.kill()
        found = _seqs(path)
        assert found == sorted(set(found))
        assert len([each for each in found if each >= begun]) >= told


FULL = """
import resource, sys, time
from pathlib import Path
from damond.record import Record, Recorder
from tests.record.make import make_snapshot, make_target

path = Path(sys.argv[1])
recorder = Recorder(path)

def until(what, add):
    number, deadline = add, time.monotonic() + 50
    while not what(recorder.state):
        assert time.monotonic() < deadline, recorder.state
        rows = [(page * 8192, 4096, (page * number) % 21, page ^ number) for page in range(2000)]
        recorder.add([make_snapshot(number, make_target(rows))])
        number += 1
        time.sleep(0.01)
    return number

number = until(lambda state: state.nr_snapshots > 5, 0)
size = path.with_name(path.name + "-wal").stat().st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, resource.RLIM_INFINITY))
number = until(lambda state: state.trouble, number)
with Record.open(path) as record:
    print("while full", sum(block.nr_snapshots for block in record.blocks("web")) > 5)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
number = until(lambda state: not state.trouble, number)
recorder.close()
with Record.open(path) as record:
    seqs = [each.origin.seq for each in record.snapshots("web")]
    print("afterwards", seqs == list(range(number)), list(record.gaps("web")))
"""


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    """While nothing can be written the recorder says so, and what was there can be read; then all of it is written."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "a.damond")],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["while full True", "afterwards True []"]


def test_a_disk_that_stays_full_costs_a_bounded_amount_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest of what waits is given up, counted, and a gap in the record once it goes on."""
    monkeypatch.setattr("damond.record.writer.MAX_WAITING_REGIONS", 20)
    path = tmp_path / "a.damond"
    with RecordWriter(path) as writer:
        writer.add(make_snapshot(0))
        writer.flush()
        (pages,) = writer._connection.execute("PRAGMA page_count").fetchone()
        writer._connection.execute(f"PRAGMA max_page_count = {pages}")
        for number in range(1, 2000):
            writer.add(make_snapshot(number, make_target([(4096, 8192, number % 21, number * 2654435761 % 2**32)] * 2)))
        with pytest.raises(RecordFullError, match="full") as caught:
            writer.flush()
        assert "make room" in caught.value.hint
        assert writer.nr_dropped == 1989
        writer._connection.execute("PRAGMA max_page_count = 1000000")
    assert _seqs(path) == [0, *range(1990, 2000)]
    with Record.open(path) as record:
        assert [(each.missed, each.reason) for each in record.gaps("web")] == [(1989, "lost")]
