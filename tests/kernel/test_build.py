"""The build of the guest kernels: what it checks before it takes five minutes."""

import re
from pathlib import Path

import pytest

from tests.kernel import build as builder
from tests.kernel.build import MENDS, RECIPES, BuildError, check_tools, configure, mend
from tests.kernel.kernels import HERE, KINDS

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
