import itertools
import mmap
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from damond import demo

LIMIT_S = 30


@contextmanager
def _demo(*args: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "damond.demo", *args]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def _areas(pid: int, sz_area: int) -> int:
    """Count the mappings of exactly this size."""
    text = Path(f"/proc/{pid}/maps").read_text()
    bounds = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", text, re.MULTILINE)
    return sum(int(end, 16) - int(start, 16) == sz_area for start, end in bounds)


def _wait_for_areas(process: subprocess.Popen[bytes], sz_area: int) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while _areas(process.pid, sz_area) < demo.NR_AREAS:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        os.sched_yield()


@pytest.mark.parametrize("size", [16, 64], ids=["small pages", "whole huge pages"])
def test_every_area_is_a_mapping_of_its_own(size: int) -> None:
    """Where only whole mappings can be told apart, the areas still can: the kernel joins none of them."""
    with _demo("--size", str(size)) as process:
        _wait_for_areas(process, (size << 20) // demo.NR_AREAS)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_cleanly(signum: signal.Signals) -> None:
    """Success, and not a word."""
    with _demo("--size", "16") as process:
        _wait_for_areas(process, 1 << 20)
        process.send_signal(signum)
        assert process.communicate(timeout=LIMIT_S) == (b"", b"")
        assert process.returncode == 0


def test_it_ends_by_itself() -> None:
    """When its time is over."""
    with _demo("--size", "1", "--for", "0.05") as process:
        assert process.wait(LIMIT_S) == 0


def test_it_is_no_load() -> None:
    """It uses a quarter of one CPU at most: it shall show where memory is touched, not warm the room."""
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    areas = demo.make_areas(4 << 20)
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    demo.run(areas, 1.0)
    assert (time.process_time() - started_cpu_s) / (time.monotonic() - started_s) < 0.25


def test_all_but_the_lukewarm_area_take_their_turn() -> None:
    """In 15 s the heat passes over each for as long as over any other, and at every step it moves on by one."""
    steps = [demo.hot_areas(second + 0.5) for second in range(demo.NR_AREAS - 1)]
    assert sorted(area for hot in steps for area in hot) == sorted([*range(demo.NR_AREAS - 1)] * demo.NR_HOT)
    assert all(left[1:] == right[:-1] for left, right in itertools.pairwise(steps))


def test_touch_reads_every_page() -> None:
    """One byte of each page."""
    with mmap.mmap(-1, 5 * mmap.PAGESIZE) as area:
        assert demo.touch(area) == 5


@pytest.mark.parametrize("args", [["--for", "0"], ["--size", "0"], ["--size", "x"]])
def test_nonsense_is_refused(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Impossible arguments end with a usage message."""
    with pytest.raises(SystemExit, match="2"):
        demo.main(args)
    assert "usage: python -m damond.demo" in capsys.readouterr().err
