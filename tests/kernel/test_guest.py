"""Boots a guest kernel and runs in it the tests of this directory that no ordinary host can."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel import kernels
from tests.kernel.guest import FAILED, TIMED_OUT
from tests.kernel.kernels import CHECKOUT, HERE, UML, X86, Kind

_LIMIT_S = 480
"""Takes 200 s (user-mode) and 40 s (emulated) on a machine of two CPUs that others use too."""


def guest(
    *command: object, kind: Kind = UML, timeout: int = 60, append: str = "", first: bool = False
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a guest; skip the test if no guest can run here."""
    if why := kernels.missing(kind):
        pytest.skip(why)
    options = ["--kind", kind.name, "--timeout", timeout, "--append", append, *(["--first"] if first else [])]
    words = [sys.executable, "-m", "tests.kernel.guest", *options, "--", *command]
    return subprocess.run(
        [str(word) for word in words], cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=timeout + 30
    )


@pytest.mark.timeout(_LIMIT_S + 40)
@pytest.mark.parametrize(
    ("kind", "marker", "append"),
    [
        pytest.param(UML, "kernel", "", id="user-mode"),
        pytest.param(X86, "thp", "transparent_hugepage=always kernelcore=1G", id="emulated with huge pages"),
        pytest.param(X86, "thp", "transparent_hugepage=never kernelcore=1G", id="emulated without huge pages"),
    ],
)
def test_in_guest(kind: Kind, marker: str, append: str) -> None:
    """All tests that need page_idle pass in a guest kernel."""
    words = [sys.executable, "-m", "pytest", "-q", "-rs", "-s", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = guest(*words, HERE, "-m", marker, kind=kind, timeout=_LIMIT_S, append=append, first=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "page_idle" not in done.stdout.partition("SKIPPED")[2], f"skipped in the guest:\n{done.stdout}"


@pytest.mark.parametrize("kind", [UML, X86], ids=["user-mode", "emulated"])
def test_output_and_status_come_back(kind: Kind, tmp_path: Path) -> None:
    """A command runs as root in the caller's directory; its output, its errors and its status come back apart."""
    script = (
        f"pwd; id -u; test -w /sys/kernel/mm/page_idle/bitmap && echo idle; echo bad >&2; touch {tmp_path}/x; exit 7"
    )
    done = guest("sh", "-c", script, kind=kind)
    assert done.stdout.splitlines() == [str(CHECKOUT), "0", "idle"]
    assert done.stderr == "bad\n"
    assert done.returncode == 7
    assert not list(tmp_path.iterdir()), "the host's files must not change"


def test_environment_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH and what begins with DAMOND_ reach the command, other variables do not."""
    monkeypatch.setenv("DAMOND_X", "it's $HOME")
    monkeypatch.setenv("OTHER_X", "1")
    done = guest("sh", "-c", 'printf "%s|%s|%s" "$DAMOND_X" "$OTHER_X" "$PATH"')
    kept, other, path = done.stdout.split("|")
    assert (kept, other) == ("it's $HOME", "")
    assert path


def test_a_file_for_the_host() -> None:
    """The directory of DAMOND_GUEST_JOB is the host's: it is writable from inside, and gone afterwards."""
    done = guest("sh", "-c", 'echo 1 > "$DAMOND_GUEST_JOB/file" && echo "$DAMOND_GUEST_JOB"')
    assert done.returncode == 0
    assert not Path(done.stdout.strip()).exists()


def test_time_limit() -> None:
    """A command that does not end is ended with its guest; what it has printed comes back, and the status says so."""
    done = guest("sh", "-c", "echo begun; sleep 1000", timeout=2)
    assert (done.stdout, done.returncode) == ("begun\n", TIMED_OUT)
    assert "time was up" in done.stderr


def test_guest_that_fails() -> None:
    """A guest that does not get as far as the command is told apart from a command that fails."""
    done = guest("true", append="mem=1M", timeout=20)
    assert done.returncode in (FAILED, TIMED_OUT)
    assert "guest:" in done.stderr


@pytest.mark.parametrize(
    ("machine", "present", "program", "text"),
    [
        pytest.param("aarch64", True, True, "x86-64 hosts", id="another architecture"),
        pytest.param("x86_64", False, True, "make kernel", id="no kernel"),
        pytest.param("x86_64", True, False, "apt-get install", id="no emulator"),
        pytest.param("x86_64", True, True, "", id="all there"),
    ],
)
def test_what_is_missing(
    machine: str, present: bool, program: bool, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A skip says what is missing, and how to come by it."""
    if present:
        (tmp_path / "bzImage").touch()
    (tmp_path / "qemu-system-x86_64").touch(0o755)
    monkeypatch.setenv("DAMOND_KERNEL", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path) if program else "/nonexistent")
    monkeypatch.setattr("platform.machine", lambda: machine)
    why = kernels.missing(X86)
    assert text in why
    assert bool(why) == bool(text)


def test_places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """DAMOND_KERNEL is the only place if it is set; else the cache comes before what lies beside the checkout."""
    monkeypatch.setenv("DAMOND_KERNEL", str(tmp_path))
    assert kernels.places() == [tmp_path]
    monkeypatch.delenv("DAMOND_KERNEL")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kernels.places()[0] == tmp_path / "damond" / "kernel"
    (tmp_path / "damond" / "kernel").mkdir(parents=True)
    (tmp_path / "damond" / "kernel" / "linux").touch()
    assert kernels.find(UML) == tmp_path / "damond" / "kernel" / "linux"
