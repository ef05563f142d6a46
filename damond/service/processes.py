"""The processes of the machine, with what only the launcher may see of them."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import psutil

_FACTS: Final = ("pid", "ppid", "name", "exe", "cmdline", "username", "create_time")

AskExecutables = Callable[[Sequence[int]], Awaitable[Mapping[int, bytes]]]
"""Asks for the paths of the executables of some pids."""


def scan() -> list[dict[str, Any]]:
    """List the processes of the machine, without kernel threads (which have no memory of their own)."""
    found = (each.info for each in psutil.process_iter(_FACTS))
    return [each for each in found if each["pid"] != os.getpid() and (each["cmdline"] or each["exe"])]


def _see_executable(row: dict[str, Any]) -> bool:
    """Look what a process really runs; False if this process may not: psutil then guesses from the command line."""
    try:
        row["exe"] = os.readlink(f"/proc/{row['pid']}/exe")  # noqa: PTH115 - as psutil does
    except PermissionError:
        return False
    except OSError:
        row["exe"] = ""  # it has ended
    return True


class Processes:
    """Looks at the processes of the machine.

    Args:
        ask: Asks for executables that this process may not see. Each is asked for once, and again after execve(2).
    """

    def __init__(self, ask: AskExecutables) -> None:
        self._ask = ask
        self._known: dict[int, tuple[Any, str]] = {}

    async def scan(self, *, executables: bool) -> list[dict[str, Any]]:
        """List the processes as :func:`scan` does.

        Args:
            executables: Whether the paths of executables matter.

        Raises:
            OSError: There are no descriptors left.
            WorkerFailedError: The launcher does not answer.
        """
        rows = await asyncio.to_thread(scan)
        if executables:
            await self._fill_in([each for each in rows if not _see_executable(each)])
        return rows

    async def _fill_in(self, rows: list[dict[str, Any]]) -> None:
        # A process that calls execve(2) keeps pid and start, but hardly both its name and its command line.
        keys = {row["pid"]: (row["create_time"], row["name"], row["cmdline"]) for row in rows}
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
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (psutil.Error, OSError, ValueError, OverflowError):
        return False
