import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from damond.cli.maps import MAX_TIME_SHARE, READ_EVERY_S, MapsReader
from damond.core import Snapshot, TargetSnapshot

LINE = "{:x}-{:x} rw-p 00000000 00:00 0 \n"


def _snapshot(*targets: tuple[int, int | None]) -> Snapshot:
    nothing = np.zeros(0, np.uint64)
    return Snapshot(
        context="web", primitive="vaddr", start_ns=0, end_ns=1, sample_us=1, aggr_us=1, update_us=1,
        min_nr_regions=10, max_nr_regions=10, max_nr_accesses=1, granularity=0, checks=0, unknown=0, cpu_us=0,
        overruns=0, partial=False,
        targets=tuple(
            TargetSnapshot(target_id, pid, nothing, nothing, nothing.astype(np.uint32), nothing.astype(np.uint32))
            for target_id, pid in targets
        ),
    )  # fmt: skip


class _Clock:
    now_s = 100.0
    step_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.step_s
        return self.now_s


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "maps").write_text(LINE.format(0, 4096))
    return tmp_path


@pytest.fixture
def reader(proc: Path, clock: _Clock) -> Iterator[MapsReader]:
    with MapsReader(proc, clock) as reader:
        yield reader


def _nr_mapped(reader: MapsReader) -> int:
    return len(reader.read(_snapshot((7, 7)))[7])


def test_a_process_is_looked_at_once_a_second(reader: MapsReader, proc: Path, clock: _Clock) -> None:
    """However many snapshots come."""
    assert _nr_mapped(reader) == 1
    (proc / "7" / "maps").write_text(LINE.format(0, 4096) + LINE.format(8192, 16384))
    clock.now_s += READ_EVERY_S * 0.9
    assert _nr_mapped(reader) == 1
    clock.now_s += READ_EVERY_S * 0.2
    assert _nr_mapped(reader) == 2


def test_a_costly_process_is_looked_at_less_often(reader: MapsReader, proc: Path, clock: _Clock) -> None:
    """One with so many mappings that reading takes a second, once in fifty."""
    clock.step_s = 1.0
    assert _nr_mapped(reader) == 1
    clock.step_s = 0.0
    (proc / "7" / "maps").write_text(LINE.format(0, 4096) + LINE.format(8192, 16384))
    clock.now_s += 0.9 / MAX_TIME_SHARE
    assert _nr_mapped(reader) == 1
    clock.now_s += 0.2 / MAX_TIME_SHARE
    assert _nr_mapped(reader) == 2


@pytest.mark.parametrize("ending", ["empty", "gone"])
def test_one_that_has_ended_keeps_what_it_had(reader: MapsReader, proc: Path, clock: _Clock, ending: str) -> None:
    """A zombie has an empty file, what was reaped has none."""
    _nr_mapped(reader)
    if ending == "empty":
        (proc / "7" / "maps").write_text("")
    else:
        (proc / "7" / "maps").unlink()
    clock.now_s += 10
    assert _nr_mapped(reader) == 1


def test_what_is_no_process_is_not_looked_for(reader: MapsReader) -> None:
    """Physical memory has no mappings, and a pid that does not exist none that are known."""
    assert reader.read(_snapshot((0, None), (9, 9))) == {}


def test_this_process_and_one_that_ends() -> None:
    """The real /proc: what is mapped here is there, and a child's last mappings outlive it."""
    with (
        subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child,
        MapsReader(now=iter(range(0, 1000, 10)).__next__) as reader,
    ):
        both = _snapshot((1, os.getpid()), (2, child.pid))
        before = reader.read(both)
        assert "[stack]" in before[1].names
        assert child.stdin is not None
        child.stdin.close()
        child.wait(30)
        assert len(reader.read(both)[2])
