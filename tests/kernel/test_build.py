"""The build of the guest kernels: what it checks before it takes five minutes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kernel import build as builder
from tests.kernel.build import MENDS, RECIPES, TOOLS, BuildError, check_tools, configure, mend
from tests.kernel.kernels import CHECKOUT, HERE, KINDS

_TLB = """\
			if (!pte_young(*pte)) {
				r = 0;
				w = 0;
			} else if (!pte_dirty(*pte))
				w = 0;

			ret = ops->mmap(ops->mm_idp, addr, PAGE_SIZE,
					prot, fd, offset);
"""


def make_tree(root: Path, tlb: str = _TLB) -> Path:
    for each in MENDS:
        path = root / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(tlb if path.name == "tlb.c" else "int x;\n")
    return root


def test_mends_are_made_once(tmp_path: Path) -> None:
    """Each place is mended, and a tree that has been mended stays as it is."""
    tree = make_tree(tmp_path)
    mend(tree)
    once = {each.path: (tree / each.path).read_text() for each in MENDS}
    assert once["arch/um/kernel/tlb.c"].count("x = 0;") == 1
    assert "prot ? ops->mmap(" in once["arch/um/kernel/tlb.c"]
    assert "os_nsecs()" in once["arch/um/kernel/time.c"]
    mend(tree)
    assert {each.path: (tree / each.path).read_text() for each in MENDS} == once


def test_sources_that_have_changed(tmp_path: Path) -> None:
    """Where a place to mend is not found any more the build ends, and names the file."""
    with pytest.raises(BuildError, match=re.escape("tlb.c has changed")):
        mend(make_tree(tmp_path, "nothing of it\n"))


@pytest.mark.parametrize(
    ("result", "lost"),
    [
        pytest.param("CONFIG_A=y\nCONFIG_N=2\n", None, id="all there"),
        pytest.param("CONFIG_A=y\n# CONFIG_OFF is not set\nCONFIG_N=2\n", None, id="what is off is named"),
        pytest.param("CONFIG_N=2\n", "CONFIG_A=y", id="an option is missing"),
        pytest.param("CONFIG_A=y\nCONFIG_N=64\n", "CONFIG_N=2", id="a value is another"),
        pytest.param("CONFIG_A=y\nCONFIG_N=2\nCONFIG_OFF=y\n", "# CONFIG_OFF is not set", id="on, and should be off"),
    ],
)
def test_lost_options(result: str, lost: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that the sources do not take is named before anything is built."""
    fragment, made, program = tmp_path / "fragment", tmp_path / "made", tmp_path / "bin" / "make"
    fragment.write_text("# why\nCONFIG_A=y\nCONFIG_N=2\n# CONFIG_OFF is not set\n")
    made.write_text(result)
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec cp {made} {tmp_path}/.config\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    if lost is None:
        configure(RECIPES["x86"], tmp_path, tmp_path, fragment)
    else:
        with pytest.raises(BuildError, match=re.escape(lost)):
            configure(RECIPES["x86"], tmp_path, tmp_path, fragment)


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a compiler and the like the error is the command that installs them."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BuildError, match=r"apt-get install .*gcc.*make.*flex.*bison"):
        check_tools()


def test_no_package_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no apt-get, the error says where unpacked sources would be taken from."""
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(BuildError, match=re.escape(str(tmp_path / "linux-source-6.12"))):
        builder.fetch(RECIPES["x86"], tmp_path)


def test_each_kind_has_recipe_and_fragment() -> None:
    """What the launcher can start can be built; a fragment has the options that the tests are about."""
    assert RECIPES.keys() == KINDS.keys()
    for name in RECIPES:
        options = (HERE / f"{name}.config").read_text().splitlines()
        assert {"CONFIG_IDLE_PAGE_TRACKING=y", "CONFIG_DAMON_SYSFS=y", "CONFIG_OVERLAY_FS=y"} <= set(options)


@pytest.fixture
def without_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with an emulator, and no kernel: a directory in which tests put programs and kernels."""
    (tmp_path / "qemu-system-x86_64").touch(0o755)
    monkeypatch.setenv("DAMOND_KERNEL", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return tmp_path


def said(minutes: str) -> list[str]:
    """Run what 'make test' runs before the tests; return what it says, a line per kind."""
    command = [sys.executable, "-m", "tests.kernel.build", "--minutes", minutes]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_kernels_at_hand_are_named(without_kernels: Path) -> None:
    """What is there is not built, whatever the time; which kernel it is, is said."""
    for name in ("linux", "bzImage"):
        (without_kernels / name).touch()
    assert said("15") == [
        f"kernel, user-mode Linux: at hand: {without_kernels}/linux",
        f"kernel, emulated x86-64: at hand: {without_kernels}/bzImage",
    ]


def test_no_time_to_build(without_kernels: Path) -> None:
    """Without time nothing is built; what is not tested on, and how it would be, is said."""
    for line in said("0"):
        assert re.search(r"not tested on: no .* kernel in .*'make kernel' builds it", line), line


def test_build_that_is_not_possible(without_kernels: Path) -> None:
    """With time, but without a compiler, the reason is the command that installs one, and it is no error."""
    for line in said("1"):
        assert re.search(r"not tested on: it can't be built here: kernel: .*apt-get install .*gcc", line), line


def test_build_that_takes_too_long(without_kernels: Path) -> None:
    """A build is ended with all that it has started when the time is up."""
    for program in TOOLS:
        path = without_kernels / program
        path.write_text("#!/bin/sh\nexec /bin/sleep 30\n")
        path.chmod(0o755)
    (without_kernels / "apt-get").write_text(f"#!/bin/sh\necho $$ >> {without_kernels}/pids\nexec /bin/sleep 30\n")
    (without_kernels / "apt-get").chmod(0o755)
    first, second = said("0.1")
    assert "not tested on: it was not built within 6 s" in first or "libelf-dev" in first
    assert "not tested on" in second
    pids = (without_kernels / "pids").read_text().split() if (without_kernels / "pids").exists() else []
    assert not [
        pid for pid in pids if Path(f"/proc/{pid}").exists() and "sleep" in Path(f"/proc/{pid}/comm").read_text()
    ]


def test_other_machines_are_told(without_kernels: Path) -> None:
    """Where there is no emulator, its package is named, and nothing is built for it."""
    (without_kernels / "qemu-system-x86_64").unlink()
    assert "apt-get install --no-install-recommends qemu-system-x86" in said("15")[1]
