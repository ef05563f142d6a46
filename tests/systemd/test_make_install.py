"""``make install`` and ``make uninstall`` below a directory of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.kernels import CHECKOUT

pytestmark = [pytest.mark.install, pytest.mark.timeout(600)]

PLACED = (
    "usr/bin/damond",
    "usr/lib/systemd/system/damond.service",
    "usr/lib/sysusers.d/damond.conf",
    "usr/lib/tmpfiles.d/damond.conf",
    "usr/share/bash-completion/completions/damond",
    "usr/share/doc/damond/remote.conf",
    "usr/share/fish/vendor_completions.d/damond.fish",
    "usr/share/man/man1/damond.1",
    "usr/share/zsh/site-functions/_damond",
)
KEPT = {"etc/damond/damond.toml", "etc/damond/conf.d/service.toml"}


def make(target: str, destination: Path) -> None:
    options = [f"DESTDIR={destination}", "prefix=/usr", f"PYTHON={sys.executable}"]
    done = subprocess.run(
        ["make", "-C", str(CHECKOUT), target, *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def files(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file() or each.is_symlink()}


@pytest.fixture(scope="module")
def destination(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("destination")
    make("install", folder)
    return folder


def test_everything_is_in_place(destination: Path) -> None:
    """The package, the unit and its snippets, the configuration, the manual page and the completions are there."""
    missing = [each for each in (*PLACED, *KEPT) if not (destination / each).exists() and each != "usr/bin/damond"]
    assert missing == []
    assert str((destination / "usr/bin/damond").readlink()) == "../lib/damond/bin/damond"
    unit = (destination / "usr/lib/systemd/system/damond.service").read_text()
    assert "\nExecStart=/usr/bin/damond serve --config /etc/damond/damond.toml\n" in unit
    assert "complete" in (destination / "usr/share/bash-completion/completions/damond").read_text()


def test_no_file_knows_the_destination(destination: Path) -> None:
    """What is moved to its real place works there: no file holds the path of DESTDIR."""
    needle = str(destination).encode()
    assert [each for each in destination.rglob("*") if each.is_file() and needle in each.read_bytes()] == []


def test_runs(destination: Path) -> None:
    """The installed environment has damond and its plugins, without any help of the checkout."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL", "COV"))}
    line = [str(destination / "usr/lib/damond/bin/python"), "-I", "-m", "damond", "plugins"]
    done = subprocess.run(line, cwd=destination, env=clean, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("vaddr", "physical", "synthetic")), done.stdout


def test_configuration_is_the_operators(tmp_path: Path) -> None:
    """A second installation keeps a changed configuration, and so does 'make uninstall', which takes the rest."""
    config = tmp_path / "etc/damond/damond.toml"
    config.parent.mkdir(parents=True)
    config.write_text("# mine\n")
    make("install", tmp_path)
    assert config.read_text() == "# mine\n"
    make("uninstall", tmp_path)
    assert files(tmp_path) == KEPT
    assert config.read_text() == "# mine\n"
