"""The launcher: a small process that forks the workers, reaps them, and reads no socket but its own link.

It is warm (numpy, zmq and the core are imported once), so that a worker starts in milliseconds and shares
most of its memory with the others; it has one thread and never touches a plugin or the stream, so that forking
is safe. What needs privileges is started from here: the supervisor, which talks to strangers, needs none.

``python -m damond.service.launcher FD SETTINGS``; the other end of the descriptor is the supervisor's. Messages:

======================  ==================================================================
supervisor              launcher
======================  ==================================================================
``start`` spec, 2 fds   ``forked`` name, pid; or ``refused`` name, reason
``signal`` pid, signum  ``exited`` name, pid, status (as waitpid's exit code: -N is signal N)
``executables`` pids    ``executables`` paths (pid -> path of what it runs, where that can be read)
(end of link)           ends all workers and itself
======================  ==================================================================
"""

import ctypes
import errno
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final, NoReturn

from damond.service import logs, worker
from damond.service.link import Link, LinkClosedError, close_all, wait_readable
from damond.service.runtime_dir import remove_leftovers
from damond.service.spec import ContextSpec

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1
_TASK_COMM_LEN: Final = 15
_NR_WORKER_FDS: Final = 2
_MAX_PATH_SZ: Final = 400
"""Bytes of the longest path of an executable that is told: so that those of 256 processes fit into one message."""
TERM_GRACE_S: Final = 2.0
"""How long workers may take to end by themselves once the supervisor is gone."""


class Launcher:
    """Forks workers on request, until the supervisor is gone."""

    def __init__(self, link: Link, libc: "ctypes.CDLL", *, trusting: bool, plugins: list[str] | None) -> None:
        self._link = link
        self._libc = libc
        self._trusting = trusting
        self._plugins = plugins
        self._names: dict[int, str] = {}
        self._wakeup, self._signalled = socket.socketpair()
        self._wakeup.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._signalled.setblocking(False)  # noqa: FBT003 - the standard library's signature

    def run(self) -> None:
        """Serve the supervisor; afterwards no worker is left."""
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # A terminal's Ctrl-C and a service manager's SIGTERM are for the supervisor, which then closes the link.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            while True:
                ready = wait_readable([self._link.fileno(), self._wakeup.fileno()], 3600)
                if self._wakeup.fileno() in ready:
                    self._wakeup.recv(4096)
                    self._reap()
                if self._link.fileno() in ready:
                    self._serve()
        except LinkClosedError:
            self._end_workers()

    def _serve(self) -> None:
        message, fds = self._link.receive()
        if message["kind"] == "start":
            self._fork(message, fds)
        elif message["kind"] == "signal" and message["pid"] in self._names:
            os.kill(message["pid"], message["signum"])
        elif message["kind"] == "executables":
            self._link.send({"kind": "executables", "paths": executables(message["pids"])})

    def _fork(self, message: dict[str, Any], fds: list[int]) -> None:
        name = message["spec"]["name"]
        parent = os.getpid()
        try:
            if len(fds) != _NR_WORKER_FDS:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # noqa: TRY301 - as a fork that fails
            pid = os.fork()
        except OSError as error:  # no process, memory or descriptor to be had: the other workers are to live on
            close_all(fds)
            self._link.send({"kind": "refused", "name": name, "reason": error.strerror})
            return
        if pid == 0:
            self._become_worker(message, fds, parent)
        close_all(fds)
        self._names[pid] = name
        self._link.send({"kind": "forked", "name": name, "pid": pid})

    def _become_worker(self, message: dict[str, Any], fds: list[int], parent: int) -> NoReturn:
        """Run the worker in the forked process; never return into the launcher's code."""
        status = os.EX_SOFTWARE
        try:
            # A worker never outlives its parent, even if both the supervisor and the launcher are killed.
            self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() == parent:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                self._link.close()
                self._wakeup.close()
                self._signalled.close()
                link_fd, stderr_fd = fds
                os.dup2(stderr_fd, 2)
                os.dup2(2, 1)
                os.close(stderr_fd)
                spec = ContextSpec.from_map(message["spec"])
                Path("/proc/self/comm").write_text(f"damond:{spec.name}"[:_TASK_COMM_LEN])
                link = Link.from_fd(link_fd)
                status = worker.main(spec, link, message["endpoint"], trusting=self._trusting, plugins=self._plugins)
        except BaseException:  # noqa: BLE001 - what could not even be reported is to be seen in the log
            traceback.print_exc()
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while self._names:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            self._link.send({"kind": "exited", "name": self._names.pop(pid), "pid": pid, "status": code})

    def _end_workers(self) -> None:
        """Let the workers see the end of their links and stop; then TERM, then KILL what is left."""
        for signum, grace_s in ((signal.SIGTERM, TERM_GRACE_S), (signal.SIGKILL, None)):
            for pid in self._names:
                os.kill(pid, signum)
            deadline = None if grace_s is None else time.monotonic() + grace_s
            while self._names and (deadline is None or time.monotonic() < deadline):
                pid, _ = os.waitpid(-1, 0 if deadline is None else os.WNOHANG)
                self._names.pop(pid, None)
                if pid == 0 and deadline is not None:
                    wait_readable([self._wakeup.fileno()], deadline - time.monotonic())
                    self._drain_wakeup()

    def _drain_wakeup(self) -> None:
        try:
            self._wakeup.recv(4096)
        except BlockingIOError:
            return


def executables(pids: list[int]) -> dict[int, bytes]:
    """Read what processes run: for selectors, as the supervisor may not look at processes of other users (proc(5))."""
    found = {}
    for pid in pids:
        try:
            path = os.fsencode(Path(f"/proc/{pid}/exe").readlink())
        except OSError:  # it has ended, is a kernel thread, or may not be seen by us either
            continue
        if len(path) <= _MAX_PATH_SZ:
            found[pid] = path.removesuffix(b" (deleted)")
    return found


def main() -> None:
    """Run the launcher on the descriptor that the command line names."""
    logs.configure(os.environ.get("DAMOND_LOG_LEVEL", "WARNING"))
    settings = json.loads(sys.argv[2])
    directory = Path(settings.pop("runtime_dir"))
    # To the lowest free number: select takes none above 1023, and our parent may have had more open.
    fd = os.dup(int(sys.argv[1]))
    os.close(int(sys.argv[1]))
    launcher = Launcher(Link.from_fd(fd), ctypes.CDLL(None, use_errno=True), **settings)
    # What was made so far is shared by all workers; the collector must not touch it and unshare its pages.
    gc.collect()
    gc.freeze()
    launcher.run()
    remove_leftovers(directory)


if __name__ == "__main__":
    main()
