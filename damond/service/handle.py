"""A worker as the supervisor sees it: how to tell it something, and what it told."""

import asyncio
import logging
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from damond.service.link import Link, LinkClosedError

_log = logging.getLogger(__name__)

STDERR_LINES: Final = 20
"""Lines of a worker's standard error that ``status`` shows."""

LINE_SZ: Final = 2000
"""Characters of one such line; a plugin that never ends its line must not fill the supervisor's memory."""

_READ_SZ: Final = 65536


class WorkerHandle:
    """One worker process: alive until it has an exit status, ready once it reported ``started``.

    Attributes:
        name: Of its context.
        pid: Process id, once it has been forked.
        status: Exit status, once it has ended: below zero the number of the signal that ended it.
        refusal: Why it could not even be forked; empty if it was.
        unreaped: It has ended, and its parent, which is stopped, can't say how.
        stderr: The last lines that it wrote to its standard error.
        exited: Set once it has ended and everything that it reported has been read.
    """

    def __init__(
        self,
        name: str,
        link: Link,
        stderr_fd: int,
        on_message: Callable[["WorkerHandle", dict[str, Any]], None],
        on_exit: Callable[["WorkerHandle"], None],
        on_stderr: Callable[[bytes], object],
    ) -> None:
        self.name = name
        self.pid: int | None = None
        self.status: int | None = None
        self.refusal = ""
        self.unreaped = False
        self.stderr: deque[str] = deque(maxlen=STDERR_LINES)
        self.exited = asyncio.Event()
        self._link = link
        self._stderr_fd = stderr_fd
        self._partial_line = ""
        self._on_message = on_message
        self._on_exit = on_exit
        self._on_stderr = on_stderr
        loop = asyncio.get_running_loop()
        link.set_nonblocking()
        loop.add_reader(link.fileno(), self._read_link)
        os.set_blocking(stderr_fd, False)
        loop.add_reader(stderr_fd, self._read_stderr)

    @property
    def is_alive(self) -> bool:
        """Whether it has no exit status."""
        return self.status is None and not self.unreaped

    def stop(self) -> None:
        """Ask for a clean stop."""
        self.send({"kind": "stop"})

    def send(self, message: Mapping[str, Any]) -> None:
        """Tell the worker something; one that has ended needs no telling.

        Raises:
            ValueError: The message is too large for the link.
        """
        if self._link.fileno() >= 0:
            try:
                self._link.send(message)
            except LinkClosedError:
                self._read_rest()  # what it said last
            except BlockingIOError:
                _log.warning("%s: the worker does not read its link", self.name)

    def ended(self, status: int | None) -> None:
        """Take note of the exit status, or that it can't be known yet; read what the worker left behind."""
        if self.exited.is_set():  # told before: by our own look, or given up
            self.status = status if self.status is None else self.status
            return
        self._read_rest()
        if self._stderr_fd >= 0:
            self._read_stderr()
            self._close_stderr()
        self.status, self.unreaped = status, status is None
        self.exited.set()
        self._on_exit(self)

    def describe_exit(self) -> str:
        """Say in words how it ended."""
        if self.refusal:
            return f"could not be forked: {self.refusal}"
        if self.status is None:
            return "ended, its parent is stopped and can't say how" if self.unreaped else "alive"
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        return f"exit status {self.status}"

    def _read_link(self) -> bool:
        """Take one message in; return False if there is none, as when a process forked by a plugin holds the link."""
        try:
            message, _ = self._link.receive()
        except BlockingIOError:
            return False
        except LinkClosedError:
            self._close_link()
            return False
        self._on_message(self, message)
        return True

    def _read_rest(self) -> None:
        """Take in what is left of a worker that says no more, and close the link."""
        while self._link.fileno() >= 0 and self._read_link():
            pass
        if self._link.fileno() >= 0:  # a process that a plugin has forked holds the other end
            self._close_link()

    def _close_link(self) -> None:
        asyncio.get_running_loop().remove_reader(self._link.fileno())
        self._link.close()

    def _read_stderr(self) -> None:
        try:
            raw = os.read(self._stderr_fd, _READ_SZ)
        except BlockingIOError:
            return
        if not raw:
            self._close_stderr()
            return
        *lines, rest = (self._partial_line + raw.decode(errors="replace")).split("\n")
        self.stderr.extend(line[:LINE_SZ] for line in lines[-STDERR_LINES:])
        self._partial_line = rest[:LINE_SZ]
        self._on_stderr(raw)

    def _close_stderr(self) -> None:
        if self._stderr_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._stderr_fd)
            os.close(self._stderr_fd)
            self._stderr_fd = -1
            if self._partial_line:
                self.stderr.append(self._partial_line)
                self._partial_line = ""
