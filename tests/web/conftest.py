"""A served service and its page, each a process as a user starts it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from damond.core import Snapshot
from tests.conftest import SnapshotOf

LIMIT_S = 30.0
MIB = 1 << 20
SECOND_NS = 1_000_000_000
START = 1 << 46
Window = Callable[..., Snapshot]

CONFIG = """
[context.hops]
primitive = "synthetic"
seed = 1
options = { size = "256MiB", tracks = [
    { start = "64MiB", size = "32MiB", until = "7s" },
    { start = "192MiB", size = "32MiB", begin = "7s" },
] }
[context.still]
primitive = "synthetic"
options = { preset = "constant" }
[context.later]
primitive = "synthetic"
autostart = false
"""


@pytest.fixture(scope="session")
def window(snapshot_of: SnapshotOf) -> Window:
    """Make a window that ends at a time: 64 MiB, one MiB of them hot, a region each."""

    def make(seconds: float, hot_mib: int, *, span_s: float = 0.1, nr_samples: int = 0) -> Snapshot:
        mib = [(START + each * MIB, START + (each + 1) * MIB, 20 if each == hot_mib else 0) for each in range(64)]
        end_ns = round(seconds * SECOND_NS)
        found = snapshot_of({7: mib}, end_ns - round(span_s * SECOND_NS), end_ns)
        behind = np.full(64, nr_samples, np.uint32)
        target = replace(found.targets[0], age=np.arange(64, dtype=np.uint32), nr_samples=behind)
        return replace(found, context="c", targets=(target,), sampled_bytes=MIB if nr_samples else 0)

    return make


@dataclass
class Program:
    """A process that says on standard error when it is ready."""

    arguments: list[str]
    ready: str
    process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start it; return the line that said so."""
        command = [sys.executable, "-m", "damond", *self.arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        while self.ready not in (line := self.process.stderr.readline()):
            assert line, f"{self.arguments[0]} ended before it was ready"
        return line

    def end(self, *, kill: bool = False) -> None:
        """End it, and wait for that."""
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait(LIMIT_S)
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None


def page(runtime_dir: Path, *options: str) -> Program:
    """Make the page's server."""
    return Program(["web", "--port", "0", "--runtime-dir", str(runtime_dir), *options], "damond: http://")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """`damond serve`, with a hot range that hops after ten seconds."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "damond.toml").write_text(CONFIG)
    arguments = ["serve", "--config", str(folder / "damond.toml"), "--runtime-dir", str(folder / "run")]
    program = Program(arguments, "serving 3 contexts")
    program.start()
    yield program
    program.end()


@pytest.fixture(scope="module")
def runtime_dir(service: Program) -> Path:
    """Where it serves."""
    return Path(service.arguments[-1])


@pytest.fixture(scope="module")
def address(runtime_dir: Path) -> Iterator[str]:
    """`damond web` as it is by default; yields its address."""
    program = page(runtime_dir)
    yield program.start().split()[1]
    program.end()
