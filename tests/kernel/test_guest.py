"""Boots a guest kernel and runs in it the tests of this directory that no ordinary host can."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parents[1]

_LIMIT_S = 400
"""Takes 100 s (user-mode) and 25 s (emulated) on an idle machine."""


def kernel_dir() -> Path:
    """Return where the guest kernels are; "kernel" below "shared" beside the checkout, if nothing else is said."""
    return Path(os.environ.get("DAMOND_KERNEL", _CHECKOUT.parent / "shared" / "kernel"))


@pytest.mark.timeout(_LIMIT_S + 20)
@pytest.mark.parametrize(
    ("launcher", "marker", "options"),
    [
        pytest.param("guest", "kernel", [], id="user-mode"),
        pytest.param("guest-x86", "thp", ["--append", "transparent_hugepage=always"], id="emulated with huge pages"),
        pytest.param("guest-x86", "thp", ["--append", "transparent_hugepage=never"], id="emulated without huge pages"),
    ],
)
def test_in_guest(launcher: str, marker: str, options: list[str]) -> None:
    """All tests that need page_idle pass in a guest kernel, and none of them is skipped."""
    program = kernel_dir() / launcher
    if not program.exists():
        pytest.skip(f"no {program}: set DAMOND_KERNEL to the directory that holds guest and guest-x86")
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-rs", "-s", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [program, "--cpus", "1", "--timeout", str(_LIMIT_S), *options, "--", *pytest_command, _HERE, "-m", marker],
        cwd=_CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LIMIT_S + 10,
        # One CPU for all of it: the guest's threads hand over to each other at every system call, which takes 4 us
        # on one CPU and up to 60 us between two.
        preexec_fn=lambda: os.sched_setaffinity(
            0, {max(os.sched_getaffinity(0))} if launcher == "guest" else os.sched_getaffinity(0)
        ),
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " skipped" not in done.stdout.splitlines()[-1], done.stdout
