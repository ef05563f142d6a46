"""Real processes as targets."""

import gc
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from damond.errors import DamondError, NoSuchProcessError, ProcessAccessError
from damond_accessbits import Root
from damond_vaddr.process import Process

LIMIT_S = 30


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that runs until its input is closed."""
    command = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_running_process(child: "subprocess.Popen[bytes]") -> None:
    """A process that runs has mappings and has not ended."""
    process = Process(Root(), child.pid)
    assert process.mappings()
    assert not process.ended()
    process.close()


def test_zombie_has_ended(child: "subprocess.Popen[bytes]") -> None:
    """A target ends when its process does, not when its parent waits for it; its files are empty from then on."""
    process = Process(Root(), child.pid)
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process.ended()
    assert process.mappings() == []
    with pytest.raises(NoSuchProcessError, match="has ended") as info:
        Process(Root(), child.pid)
    assert info.value.errno == 3
    process.close()


def test_reaped_process_shows_nothing(child: "subprocess.Popen[bytes]") -> None:
    """Once the pid is free, the files of the old process are gone, whoever gets the pid."""
    process = Process(Root(), child.pid)
    child.stdin.close()
    child.wait(LIMIT_S)
    assert process.read("maps") == process.read("smaps") == b""
    assert process.ended()
    process.close()
    with pytest.raises(NoSuchProcessError, match="no process"):
        Process(Root(), child.pid)


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 2**40])
def test_impossible_pid(pid: int) -> None:
    """A number that is no pid is no process."""
    with pytest.raises(NoSuchProcessError):
        Process(Root(), pid)


def test_thread_is_no_process() -> None:
    """The id of a thread other than the first is refused, with where to find the process."""
    release = threading.Event()
    thread = threading.Thread(target=release.wait, args=(LIMIT_S,))
    thread.start()
    with pytest.raises(NoSuchProcessError, match="is a thread"):
        Process(Root(), thread.native_id)
    release.set()
    thread.join(LIMIT_S)


@pytest.mark.skipif(Path("/proc/2/comm").exists() is False, reason="kernel threads are hidden here (pid namespace)")
def test_kernel_thread_has_no_memory() -> None:
    """A kernel thread is refused as what it is."""
    if Path("/proc/2/comm").read_text() != "kthreadd\n":
        pytest.skip("pid 2 is no kernel thread here (pid namespace): run outside of the container")
    with pytest.raises(NoSuchProcessError, match="kernel thread"):
        Process(Root(), 2)


def in_child_without_privilege(pid: int) -> str:
    """Try to take hold of a process as nobody; return the code of the error."""
    reader, writer = os.pipe()
    forked = os.fork()
    if forked == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        code = "none"
        try:
            Process(Root(), pid)
        except DamondError as error:
            code = error.code
        finally:
            os.write(writer, code.encode())
            os._exit(0)
    os.waitpid(forked, 0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        return answer.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user: run as root")
def test_process_of_another_user(child: "subprocess.Popen[bytes]") -> None:
    """A process of somebody else is refused with EPERM's error and not taken for one that is not there."""
    assert in_child_without_privilege(child.pid) == ProcessAccessError.code


_SYS_EXIT = {"x86_64": 60, "aarch64": 93}
_FIRST_THREAD_ENDS = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
print(flush=True)
ctypes.CDLL(None).syscall(int(sys.argv[1]), 0)
"""


@pytest.mark.skipif(platform.machine() not in _SYS_EXIT, reason="the number of exit(2) is not in the table")
def test_first_thread_ends_before_the_others() -> None:
    """A process whose first thread has ended shows its memory by another one, and lives until that ends too."""
    command = [sys.executable, "-c", _FIRST_THREAD_ENDS, str(_SYS_EXIT[platform.machine()])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        while Path(f"/proc/{child.pid}/maps").read_bytes():
            os.sched_yield()
        process = Process(Root(), child.pid)
        assert process.mappings()
        assert process.read("smaps")
        assert not process.ended()
        child.kill()
        child.wait(LIMIT_S)
        assert process.ended()
        assert process.mappings() == []
        process.close()


@pytest.mark.skipif(platform.machine() not in _SYS_EXIT, reason="the number of exit(2) is not in the table")
def test_first_thread_ends_while_its_files_are_open() -> None:
    """What was opened of the first thread is opened of another one, once that has ended: it would do nothing."""
    wait, then = _FIRST_THREAD_ENDS.split("print(flush=True)\n")
    script = f"import sys\nprint(flush=True)\nsys.stdin.readline()\n{wait}{then}"
    command = [sys.executable, "-c", script, str(_SYS_EXIT[platform.machine()])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        process = Process(Root(), child.pid)
        first = process.file("clear_refs", os.O_WRONLY)
        assert Path(f"/proc/self/fd/{first}").readlink() == Path(f"/proc/{child.pid}/clear_refs")
        child.stdin.write(b"\n")
        child.stdin.flush()
        while Path(f"/proc/{child.pid}/maps").read_bytes():
            os.sched_yield()
        assert process.changed_mappings() is None or process.mappings()
        other = Path(f"/proc/self/fd/{process.file('clear_refs', os.O_WRONLY)}").readlink()
        assert other.is_relative_to(f"/proc/{child.pid}/task")
        child.kill()
        child.wait(LIMIT_S)
        process.close()


def test_nothing_stays_open_after_a_refusal() -> None:
    """A refused target leaves no file open."""
    gc.collect()  # what other tests have left open
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    for pid in (2, 2**22 + 1):
        with pytest.raises(DamondError):
            Process(Root(), pid)
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) == before
