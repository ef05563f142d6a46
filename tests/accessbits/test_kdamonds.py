"""Finding the kernel's own DAMON, without touching it."""

from pathlib import Path

import pytest

from damond.errors import KdamondRunningError
from damond_accessbits import Root, find_kdamonds, refuse_kdamonds
from tests.accessbits.faketree import FakeTree

SYSFS = "sys/kernel/mm/damon/admin/kdamonds/0"


@pytest.fixture
def tree(tmp_path: Path) -> FakeTree:
    """A machine with a kdamond of sysfs that is off, and a DAMON_STAT that is off."""
    tree = FakeTree(tmp_path)
    tree.text(f"{SYSFS}/state", "off\n")
    tree.text(f"{SYSFS}/pid", "-1\n")
    tree.text(f"{SYSFS}/contexts/0/operations", "paddr\n")
    tree.text("sys/module/damon_stat/parameters/enabled", "N\n")
    tree.text("proc/2/task/2/children", "3 77 ")
    tree.text("proc/3/comm", "pool_workqueue_release\n")
    tree.text("proc/77/comm", "kworker/0:1\n")
    return tree


def owners(tree: FakeTree) -> list[str]:
    return [each.owner for each in find_kdamonds(tree.root)]


def test_nothing_runs(tree: FakeTree) -> None:
    """DAMON that is built in and off is no obstacle."""
    assert owners(tree) == []
    refuse_kdamonds(tree.root)


def test_no_damon_at_all(tmp_path: Path) -> None:
    """A kernel without DAMON has none that runs."""
    assert find_kdamonds(Root(str(tmp_path))) == []


def test_sysfs_and_its_thread_are_one(tree: FakeTree) -> None:
    """A kdamond of sysfs is named once, with its operations and how to switch it off."""
    tree.text(f"{SYSFS}/state", "on\n")
    tree.text(f"{SYSFS}/pid", "77\n")
    tree.text("proc/77/comm", "kdamond.0\n")
    (found,) = find_kdamonds(tree.root)
    assert found.owner == f"kdamond 0 of /{SYSFS.rpartition('/')[0]} (paddr)"
    asked, switched = found.remedy.split("; if nobody needs it any more: ")
    assert "find out who uses it" in asked
    assert switched == f"echo off > /{SYSFS}/state"
    assert found.pid == 77


def test_module_whose_thread_has_no_pid(tree: FakeTree) -> None:
    """A module that does not tell the pid of its thread accounts for one thread."""
    tree.text("sys/module/damon_stat/parameters/enabled", "Y\n")
    tree.text("proc/77/comm", "kdamond.0\n")
    assert owners(tree) == ["the module damon_stat"]
    tree.text("proc/3/comm", "kdamond.1\n")
    assert owners(tree) == ["the module damon_stat", "the kernel thread kdamond.0 (pid 77)"]


@pytest.mark.parametrize("module", ["damon_stat", "damon_reclaim", "damon_lru_sort"])
def test_module_is_named_with_its_switch(tree: FakeTree, module: str) -> None:
    """Each module that runs contexts of its own is found by its switch."""
    tree.text(f"sys/module/{module}/parameters/enabled", "Y\n")
    (found,) = find_kdamonds(tree.root)
    assert found.remedy.endswith(f"ask who needs it; if nobody does: echo N > /sys/module/{module}/parameters/enabled")


def test_thread_of_nobody(tree: FakeTree) -> None:
    """A thread that neither sysfs nor a module accounts for (debugfs of older kernels) is found by its name."""
    tree.text("proc/77/comm", "kdamond.12\n")
    assert owners(tree) == ["the kernel thread kdamond.12 (pid 77)"]


def test_thread_is_found_without_the_list_of_children(tree: FakeTree) -> None:
    """Where the kernel lists no children, /proc/PID/stat says whose child a thread is; a user's namesake is none."""
    (tree.base / "proc/2/task/2/children").unlink()
    for pid, parent in ((77, 2), (78, 1)):
        tree.text(f"proc/{pid}/comm", "kdamond.0\n")
        tree.text(f"proc/{pid}/stat", f"{pid} (kdamond.0) S {parent} 0 0\n")
    assert owners(tree) == ["the kernel thread kdamond.0 (pid 77)"]


def test_refusal_names_all_and_what_to_do(tree: FakeTree) -> None:
    """The error names every owner, and the hint every way out."""
    tree.text(f"{SYSFS}/state", "on\n")
    tree.text("sys/module/damon_stat/parameters/enabled", "Y\n")
    with pytest.raises(KdamondRunningError, match="damon_stat") as info:
        refuse_kdamonds(tree.root, instead="or something else")
    assert "kdamond 0" in info.value.message
    for words in ("echo off", "echo N", "allow_kdamond = true", "or something else"):
        assert words in info.value.hint


def test_this_machine_can_be_asked() -> None:
    """On any machine the question is answered, and whatever runs has an owner and a remedy."""
    assert all(each.owner and each.remedy for each in find_kdamonds(Root()))
