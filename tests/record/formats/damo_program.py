"""The real damo, from PyPI, run by nobody on files: its probing writes to the kernel's DAMON if it may."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION = "3.4.3"
FORCE = "DAMOND_TEST_DAMO"
LIMIT_S = 120


class Damo:
    """damo with a directory of its own.

    Attributes:
        directory: Where it runs, and may write.
    """

    def __init__(self, package: Path, directory: Path) -> None:
        self.directory = directory
        self._package = package

    def run(self, *args: str) -> str:
        """Run it as nobody; return what it prints."""
        line = [_interpreter(), str(self._package / "damo" / "damo.py"), *args]
        if os.geteuid() == 0:
            line = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *line]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            line, cwd=self.directory, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        assert "Traceback" not in done.stderr
        return done.stdout


def _interpreter() -> str:
    # One that nobody may run: that of an environment below somebody's home is not.
    return "/usr/bin/python3" if os.geteuid() == 0 else sys.executable


@contextmanager
def installed(cache: Path) -> Iterator[Damo]:
    """Give damo from the cache, installed there once; skip where that can't be."""
    package = cache / f"damo-{VERSION}"
    missing = _why_not(package)
    if missing:
        if os.environ.get(FORCE):
            pytest.fail(missing)
        pytest.skip(f"{missing}; {FORCE}=1 makes this a failure")
    with tempfile.TemporaryDirectory(prefix="damond-damo-") as name:
        directory = Path(name)
        directory.chmod(0o777)
        # To where nobody may go.
        shutil.copytree(package / "damo", directory / "package" / "damo")
        for each in [directory / "package", *(directory / "package").rglob("*")]:
            each.chmod(each.stat().st_mode | (0o755 if each.is_dir() else 0o644))
        yield Damo(directory / "package", directory)


def _why_not(package: Path) -> str:
    if os.geteuid() == 0 and not (shutil.which("setpriv") and Path(_interpreter()).exists()):
        return "as root this needs setpriv and /usr/bin/python3"
    if shutil.which("file") is None:
        return "damo needs the program file"
    if not (package / "damo").exists():
        line = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(package), f"damo=={VERSION}"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=LIMIT_S, check=False)
        if done.returncode != 0:
            return f"damo {VERSION} can't be installed: {done.stderr.strip().splitlines()[-1:]}"
    return ""
