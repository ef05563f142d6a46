"""The memory of the monitored processes, as the worker reads it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from damond.core import Mapping, ProcessMemory
from damond.core.mappings import Mappings
from damond.service.footprint import FootprintReader, joined

LIMIT_S = 20.0
MIB = 1024 * 1024


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process with 32 MiB that it has touched."""
    code = "import sys; kept = bytearray(b'x') * (32 << 20); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            os.sched_yield()  # until it waits to be read from, and faults no more pages in
        yield process
        process.kill()


def test_real_processes_are_read(sleeper: "subprocess.Popen[bytes]") -> None:
    """VSZ and RSS are those that everybody sees; PSS is read too, later; mappings have the heap and the program."""
    clock = Clock()
    reader = FootprintReader(now=clock)
    reader.look([(7, sleeper.pid)])
    reader.wait(LIMIT_S)
    (found,) = reader.latest()
    known = psutil.Process(sleeper.pid).memory_info()
    assert (found.target_id, found.pid) == (7, sleeper.pid)
    assert (found.vsz_bytes, found.rss_bytes) == (known.vms, known.rss)
    assert {"[heap]", "[stack]", "libc.so.6"} <= {each.name for each in found.mappings}
    clock.now_s = 5.0
    reader.look([(7, sleeper.pid)])
    reader.wait(LIMIT_S)
    (found,) = reader.latest()
    assert found.pss_bytes is not None
    assert 32 * MIB < found.pss_bytes <= found.rss_bytes


def test_a_process_that_has_ended_is_left_out(sleeper: "subprocess.Popen[bytes]") -> None:
    """And whoever gets its pid is never taken for it: its directory is kept open."""
    clock = Clock()
    reader = FootprintReader(now=clock)
    targets = [(7, sleeper.pid), (8, os.getpid())]
    reader.look(targets)
    reader.wait(LIMIT_S)
    assert [each.target_id for each in reader.latest()] == [7, 8]
    sleeper.kill()
    sleeper.wait()
    clock.now_s = 5.0
    reader.look(targets)
    reader.wait(LIMIT_S)
    assert [each.target_id for each in reader.latest()] == [8]


def _process(root: Path, pid: int, cgroup: str, **files: str) -> None:
    directory = root / "proc" / str(pid)
    directory.mkdir(parents=True)
    (directory / "status").write_text("Name:\tx\nVmSize:\t    1000 kB\nVmRSS:\t     500 kB\n")
    (directory / "cgroup").write_text(cgroup)
    for name, text in {"maps": "", "smaps_rollup": "", **files}.items():
        (directory / name).write_text(text)


LIMITS = {
    "none": ("0::/a/b\n", {}, None),
    "own": ("0::/a/b\n", {"a/b/memory.max": "4096"}, 4096),
    "of one above": ("0::/a/b\n", {"a/memory.max": "8192", "a/b/memory.max": "max"}, 8192),
    "the least counts": ("0::/a/b\n", {"a/memory.max": "8192", "a/b/memory.max": "16384"}, 8192),
    "version 1": ("9:cpu:/x\n8:memory:/s\n", {"memory/s/memory.limit_in_bytes": "65536"}, 65536),
    "version 1 without": ("8:memory:/s\n", {"memory/s/memory.limit_in_bytes": "9223372036854771712"}, None),
    "of another namespace": ("0::/../other\n", {"memory.max": "4096"}, None),
}


@pytest.mark.parametrize("case", LIMITS)
def test_limits_of_cgroups(tmp_path: Path, case: str) -> None:
    """The least of a cgroup and those above it holds, in both versions."""
    cgroup, files, expected = LIMITS[case]
    _process(tmp_path, 5, cgroup)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    reader = FootprintReader(tmp_path / "proc", tmp_path / "cgroup")
    reader.look([(5, 5)])
    reader.wait(LIMIT_S)
    (found,) = reader.latest()
    assert found.limit_bytes == expected
    assert (found.vsz_bytes, found.rss_bytes, found.pss_bytes) == (1000 * 1024, 500 * 1024, None)


