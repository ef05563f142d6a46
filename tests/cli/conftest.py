"""A service and a terminal, for commands as a user runs them."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LIMIT_S = 30
DAMOND = [sys.executable, "-m", "damond"]

CONFIG = """\
[service]
max_cpu = "off"
[defaults]
intervals_goal = "off"
[context.one]
primitive = "synthetic"
[context.two]
primitive = "synthetic"
[context.gone]
primitive = "vaddr"
pid = 4194304
[context.never]
primitive = "synthetic"
autostart = false
"""


class Service:
    """``damond serve`` with four contexts: two run, one fails, one is not started."""

    def __init__(self, directory: Path) -> None:
        self.args = ("--runtime-dir", str(directory / "run"))
        self._config = directory / "damond.toml"
        self._config.write_text(CONFIG)
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        line = [*DAMOND, "serve", "--config", str(self._config), *self.args]
        self._process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for each in self._process.stderr:
            if "serving" in each:
                return
        pytest.fail("the service has ended before it served")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.communicate(timeout=LIMIT_S)
            self._process = None

    def run(self, *args: str) -> "subprocess.CompletedProcess[str]":
        env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80"}
        line = [*DAMOND, *args, *self.args]
        return subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=env)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    service = Service(tmp_path)
    service.start()
    yield service
    service.stop()


class Terminal:
    """A command on a terminal of 80 x 24, and everything that it wrote there."""

    def __init__(self, *args: str) -> None:
        self.text = ""
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._theirs = theirs
        self.settings = termios.tcgetattr(theirs)
        env = {**os.environ, "TERM": "xterm-256color"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            env.pop(name, None)
        # In a session of its own, whose terminal this is, as in a window.
        line = ["setsid", "--ctty", "--", *DAMOND, *args]
        self.process = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=env)

    def wait_for(self, words: str) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while words not in self.text:
            assert time.monotonic() < deadline_s, self.text
            self._read(0.1)

    def end(self, signum: signal.Signals) -> int:
        """Send a signal; return the exit status once everything has been read."""
        self.process.send_signal(signum)
        return self.wait_ended()

    def wait_ended(self) -> int:
        """Read until the command has ended by itself, and everything has been read; return its exit status."""
        deadline_s = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, self.text
            self._read(0.1)
        while self._read(0):
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the window: the kernel sends SIGHUP to the session on the terminal, and writing to it fails."""
        os.close(self._ours)
        self._ours = -1

    def is_as_it_was(self) -> bool:
        """Whether screen, cursor and settings have been given back."""
        screen = self.text.count("\x1b[?1049h") == self.text.count("\x1b[?1049l") == 1
        cursor = self.text.rindex("\x1b[?25h") > self.text.rindex("\x1b[?25l")
        return screen and cursor and termios.tcgetattr(self._theirs) == self.settings

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return False
        self.text += os.read(self._ours, 65536).decode()
        return True

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for fd in (self._ours, self._theirs):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Start a command on a terminal."""
    started: list[Terminal] = []

    def start(*args: str) -> Terminal:
        started.append(Terminal(*args))
        return started[-1]

    yield start
    for each in started:
        each.close()
