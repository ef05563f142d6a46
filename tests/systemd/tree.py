"""A Debian system in a directory, with damond installed by 'make install', for a guest kernel to boot."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.kernel.kernels import CHECKOUT, UML, cache_dir, find, missing

HERE: Final = Path(__file__).parent

SUITE: Final = "trixie"
"""Debian 13: systemd 257 (Type=notify-reload came with 253, Debian 12 has 252) and Python 3.13."""
PYTHON: Final = "3.13"
PACKAGES: Final = ("systemd", "systemd-sysv", "python3", "python3-venv", "make")
PLATFORMS: Final = ("manylinux2014_x86_64", "manylinux_2_27_x86_64", "manylinux_2_28_x86_64")

BUILD_LIMIT_S: Final = 300
"""debootstrap takes 53 s, the wheels 3 s, on two cores and a near mirror."""
BOOT_LIMIT_S: Final = 540
"""From the kernel's start to power-off; takes 110 s on two cores that others use too."""

# The kernel of the guest has no pseudo terminals (CONFIG_UNIX98_PTYS), and PrivateDevices= wants their /dev/ptmx.
_PTMX: Final = "c! /dev/ptmx 0666 root tty - 5:2\n"
_PROOF_UNIT: Final = """\
[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/usr/lib/damond/bin/python /proof/proof.py
ExecStopPost=/usr/bin/systemctl poweroff --force
StandardOutput=append:/proof/out
StandardError=inherit
"""


class NotHere(Exception):  # noqa: N818 - no error: a reason to skip
    """What is needed is not at hand."""


def proven() -> dict[str, Any]:
    """Boot the system, and return what tests/systemd/proof.py saw in it.

    Raises:
        NotHere: The host can't do it.
    """
    _check_host()
    base, wheels = _cached(f"{SUITE}-{_digest(PACKAGES)}", _debootstrap), _cached(_wheels_name(), _download)
    with _copy(base) as tree:
        _install(tree, wheels)
        _furnish(tree)
        console = _boot(tree)
        facts = tree / "proof" / "facts.json"
        if not facts.exists():
            raise RuntimeError(f"{(tree / 'proof' / 'out').read_text()}\n{console}")
        result: dict[str, Any] = json.loads(facts.read_text())
        return result


def _check_host() -> None:
    if os.geteuid() != 0:
        raise NotHere("making a Debian tree and changing into it (chroot) is root's: run these tests as root")
    if reason := missing(UML):
        raise NotHere(reason)


def _digest(words: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(words).encode()).hexdigest()[:12]


def _dependencies() -> list[str]:
    with (CHECKOUT / "pyproject.toml").open("rb") as file:
        return list(tomllib.load(file)["project"]["dependencies"])


def _wheels_name() -> str:
    return f"wheels-{PYTHON}-{_digest(_dependencies())}"


def _cached(name: str, make: Any) -> Path:
    """Return a directory of the cache; make it if it is not there, whole or not at all."""
    place = cache_dir().parent / name
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            made = Path(scratch, name)
            try:
                make(made)
            except (subprocess.SubprocessError, OSError) as error:
                said = getattr(error, "stdout", None) or b""
                said = said if isinstance(said, str) else said.decode(errors="replace")
                raise NotHere(f"{place} is not there, and can't be made: {error}: {said[-500:]}") from error
            made.rename(place)
    return place


def _debootstrap(place: Path) -> None:
    if shutil.which("debootstrap") is None:
        raise NotHere("no debootstrap here: apt-get install debootstrap")
    _run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(place)])


def _download(place: Path) -> None:
    """Fetch the dependencies for the Python of the tree, which need not be that of the host."""
    fixed = ["--only-binary=:all:", "--implementation=cp", f"--python-version={PYTHON}", f"--dest={place}"]
    platforms = [f"--platform={each}" for each in PLATFORMS]
    _run([sys.executable, "-m", "pip", "download", "--quiet", *fixed, *platforms, *_dependencies()])


def _run(line: Sequence[str], **options: Any) -> None:
    subprocess.run(
        line, check=True, timeout=BUILD_LIMIT_S, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )


@contextmanager
def _copy(base: Path) -> Iterator[Path]:
    """Copy the tree: what happens in it is not to be in the next test's. Beside it, so that the blocks are shared."""
    with tempfile.TemporaryDirectory(dir=base.parent, prefix="run-") as scratch:
        tree = Path(scratch, "tree")
        _run(["cp", "-a", "--reflink=auto", str(base), str(tree)])
        yield tree


def _install(tree: Path, wheels: Path) -> None:
    """Install as an operator does: 'make install' in the system, with a wheel of damond."""
    shutil.copytree(wheels, tree / "wheels")
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", f"--wheel-dir={tree / 'wheels'}"]
    _run([*wheel, str(CHECKOUT)])
    source = tree / "src"
    source.mkdir()
    shutil.copy(CHECKOUT / "Makefile", source)
    for folder in ("systemd", "etc"):
        shutil.copytree(CHECKOUT / folder, source / folder)
    env = {"PATH": "/usr/sbin:/usr/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}
    options = ["prefix=/usr", "PYTHON=/usr/bin/python3", "PACKAGE=damond"]
    _run(["chroot", str(tree), "make", "-C", "/src", "install", *options], env=env)


def _furnish(tree: Path) -> None:
    """Put in what the proof needs."""
    (tree / "proof").mkdir()
    shutil.copy(HERE / "proof.py", tree / "proof")
    (tree / "etc/tmpfiles.d/ptmx.conf").write_text(_PTMX)
    (tree / "etc/systemd/system/proof.service").write_text(_PROOF_UNIT)
    wants = tree / "etc/systemd/system/default.target.wants"
    wants.mkdir()
    (wants / "proof.service").symlink_to("../proof.service")
    default = tree / "etc/systemd/system/default.target"
    default.unlink(missing_ok=True)
    default.symlink_to("/usr/lib/systemd/system/multi-user.target")


def _boot(tree: Path) -> str:
    kernel = [str(find(UML)), "rootfstype=hostfs", f"rootflags={tree}", "rw", "mem=1G", "ncpus=1", "seccomp=auto"]
    cpu = min(os.sched_getaffinity(0))  # the guest of tests/kernel has the last one
    try:
        done = subprocess.run(
            # One CPU for all of it: the guest's threads hand over to each other at every system call.
            ["taskset", "--cpu-list", str(cpu), *kernel, "con=null", "con0=null,fd:2"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=BOOT_LIMIT_S,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stdout or b"").decode(errors="replace")[-4000:]
        raise RuntimeError(f"{(tree / 'proof' / 'out').read_text()}\n{said}") from error
    return done.stdout.decode(errors="replace")[-4000:]
