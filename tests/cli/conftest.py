"""A service and a terminal, for commands as a user runs them."""

import codecs
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

LIMIT_S = 60
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


MODES = {
    "?1049": "hl",
    "?25": "lh",
    "?7": "lh",
    "?2004": "hl",
    "?1004": "hl",
    "?2048": "hl",
    "?1000": "hl",
    "?1003": "hl",
}
"""Modes of a terminal (xterm's ctlseqs), and how they are changed and given back: another screen, cursor, wrapping of
lines, bracketed paste, reports of focus, of size and of the mouse."""


class Service:
    """``damond serve``; unless told otherwise with four contexts: two run, one fails, one is not started."""

    def __init__(self, directory: Path, config: str = CONFIG) -> None:
        self.run_dir = directory / "run"
        self.args = ("--runtime-dir", str(self.run_dir))
        self._config = directory / "damond.toml"
        self.configure(config)
        self._process: subprocess.Popen[str] | None = None

    def configure(self, config: str) -> None:
        self._config.write_text(config)

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

    def send(self, signum: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(signum)

    def run(self, *args: str) -> "subprocess.CompletedProcess[str]":
        env = {**os.environ, "NO_COLOR": "1", "COLUMNS": "80"}
        line = [*DAMOND, *args, *self.args]
        return subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=env)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Service]]:
    """Start a service with a configuration of its own."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    started: list[Service] = []

    def start(config: str = CONFIG) -> Service:
        started.append(Service(tmp_path, config))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def service(serve: Callable[..., Service]) -> Service:
    return serve()


_THE_END = b"\x00the end\x00"


class Terminal:
    """A command on a terminal of 80 x 24, and everything that it wrote there."""

    def __init__(self, *args: str, begin: Sequence[str] = DAMOND) -> None:
        self.text = ""
        self._decode = codecs.getincrementaldecoder("utf-8")().decode  # what is read may end within a character
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._theirs = theirs
        self.settings = termios.tcgetattr(theirs)
        env = {**os.environ, "TERM": "xterm-256color"}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            env.pop(name, None)
        # In a session of its own, whose terminal this is, as in a window.
        line = ["setsid", "--ctty", "--", *begin, *args]
        self.process = subprocess.Popen(line, stdin=theirs, stdout=theirs, stderr=theirs, env=env)

    def wait_for(self, words: str) -> None:
        deadline_s = time.monotonic() + LIMIT_S
        while words not in self.text:
            assert time.monotonic() < deadline_s, self.text
            self._read(0.1)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def end(self, signum: signal.Signals | None = None) -> int:
        """Send a signal, if any; return the exit status once everything has been read."""
        if signum is not None:
            self.process.send_signal(signum)
        return self.wait_ended()

    def wait_ended(self) -> int:
        """Read until the command has ended by itself, and everything has been read; return its exit status."""
        deadline_s = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline_s, self.text
            self._read(0.1)
        os.write(self._theirs, _THE_END)  # behind all that the command wrote, which the kernel may hand over later
        while not self.text.endswith(_THE_END.decode()):
            assert time.monotonic() < deadline_s, self.text
            self._read(0.1)
        self.text = self.text.removesuffix(_THE_END.decode())
        return self.process.returncode

    def hang_up(self) -> None:
        """Close the window: the kernel sends SIGHUP to the session on the terminal, and writing to it fails."""
        os.close(self._ours)
        self._ours = -1

    def is_as_it_was(self) -> bool:
        """Whether screen, cursor, settings and whatever else was changed have been given back."""
        screen = self.text.count("\x1b[?1049h") == self.text.count("\x1b[?1049l") == 1
        back = all(
            self.text.rfind(f"\x1b[{mode}{off}") >= self.text.rfind(f"\x1b[{mode}{on}")
            for mode, (on, off) in MODES.items()
        )
        return screen and back and termios.tcgetattr(self._theirs) == self.settings

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._ours], [], [], timeout_s)[0]:
            return False
        self.text += self._decode(os.read(self._ours, 65536))
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

    def start(*args: str, **kwargs: Sequence[str]) -> Terminal:
        started.append(Terminal(*args, **kwargs))
        return started[-1]

    yield start
    for each in started:
        each.close()
