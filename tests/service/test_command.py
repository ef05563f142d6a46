"""The program that a context starts."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from damond.errors import UsageError
from damond.service.follow import Command
from tests.chaos.rig import wait


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_it_has_left_behind_is_ended(tmp_path: Path) -> None:
    """Though its first process has ended by itself, and another one does not listen to SIGTERM."""
    said = tmp_path / "pids"
    script = f"""
    sleep 300 & echo $! >{said}.new
    (trap '' TERM; echo ready >>{said}.new; mv {said}.new {said}; while :; do sleep 0.1; done) & """
    command = Command(("sh", "-c", script))
    wait(lambda: said.exists() and not runs(command.pid))
    sleeper = int(said.read_text().split()[0])
    group = [each for each in psutil.process_iter() if each.pid != command.pid and _group(each.pid) == command.pid]
    assert sleeper in [each.pid for each in group]
    assert len(group) >= 2
    asyncio.run(command.end())
    assert [each for each in group if runs(each.pid)] == []
    assert not psutil.pid_exists(command.pid)


def _group(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[2])
    except OSError:
        return 0


def test_it_ends_at_once_if_it_listens() -> None:
    """SIGTERM is enough for most: no SIGKILL follows."""
    command = Command(("sleep", "300"))
    asyncio.run(command.end())
    assert command._process.returncode == -signal.SIGTERM
    asyncio.run(command.end())  # once more is nothing: its number may be somebody else's
    assert not psutil.pid_exists(command.pid)


def test_no_such_program() -> None:
    """It is refused by name."""
    with pytest.raises(UsageError, match="no-such-program"):
        Command(("/no-such-program",))
