"""How a worker sleeps: until it is to stop, or somebody asks for something."""

import signal
import socket
import time
from collections.abc import Callable
from typing import Any

from damond.service.link import Link, LinkClosedError, wait_readable
from damond.service.targets import SELECTED


class LinkStop:
    """A stop comes over the link, as the end of the link (the supervisor is gone), or as SIGTERM (by anybody).

    Attributes:
        reason: Why, once it has come.
        on_request: Takes whatever else comes over the link.
    """

    def __init__(self, link: Link) -> None:
        self.reason = ""
        self.on_request: Callable[[dict[str, Any]], None] | None = None
        self._link = link
        self._wakeup, signalled = socket.socketpair()
        signalled.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._signalled = signalled  # kept open
        self._fds = [link.fileno(), self._wakeup.fileno()]
        signal.set_wakeup_fd(signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_term)

    def _on_term(self, *_: object) -> None:
        self.reason = self.reason or "terminated"

    def wait(self, timeout_s: float) -> bool:
        """Wait that long, or until a stop is requested: then return True.

        A request of a person ends the wait, too; what the service asks for by itself can wait for the sample's end.
        """
        deadline_s = time.monotonic() + timeout_s
        while not self.reason and (ready := wait_readable(self._fds, timeout_s)):
            if self._fds[0] not in ready or self._listen():
                break
            timeout_s = deadline_s - time.monotonic()
        return bool(self.reason)

    def _listen(self) -> bool:
        """Take a message in; say whether somebody waits for what it asks for."""
        try:
            message, _ = self._link.receive()
        except LinkClosedError:
            self.reason = "supervisor_gone"
            return True
        if message["kind"] == "stop":
            self.reason = "requested"
        elif self.on_request is not None:
            self.on_request(message)
        return bool(message["kind"] != "budget" and message.get("reason") != SELECTED)
