"""What works here, found out by trying; and draining for real."""

import os
from pathlib import Path

import pytest

from damond_accessbits import Root, probe_page_idle, probe_referenced
from damond_accessbits.drain import _by_turns, drain_lru_batches
from damond_accessbits.idle import BITMAP
from damond_accessbits.pagemap import PRESENT
from damond_accessbits.probe import own_page
from tests.accessbits.faketree import PAGE, FakeTree


def test_page_idle_works_where_all_is_there(tmp_path: Path) -> None:
    """With bitmap, kpageflags and frame numbers page_idle works, at one page."""
    tree = FakeTree(tmp_path)
    tree.page_idle()
    probe = probe_page_idle(tree.root, by_process=True)
    assert (probe.works, probe.granularity) == (True, PAGE)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        pytest.param(BITMAP, "CONFIG_IDLE_PAGE_TRACKING", id="kernel without page_idle"),
        pytest.param("proc/kpageflags", "kpageflags", id="no kpageflags"),
        pytest.param("proc/self/pagemap", "pagemap", id="no pagemap"),
    ],
)
def test_what_is_missing_is_the_reason(tmp_path: Path, missing: str, words: str) -> None:
    """The reason names what is missing, and the hint what would help."""
    tree = FakeTree(tmp_path)
    tree.page_idle()
    (tmp_path / missing).unlink()
    probe = probe_page_idle(tree.root, by_process=True)
    assert not probe.works
    assert words in probe.reason
    assert probe.hint


def test_a_kernel_without_page_idle_is_told_as_such_to_all(tmp_path: Path) -> None:
    """Who may not read kpageflags is not sent to become root where the kernel has no page_idle at all."""
    tree = FakeTree(tmp_path)
    tree.page_idle()
    for missing in (BITMAP, "proc/kpageflags"):
        (tmp_path / missing).unlink()
    assert "CONFIG_IDLE_PAGE_TRACKING" in probe_page_idle(tree.root, by_process=True).reason


def test_frame_numbers_must_be_visible_for_processes_only(tmp_path: Path) -> None:
    """Hidden frame numbers are in the way of processes, not of physical memory."""
    tree = FakeTree(tmp_path)
    tree.page_idle()
    tree.word("proc/self/pagemap", own_page()[1] // PAGE, PRESENT)
    assert "CAP_SYS_ADMIN" in probe_page_idle(tree.root, by_process=True).reason
    assert probe_page_idle(tree.root, by_process=False).works


def test_referenced_works_on_any_linux() -> None:
    """The source referenced works here and says what it costs."""
    probe = probe_referenced(Root())
    assert (probe.works, probe.granularity) == (True, 0)
    assert "whole mapping" in probe.reason


def test_referenced_needs_its_files(tmp_path: Path) -> None:
    """A kernel without clear_refs and smaps is told apart."""
    probe = probe_referenced(Root(str(tmp_path)))
    assert not probe.works
    assert "CONFIG_PROC_PAGE_MONITOR" in probe.hint


def test_draining_finds_a_way() -> None:
    """The batches are drained on this machine, by one way or the other, and the CPUs allowed stay the same."""
    allowed = os.sched_getaffinity(0)
    assert drain_lru_batches()
    assert _by_turns() == (len(allowed) <= 8)
    assert os.sched_getaffinity(0) == allowed
