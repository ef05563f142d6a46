"""The processes of the machine, with what only the launcher may see of them."""

import asyncio
import functools
import os
import pwd
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

_PF_KTHREAD: Final = 0x00200000
"""A kernel thread: it has no memory of its own (include/linux/sched.h)."""

_COMM_LEN: Final = 15
"""Bytes of a command name; that of a longer one is the beginning (TASK_COMM_LEN, include/linux/sched.h)."""

_READ_SZ: Final = 1 << 16

AskExecutables = Callable[[Sequence[int]], Awaitable[Mapping[int, bytes]]]
"""Asks for the paths of the executables of some pids."""


def scan(facts: Collection[str] = ("cmdline", "exe", "user")) -> list[dict[str, Any]]:
    """List the processes of the machine but this one, kernel threads, and those whose first thread has ended.

    Read here, and not by psutil: this is done again and again, and that takes eight times as long.

    Args:
        facts: What is to be known beside ``pid``, ``ppid``, ``name`` and ``start`` (in clock ticks after boot):
            ``cmdline``, ``exe`` (None where this process may not see it), ``user``.

    Raises:
        OSError: There are no descriptors left.
    """
    user_of = functools.cache(_user)
    rows = (_look(int(each), facts, user_of) for each in os.listdir("/proc") if each.isdigit())  # noqa: PTH208 - names
    return [each for each in rows if each is not None and each["pid"] != os.getpid()]


def _look(pid: int, facts: Collection[str], user_of: Callable[[int], str]) -> dict[str, Any] | None:
    """Read what is to be known of one process; None if it is none to be watched, or has ended."""
    try:
        stat = _read(f"/proc/{pid}/stat")
        name, fields = stat[stat.index(b"(") + 1 : stat.rindex(b")")], stat[stat.rindex(b")") + 1 :].split(None, 20)
        if int(fields[6]) & _PF_KTHREAD or fields[0] in (b"Z", b"X"):
            return None
        row: dict[str, Any] = {"pid": pid, "ppid": int(fields[1]), "name": os.fsdecode(name), "start": int(fields[19])}
        if "cmdline" in facts or "exe" in facts or len(name) >= _COMM_LEN:
            row["cmdline"] = _words(os.fsdecode(_read(f"/proc/{pid}/cmdline").rstrip(b"\0")))
            row["name"] = _whole(row["name"], row["cmdline"][0])
        if "exe" in facts:
            row["exe"] = _executable(pid)
        if "user" in facts:
            row["user"] = user_of(_uid(pid))
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # it has ended, or is not for this user to see
        return None
    return row


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(functools.partial(os.read, fd, _READ_SZ), b""))
    finally:
        os.close(fd)


def _words(line: str) -> list[str]:
    """Split a command line; a process that writes its own (setproctitle) has it in one piece."""
    words = line.split("\0")
    return words if len(words) > 1 else words[0].split(" ")


def _whole(name: str, word: str) -> str:
    """Complete a command name that the kernel has cut, by the first word of the command line."""
    base = os.path.basename(word)  # noqa: PTH119 - any bytes
    return base if len(os.fsencode(name)) >= _COMM_LEN and base.startswith(name) else name


def _uid(pid: int) -> int:
    """Read the real user id."""
    status = _read(f"/proc/{pid}/status")
    at = status.index(b"\nUid:") + len(b"\nUid:")
    return int(status[at : at + 32].split(None, 1)[0])


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _executable(pid: int) -> str | None:
    """Look what a process really runs; None if this process may not, "" if it has ended."""
    try:
        return os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115 - text, and no path that is to be followed
    except PermissionError:
        return None
    except OSError:
        return ""


class Processes:
    """Looks at the processes of the machine.

    Args:
        ask: Asks for executables that this process may not see. Each is asked for once, and again after execve(2).

    Attributes:
        cost_s: CPU time of the last look. Seconds.
    """

    def __init__(self, ask: AskExecutables) -> None:
        self.cost_s = 0.0
        self._ask = ask
        self._known: dict[int, tuple[Any, str]] = {}

    async def scan(self, facts: Collection[str]) -> list[dict[str, Any]]:
        """List the processes as :func:`scan` does; executables that can't be seen are asked for.

        Raises:
            OSError: There are no descriptors left.
            WorkerFailedError: The launcher does not answer.
        """
        rows = await asyncio.to_thread(self._scan, facts)
        if "exe" in facts:
            await self._fill_in([each for each in rows if each["exe"] is None])
        return rows

    def _scan(self, facts: Collection[str]) -> list[dict[str, Any]]:
        before_s = time.thread_time()
        try:
            return scan(facts)
        finally:
            self.cost_s = time.thread_time() - before_s

    async def _fill_in(self, rows: list[dict[str, Any]]) -> None:
        # A process that calls execve(2) keeps pid and start, but hardly both its name and its command line.
        keys = {row["pid"]: (row["start"], row["name"], row["cmdline"]) for row in rows}
        known = {pid: self._known[pid] for pid, key in keys.items() if self._is_known(pid, key)}
        unknown = [pid for pid in keys if pid not in known]
        paths = await self._ask(unknown) if unknown else {}
        known |= {pid: (keys[pid], os.fsdecode(paths.get(pid, b""))) for pid in unknown}
        for row in rows:
            row["exe"] = known[row["pid"]][1]
        self._known = known

    def _is_known(self, pid: int, key: Any) -> bool:
        return pid in self._known and self._known[pid][0] == key


def is_alive(pid: int) -> bool:
    """Say whether a process is there; one that has ended and waits for its parent is not."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return False
    return stat[stat.rindex(b")") + 2 :][:1] not in (b"Z", b"X")
