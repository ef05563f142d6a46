"""The recorder of the service as the supervisor sees it: started, watched, started again, ended."""

import asyncio
import json
import logging
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from damond.service import interpreter
from damond.service.privileges import describe
from damond.service.restart import CAP_S, Backoff

_log = logging.getLogger(__name__)

_END_LIMIT_S: Final = 10.0
"""How long it may take to write the rest, before it is sent SIGKILL; what was on the disk stays there."""

_SILENT_S: Final = 60.0
"""It tells how it is every second; a disk may keep it waiting for some."""


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What to record, and where.

    Attributes:
        path: The record.
        contexts: Names; none means all.
        max_age_us: What is older is deleted; None keeps all. Microseconds.
        max_sz_bytes: The oldest that is more is deleted; None keeps all. Bytes.
    """

    path: Path
    contexts: Sequence[str] = ()
    max_age_us: int | None = None
    max_sz_bytes: int | None = None


class Recording:
    """A recorder in a process of its own, kept alive from :meth:`start` to :meth:`close`.

    It needs no privilege but to write its file, and runs as the supervisor does. If it dies, monitoring goes on, and it
    is started again after 0.5 s, 1 s, 2 s, ... (60 s at most), for ever: a full disk or a broken file may be mended.

    Args:
        directory: Runtime directory of the service.
        settings: What to record.

    Attributes:
        settings: As given.
    """

    def __init__(self, directory: Path, settings: RecordSettings) -> None:
        self.settings = settings
        self._directory = directory
        self._process: Process | None = None
        self._state: dict[str, Any] = {}
        self._failure: dict[str, Any] | None = None
        self._exit = ""
        self._backoff = Backoff()
        self._restarts = 0
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start it; needs a running loop."""
        self._task = asyncio.create_task(self._keep_alive())

    async def _keep_alive(self) -> None:
        while not self._ending.is_set():
            begin_s = time.monotonic()
            await self._run_once()
            if self._ending.is_set():
                return
            delay_s = self._backoff.next_delay_s(time.monotonic() - begin_s) or CAP_S
            _log.error("the recorder has ended (%s); it is started again in %.1f s", self._why(), delay_s)
            self._restarts += 1
            try:
                await asyncio.wait_for(self._ending.wait(), delay_s)
            except TimeoutError:
                continue

    async def _run_once(self) -> None:
        settings = {
            "runtime_dir": str(self._directory.absolute()),
            "path": str(self.settings.path.absolute()),
            "contexts": list(self.settings.contexts),
            "max_age_us": self.settings.max_age_us,
            "max_sz_bytes": self.settings.max_sz_bytes,
        }
        line = interpreter.command("damond.service.recorder", json.dumps(settings))
        self._failure, self._state, self._exit = None, {}, ""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *line, stdin=PIPE, stdout=PIPE, env=interpreter.environment(), start_new_session=True
            )
        except OSError as error:  # no descriptors or processes are left, or the interpreter is not for this user
            message = f"{sys.executable} can't be run: {error.strerror}"
            hint = "the user of the service must be able to run its interpreter; limits are in 'systemctl show damond'"
            self._failure = {"message": message, "hint": hint}
            return
        try:
            if self._ending.is_set():
                self._close_input()
            await self._listen(self._process)
        finally:
            self._close_input()  # given up from outside, too: it ends then
            status = await self._process.wait()
            self._exit = f"signal {-status}" if status < 0 else f"exit status {status}"
            self._process = None

    async def _listen(self, process: Process) -> None:
        """Take in how it is, until it ends; end it if it says nothing for too long."""
        try:
            while process.stdout and (line := await asyncio.wait_for(process.stdout.readline(), _SILENT_S)):
                self._hear(json.loads(line))
        except TimeoutError:
            _log.error("the recorder says nothing for %.0f s: it is ended", _SILENT_S)
            process.kill()

    def _hear(self, message: dict[str, Any]) -> None:
        if message.pop("kind") == "state":
            self._state = message
        else:
            self._failure = message

    @property
    def pids(self) -> list[int]:
        """Its process, if there is one."""
        return [] if self._process is None else [self._process.pid]

    def _why(self) -> str:
        return self._failure["message"] if self._failure is not None else self._exit

    def describe(self) -> dict[str, Any]:
        """Tell how it is, as plain values."""
        process = self._process
        runs = process is not None and bool(self._state)
        return {
            "state": "running" if runs else "starting" if process is not None else "backoff",
            "pid": None if process is None else process.pid,
            "path": str(self.settings.path),
            "contexts": list(self.settings.contexts),
            "max_age_us": self.settings.max_age_us,
            "max_sz_bytes": self.settings.max_sz_bytes,
            "restarts": self._restarts,
            "exit": self._exit,
            "error": self._failure,
            **{name: self._state.get(name) for name in ("nr_snapshots", "nr_dropped", "sz_bytes", "trouble")},
            "process": {} if process is None else describe(process.pid),
        }

    def _close_input(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def close(self) -> None:
        """Have it write the rest, and end it."""
        self._ending.set()
        self._close_input()
        if self._task is None:
            return
        try:
            await asyncio.wait_for(asyncio.shield(self._task), _END_LIMIT_S)
        except TimeoutError:
            _log.error("the recorder does not end; sending SIGKILL")
            if self._process is not None:
                self._process.kill()
            await self._task