@pytest.mark.parametrize(
    ("max_cpu", "reading_s", "every_s"),
    # A hundredth of the time at most, and a twentieth of what the context may cost.
    [
        (None, 0.001, 4.9),
        (None, 0.1, 10),
        (0.01, 0.001, 4.9),
        (0.01, 0.01, 20),
        (0.001, 0.001, 20),
        (0.001, 0.1, 60),  # however little that is
        (1.0, 0.1, 10),
    ],
)
def test_reading_is_rarer_where_it_takes_long(
    tmp_path: Path, max_cpu: float | None, reading_s: float, every_s: float
) -> None:
    """At most every 5 s, and never more than a part of the time."""
    _process(tmp_path, 5, "")
    clock = Clock()
    used = Clock()
    reader = FootprintReader(tmp_path / "proc", tmp_path / "cgroup", clock, used)
    read = reader._read

    def slow_read(target_id: int, pid: int, max_mappings: int) -> ProcessMemory | None:
        used.now_s += reading_s
        clock.now_s += 0.5  # kept waiting, which costs nothing
        return read(target_id, pid, max_mappings)

    reader._read = slow_read  # type: ignore[method-assign] - takes its time

    def sizes_at(seconds: float, rss_kib: int) -> int:
        clock.now_s = seconds
        (tmp_path / "proc/5/status").write_text(f"VmSize: 1000 kB\nVmRSS: {rss_kib} kB\n")
        reader.look([(5, 5)], max_cpu)
        reader.wait(LIMIT_S)
        return reader.latest()[0].rss_bytes // 1024

    assert sizes_at(0.0, 1) == 1
    assert sizes_at(every_s - 0.1, 2) == 1
    assert sizes_at(every_s + 0.1, 3) == 3


def test_a_new_process_is_read_soon(tmp_path: Path) -> None:
    """Not only when those before are due again; and a process that can't be read is no news each time."""
    for pid in (5, 6):
        _process(tmp_path, pid, "", status="VmSize: 1000 kB\nVmRSS: 100 kB\n", maps="")
    clock, used = Clock(), Clock()
    reader = FootprintReader(tmp_path / "proc", tmp_path / "cgroup", clock, used)
    readings = []
    read = reader._read

    def slow_read(target_id: int, pid: int, max_mappings: int) -> ProcessMemory | None:
        used.now_s += 0.05
        readings.append((clock.now_s, pid))
        return read(target_id, pid, max_mappings)

    reader._read = slow_read  # type: ignore[method-assign] - takes its time

    def look_at(seconds: float, *pids: int) -> None:
        clock.now_s = seconds
        reader.look([(pid, pid) for pid in pids], 0.001)
        reader.wait(LIMIT_S)

    look_at(0, 5)
    look_at(6, 5)
    look_at(7, 5, 6, 99)
    look_at(13, 5, 6, 99)
    look_at(20, 5)
    look_at(21, 5, 99, 7)  # 99 is none; three readings of 50 ms are 15 s at a hundredth of a CPU
    look_at(23, 5, 6, 7)
    assert readings == [(0, 5), (7, 5), (7, 6), (7, 99), (23, 5), (23, 6), (23, 7)]


def test_pss_is_read_seldom(tmp_path: Path) -> None:
    """A fiftieth of what the context may cost: 20 ms at 1 % of a CPU are every 100 s."""
    _process(tmp_path, 5, "", status="VmSize: 1000 kB\nVmRSS: 100 kB\n", maps="")
    clock, used = Clock(), Clock()
    reader = FootprintReader(tmp_path / "proc", tmp_path / "cgroup", clock, used)
    readings = []

    def slow_pss(pid: int) -> int | None:
        used.now_s += 0.02
        readings.append(clock.now_s)
        return pid

    reader._read_pss = slow_pss  # type: ignore[method-assign] - takes its time
    for second in range(0, 220, 5):
        clock.now_s = second
        reader.look([(5, 5)], 0.01)
        reader.wait(LIMIT_S)
    assert readings == [0, 100, 200]


MAPS = b"""\
1000-2000 r--p 00000000 08:01 9 /usr/lib/libc.so.6
2000-3000 r-xp 00001000 08:01 9 /usr/lib/libc.so.6
3000-4000 rw-p 00000000 00:00 0
8000-9000 rw-p 00000000 00:00 0
ff000-100000 rw-p 00000000 00:00 0 [stack]
"""


def test_neighbours_of_a_name_are_joined() -> None:
    """The four pieces of a library are one; a gap is kept."""
    assert joined(Mappings.parse(MAPS), 10) == (
        Mapping(0x1000, 0x3000, "libc.so.6"),
        Mapping(0x3000, 0x4000, "anonymous"),
        Mapping(0x8000, 0x9000, "anonymous"),
        Mapping(0xFF000, 0x100000, "[stack]"),
    )


@pytest.mark.parametrize(
    ("limit", "ranges"), [(3, [(1, 4), (8, 9), (255, 256)]), (2, [(1, 9), (255, 256)]), (1, [(1, 256)])]
)
def test_too_many_mappings_are_joined_at_the_least_gaps(limit: int, ranges: list[tuple[int, int]]) -> None:
    """What is mapped stays covered; the widest gaps stay gaps."""
    found = joined(Mappings.parse(MAPS), limit)
    assert [(each.start // 4096, each.end // 4096) for each in found] == ranges
    assert found[0].name.startswith("libc.so.6")
