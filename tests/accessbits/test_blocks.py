"""Blocks of pages: their size, their pages, and that neighbours are read at once and rightly."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond_accessbits import IdleFrames
from damond_accessbits.blocks import BlockSize, any_of, auto_block, pages_of, parse_block
from damond_accessbits.pageflags import HEAD, LRU, TAIL
from damond_accessbits.words import read_runs, read_words
from tests.accessbits.faketree import PAGE, USED, FakeTree

MIB, GIB = 1 << 20, 1 << 30


@pytest.mark.parametrize(("given", "parsed"), [("auto", "auto"), (1, 1), (64, 64), ("8", 8)])
def test_parse_block(given: object, parsed: int | str) -> None:
    """A power of two up to 64, or auto."""
    assert parse_block(given) == parsed


@pytest.mark.parametrize("given", [0, 3, 128, -1, True, "big", "", 2.0, None])
def test_parse_block_refuses(given: object) -> None:
    """Anything else is told what would be right."""
    with pytest.raises(ValueError, match="power of two from 1 to 64"):
        parse_block(given)


@pytest.mark.parametrize(
    ("total", "pages"),
    [(0, 1), (512 * MIB, 1), (GIB, 1), (2 * GIB - 1, 1), (2 * GIB, 2), (5 * GIB, 4), (64 * GIB, 64), (1 << 44, 64)],
)
def test_auto_block(total: int, pages: int) -> None:
    """A chosen block is at most a 262,144th of the memory."""
    assert auto_block(total) == pages


def test_chosen_blocks_are_given_up_where_frames_are_scattered() -> None:
    """Halved after each aggregation in which a block took more than four words; one that was asked for stays."""
    chosen, asked = BlockSize("auto"), BlockSize(64)
    for size in (chosen, asked):
        size.fit(100 * GIB)
        size.passed(nr_blocks=10, nr_words=40)
        size.aggregated("one")
        assert size.pages == 64
        size.passed(nr_blocks=10, nr_words=41)
        size.aggregated("one")
        size.fit(100 * GIB)
    assert (chosen.pages, asked.pages) == (32, 64)


def test_pages_of() -> None:
    """All pages of all blocks, and where each block's begin."""
    pages, begin = pages_of(np.array([4, 32], np.uint64) * PAGE, np.array([6, 35], np.uint64) * PAGE)
    assert pages.tolist() == [4, 5, 32, 33, 34]
    assert begin.tolist() == [0, 2]
    assert any_of(np.array([False, True, False, False, False]), begin).tolist() == [True, False]
    nothing = np.zeros(0, np.uint64)
    pages, begin = pages_of(nothing, nothing)
    assert (len(pages), len(any_of(np.zeros(0, bool), begin))) == (0, 0)


@given(numbers=st.lists(st.integers(0, 700), max_size=80))
def test_runs_read_what_single_reads_do(tmp_path_factory: pytest.TempPathFactory, numbers: list[int]) -> None:
    """In any order, with gaps and repetitions, and behind the end of the file."""
    path = tmp_path_factory.mktemp("words") / "words"
    path.write_bytes(np.arange(1, 501, dtype=np.uint64).tobytes())
    fd = os.open(path, os.O_RDONLY)
    wanted = np.array(numbers, np.uint64)
    assert read_runs(fd, wanted).tolist() == read_words(fd, wanted).tolist()
    os.close(fd)


@given(
    folios=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40),
    frames=st.lists(st.integers(1, 600), min_size=1, max_size=200),
)
def test_heads_of_many_tails(
    tmp_path_factory: pytest.TempPathFactory, folios: list[tuple[int, bool]], frames: list[int]
) -> None:
    """Folios of any sizes: each frame is marked at the head of its folio, and one access is seen for all of it."""
    tree = FakeTree(tmp_path_factory.mktemp("folios"))
    flags: dict[int, int] = {}
    head_of: dict[int, int] = {}
    at = 0
    for order, used in folios:
        at = -(-at // (1 << order)) << order
        for frame in range(at, at + (1 << order)):
            head_of[frame] = at if used else -1
            flags[frame] = (TAIL | LRU if frame > at else USED | (HEAD if order else 0)) if used else 0
        at += 1 << order
    tree.page_idle(flags)
    idle = IdleFrames(tree.root)
    idle.mark(np.array(frames, np.uint64), in_runs=True)
    heads = [head_of.get(frame, -1) for frame in frames]
    assert tree.marked() == {head for head in heads if head >= 0}
    assert idle.unknown.tolist() == [head < 0 for head in heads]
    touched = {head for head in heads if head >= 0 and head % 3 == 0}
    tree.access(*touched)
    assert idle.accessed().tolist() == [head in touched for head in heads]
    idle.close()


def test_words_of_a_pass(tmp_path: Path) -> None:
    """64 neighbours are one word of the bitmap."""
    tree = FakeTree(tmp_path)
    tree.page_idle(dict.fromkeys(range(64, 256), USED))
    idle = IdleFrames(tree.root)
    idle.mark(np.arange(64, 128, dtype=np.uint64), in_runs=True)
    assert idle.nr_words == 1
    idle.mark(np.arange(65, 129, dtype=np.uint64), in_runs=True)
    assert idle.nr_words == 2
    idle.close()
