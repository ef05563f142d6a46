"""Processes are found by what they run, also those that only the launcher may look at."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from damond.client import Client
from damond.errors import WorkerFailedError
from damond.service.launcher import executables
from damond.service.processes import Processes, is_alive, scan
from damond.service.selector import Selector, find
from tests.chaos.rig import Served, wait


class Launcher:
    """Reads what can be read, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    async def executables(self, pids: Sequence[int]) -> dict[int, bytes]:
        self.asked.append(list(pids))
        return executables(list(pids))


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody may see any executable, as if all processes were another user's."""
    from damond.service import processes  # noqa: PLC0415 - only here

    monkeypatch.setattr(processes, "_executable", lambda _: None)


@pytest.fixture
def process() -> Iterator["subprocess.Popen[str]"]:
    """A process with a first word of its command line that says nothing, which runs something else when told to."""
    code = "import os, sys; print(flush=True); sys.stdin.readline(); os.execv('/bin/cat', ['liar', '-'])"
    with subprocess.Popen(
        ["liar", "-c", code], executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as made:
        assert made.stdout is not None
        made.stdout.readline()
        yield made
        made.communicate()


def process_says(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


def test_asked_once(unseen: None, process: "subprocess.Popen[str]") -> None:
    """The launcher is asked about a process once, and again when it runs something else."""
    launcher = Launcher()
    processes = Processes(launcher.executables)

    def exe() -> str:
        rows = asyncio.run(processes.scan({"exe"}))
        return str(next(row["exe"] for row in rows if row["pid"] == process.pid))

    assert exe() == os.path.realpath(sys.executable)
    assert exe() == os.path.realpath(sys.executable)
    assert [pids.count(process.pid) for pids in launcher.asked].count(1) == 1
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    # Neither half: execve(2) changes the name before the command line.
    wait(lambda: process_says(process.pid, "comm") == "cat\n" and process_says(process.pid, "cmdline") == "liar\0-\0")
    wait(lambda: "python" not in exe())
    assert exe() == os.path.realpath("/bin/cat")
    assert [pids.count(process.pid) for pids in launcher.asked].count(1) == 2


def test_not_asked_for_nothing(unseen: None) -> None:
    """Where no executable matters nobody is asked; an answer that does not come is told."""

    async def never(_: Sequence[int]) -> dict[int, bytes]:
        raise WorkerFailedError("the launcher does not answer")

    processes = Processes(never)
    assert asyncio.run(processes.scan({"cmdline"}))
    with pytest.raises(WorkerFailedError):
        asyncio.run(processes.scan({"exe"}))


@pytest.mark.parametrize(
    ("table", "mentions"),
    [
        ({"exe": "*"}, {"exe"}),
        ({"name": "x"}, set()),
        ({"name": "x", "not": {"exe": "*"}}, {"exe"}),
        ({"any": [{"name": "x"}, {"all": [{"exe": "y", "cmdline": "z"}]}]}, {"exe", "cmdline"}),
        ({"any": [{"name": "x"}, {"all": [{"user": "y"}]}]}, {"user"}),
    ],
)
def test_mentions(table: dict[str, Any], mentions: set[str]) -> None:
    """A selector knows what is to be read of processes, however deep it is."""
    assert Selector.model_validate(table).mentions & {"exe", "cmdline", "user"} == mentions


def test_what_the_launcher_tells() -> None:
    """Paths of what can be read; kernel threads and processes that have ended are left out."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert executables([os.getpid(), gone.pid, 2**22 + 5]) == {
        os.getpid(): os.fsencode(os.path.realpath(sys.executable))
    }


def test_is_alive() -> None:
    """A zombie is not alive, nor is what never was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    wait(lambda: Path(f"/proc/{process.pid}/stat").read_text().split(") ")[1][0] == "Z")
    assert not is_alive(process.pid)
    process.wait()
    assert is_alive(os.getpid())
    assert not is_alive(2**22 + 5)
    assert not is_alive(-1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else: run as root")
def test_unprivileged_supervisor(public_path: Path) -> None:
    """A supervisor without any capability finds root's processes by what they run, whatever their names."""
    program = public_path / "hidden-cat"
    shutil.copy(shutil.which("cat") or "", program)
    context = (
        f'[context.sel]\nprimitive = "vaddr"\nselect = {{exe = "{program}"}}\noptions = {{source = "referenced"}}\n'
    )
    served = Served(public_path, f'[service]\nuser = "nobody"\ngroup = "nogroup"\n{context}')
    try:
        assert served.row("sel")["targets"] == []
        with subprocess.Popen(["liar"], executable=program, stdin=subprocess.PIPE) as process:
            wait(lambda: served.row("sel")["targets"] == [process.pid], lambda: served.row("sel"))
            with Client(served.run) as client:
                assert client.status()["processes"]["supervisor"]["capabilities"] == []
            process.communicate()
        wait(lambda: served.row("sel")["targets"] == [], lambda: served.row("sel"))
        served.end()
    finally:
        served.abandon()


def test_fallback() -> None:
    """Where nobody may read the executable, the first word of the command line has to do."""
    rows = [
        {"pid": 5, "ppid": 1, "name": "x", "exe": "", "cmdline": ["/usr/bin/x"], "username": "u", "create_time": 1.0}
    ]
    assert find(rows, Selector(exe="*/x")) == [5]


def test_what_is_read_is_what_psutil_reads(process: "subprocess.Popen[str]") -> None:
    """Of each process that is there all the time: number, parent, whole name, command line, executable and user."""
    before = {each.pid: each.info for each in psutil.process_iter(["ppid", "name", "cmdline", "exe", "username"])}
    rows = {each["pid"]: each for each in scan()}
    after = {each.pid: each.info for each in psutil.process_iter(["ppid", "name", "cmdline", "exe", "username"])}
    there = [pid for pid, info in before.items() if after.get(pid) == info and info["cmdline"] and pid != os.getpid()]
    assert process.pid in there
    for pid in there:
        found, info = rows[pid], before[pid]
        assert (found["ppid"], found["name"], found["user"]) == (info["ppid"], info["name"], info["username"])
        assert [each for each in found["cmdline"] if each] == [each for each in info["cmdline"] if each]
        assert found["exe"] is None or found["exe"].removesuffix(" (deleted)") == info["exe"]
    assert 2 not in rows or before[2]["cmdline"]


def test_a_long_name_is_whole(tmp_path: Path) -> None:
    """The kernel keeps 15 bytes of a name; selectors see all of it."""
    program = tmp_path / "a-name-of-more-than-15-bytes"
    program.symlink_to(sys.executable)
    with subprocess.Popen([program, "-c", "input()"], stdin=subprocess.PIPE) as made:
        (row,) = [each for each in scan(()) if each["pid"] == made.pid]
        made.communicate()
    assert row["name"] == program.name
    assert "user" not in row
