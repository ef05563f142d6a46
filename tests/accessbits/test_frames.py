"""pagemap, kpageflags and page_idle on plain files."""

import errno
import gc
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.errors import SourceUnavailableError
from damond_accessbits import HiddenFramesError, IdleFrames, Root, read_frames
from damond_accessbits.idle import BITMAP, words_of
from damond_accessbits.pageflags import (
    BUDDY,
    HEAD,
    HUGETLB,
    LRU,
    MMAP,
    NOPAGE,
    OFFLINE,
    TAIL,
    UPTODATE,
    ZERO_PAGE,
    PageFlags,
)
from damond_accessbits.pagemap import PRESENT, frames_of
from damond_accessbits.words import Reach, read_words, write_words
from tests.accessbits.faketree import NR_FRAMES, PAGE, USED, FakeTree


def open_files() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def u64(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


@pytest.mark.parametrize(
    ("entry", "frame"),
    [
        pytest.param(PRESENT | 42, 42, id="present"),
        pytest.param(PRESENT | 1 << 55 | 1 << 61 | 42, 42, id="soft-dirty page of a file"),
        pytest.param(1 << 62 | 42, 0, id="swapped out"),
        pytest.param(0, 0, id="not there"),
    ],
)
def test_entry_of_pagemap(entry: int, frame: int) -> None:
    """A frame number counts only where the page is present."""
    assert frames_of(u64(entry)).tolist() == [frame]


def test_hidden_frames_are_told_from_absent_pages() -> None:
    """Present without a frame number means that the kernel hides it: an error that names the capability."""
    assert frames_of(u64(0, 0)).tolist() == [0, 0]
    with pytest.raises(HiddenFramesError, match="CAP_SYS_ADMIN"):
        frames_of(u64(0, PRESENT))


def test_own_pages_are_found_where_they_are(tmp_path: Path) -> None:
    """An address is looked up at 8 bytes per page; behind the end of pagemap nothing is present."""
    tree = FakeTree(tmp_path)
    tree.process(1, "", {3 * PAGE: 33, 5 * PAGE: 55})
    fd = tree.root.open("proc/1/pagemap")
    assert read_frames(fd, u64(3 * PAGE + 17, 4 * PAGE, 5 * PAGE, 1000 * PAGE)).tolist() == [33, 0, 55, 0]
    os.close(fd)


def within(words: int) -> Reach:
    """Make a reach of so many words."""
    reach = Reach()
    reach.words, reach.measured = words, True
    return reach


@given(
    words=st.dictionaries(st.integers(0, 500), st.integers(0, 2**64 - 1), max_size=50),
    nr_words=st.integers(0, 100),
    block_order=st.integers(2, 10),
)
def test_words_come_back_as_they_were_written(words: dict[int, int], nr_words: int, block_order: int) -> None:
    """What is written at any places is read there, however they share system calls; behind the end it is 0."""
    fd = os.memfd_create("words")
    reach = within(nr_words)
    numbers, values = u64(*sorted(words)), u64(*(words[number] for number in sorted(words)))
    assert not len(write_words(fd, numbers, values, reach, block_order=block_order))
    assert read_words(fd, u64(*words, 501), reach, block_order=block_order).tolist() == [*words.values(), 0]
    assert read_words(fd, np.repeat(numbers, 2), reach).tolist() == np.repeat(values, 2).tolist()
    os.close(fd)


def test_neighbours_share_a_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words within reach of each other are read and written in one go, but never across a block."""
    (tmp_path / "words").write_bytes(bytes(8 * 64))
    fd = os.open(tmp_path / "words", os.O_RDWR)
    calls: list[tuple[int, int]] = []
    pread, preadv, pwrite = os.pread, os.preadv, os.pwrite

    def reading(fd: int, size: int, offset: int) -> bytes:
        calls.append((offset // 8, size // 8))
        return pread(fd, size, offset)

    def writing(fd: int, data: bytes, offset: int) -> int:
        calls.append((offset // 8, len(data) // 8))
        return pwrite(fd, data, offset)

    def reading_into(fd: int, rooms: list[memoryview], offset: int) -> int:
        calls.append((offset // 8, len(rooms[0]) // 8))
        return preadv(fd, rooms, offset)

    monkeypatch.setattr(os, "pread", reading)
    monkeypatch.setattr(os, "preadv", reading_into)
    monkeypatch.setattr(os, "pwrite", writing)
    numbers = u64(1, 2, 5, 9, 14, 15, 17)
    for function in (
        lambda reach: read_words(fd, numbers, within(reach), block_order=4),
        lambda reach: write_words(fd, numbers, numbers, within(reach), block_order=4),
    ):
        for reach, expected in [
            (0, [(1, 1), (2, 1), (5, 1), (9, 1), (14, 1), (15, 1), (17, 1)]),
            (2, [(1, 5), (9, 1), (14, 2), (17, 1)]),
            (9, [(1, 15), (17, 1)]),
        ]:
            calls.clear()
            function(reach)
            assert calls == expected
    os.close(fd)


def test_words_behind_the_end_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of words that share a system call across the end of page_idle those behind it are told apart."""
    (tmp_path / "words").write_bytes(bytes(8 * 10))
    fd = os.open(tmp_path / "words", os.O_RDWR)
    pwrite = os.pwrite

    def as_page_idle(fd: int, data: bytes, offset: int) -> int:
        if offset >= 80:
            raise OSError(errno.ENXIO, "No such device or address")
        return pwrite(fd, data[: 80 - offset], offset)

    monkeypatch.setattr(os, "pwrite", as_page_idle)
    numbers = u64(1, 8, 9, 10, 12, 40)
    assert write_words(fd, numbers, numbers, within(8)).tolist() == [3, 4, 5]
    assert write_words(fd, numbers, numbers).tolist() == [3, 4, 5]
    assert read_words(fd, numbers, within(8)).tolist() == [1, 8, 9, 0, 0, 0]
    os.close(fd)


def test_reach_is_measured() -> None:
    """Words are read along as far as that is cheaper than another call, unless calls are cheap anyway."""
    now_ns, call_ns = 0, 10_000

    def access(words: int) -> None:
        nonlocal now_ns
        now_ns += call_ns + 50 * words

    def clock() -> int:
        nonlocal now_ns
        now_ns += 9_000
        return now_ns

    reach = Reach()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter_ns", clock)
        assert reach.words == 0
        reach.measure(access, 101)
        assert (reach.words, reach.measured) == (201, True)
        call_ns = 1_000
        reach.forget()
        assert not reach.measured
        reach.measure(access, 101)
    assert (reach.words, reach.measured) == (0, True)


def test_only_the_end_of_the_file_is_forgiven() -> None:
    """Any other error than ENXIO of a write is raised."""
    fd = os.memfd_create("words")
    read_only = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor") as info:
        write_words(read_only, u64(0), u64(1))
    assert info.value.errno == errno.EBADF
    os.close(read_only)
    os.close(fd)


def folios(wanted: list[int]) -> list[int]:
    """Cover 1024 frames by folios of about the orders wanted, over and over, every one aligned to its size."""
    orders: list[int] = []
    position = 0
    while position < 1024:
        fits = (position & -position).bit_length() - 1 if position else 10
        orders.append(min(wanted[len(orders) % len(wanted)], fits))
        position += 1 << orders[-1]
    return orders


some_folios = st.lists(st.integers(0, 10), min_size=1, max_size=8).map(folios)


def lay_out(path: Path, orders: list[int]) -> np.ndarray:
    """Write the flags of folios, and return the head of every frame."""
    flags, heads = [], []
    for order in orders:
        head = len(flags)
        flags += [USED | (HEAD if order else 0)] + [TAIL | LRU] * ((1 << order) - 1)
        heads += [head] * (1 << order)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(np.array(flags, np.uint64).tobytes())
    return np.array(heads, np.uint64)


@given(before=some_folios, after=some_folios, seed=st.integers(0, 1000))
def test_head_of_every_frame(
    tmp_path_factory: pytest.TempPathFactory, before: list[int], after: list[int], seed: int
) -> None:
    """Whatever folios there are, in whatever order they are met, and also after they were split and collapsed anew."""
    base = tmp_path_factory.mktemp("heads")
    path = base / "proc/kpageflags"
    lay_out(path, before)
    flags = PageFlags(Root(str(base)))
    for orders in (before, after):
        heads = lay_out(path, orders)
        frames = np.random.default_rng(seed).permutation(np.arange(1024, dtype=np.uint64))
        carriers, _ = flags.carriers(frames)
        assert np.array_equal(carriers, heads[frames])
    flags.close()


def test_tail_without_a_head_is_unknown(tmp_path: Path) -> None:
    """A tail whose head can't be found is unknown, never accessed."""
    tree = FakeTree(tmp_path)
    tree.page_idle({513: TAIL | LRU, 1024: TAIL | LRU})
    frames = IdleFrames(tree.root)
    frames.mark(u64(513, 1024))
    assert frames.unknown.tolist() == [True, True]
    assert frames.accessed().tolist() == [False, False]
    frames.close()


@pytest.mark.parametrize(
    ("flags", "unknown"),
    [
        pytest.param(USED, False, id="page on an LRU list"),
        pytest.param(UPTODATE | MMAP, True, id="page in a per-CPU batch"),
        pytest.param(LRU | HEAD | HUGETLB, True, id="page of hugetlbfs"),
        pytest.param(1 << 32, True, id="reserved"),
        pytest.param(OFFLINE, True, id="given away: a balloon, or offline"),
        pytest.param(LRU | OFFLINE, True, id="given away in part"),
        pytest.param(NOPAGE, True, id="no page, or device memory"),
        pytest.param(MMAP | UPTODATE | ZERO_PAGE, True, id="the page of zeros"),
        pytest.param(BUDDY, False, id="free: certainly not accessed"),
        pytest.param(0, True, id="memory of the kernel"),
    ],
)
def test_what_can_be_marked(tmp_path: Path, flags: int, unknown: bool) -> None:
    """A frame that can't be marked is unknown and never accessed, though its bit reads 0."""
    tree = FakeTree(tmp_path)
    tree.page_idle({9: flags})
    frames = IdleFrames(tree.root)
    frames.mark(u64(9))
    tree.access(9)
    assert frames.unknown.tolist() == [unknown]
    assert frames.accessed().tolist() == [flags == USED]
    assert tree.marked() == set()
    frames.close()


def test_bitmap_that_ends_before_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames at the end of a zone that kpageflags knows and page_idle does not (ENXIO) are unknown, never accessed."""
    tree = FakeTree(tmp_path)
    frames = [9, NR_FRAMES - 1, NR_FRAMES, NR_FRAMES + 70]
    tree.page_idle()
    for frame in frames:
        tree.flags(frame, USED)
    pwrite = os.pwrite

    def as_page_idle(fd: int, data: bytes, offset: int) -> int:
        if offset >= NR_FRAMES // 8:
            raise OSError(errno.ENXIO, "No such device or address")
        return pwrite(fd, data[: NR_FRAMES // 8 - offset], offset)

    monkeypatch.setattr(os, "pwrite", as_page_idle)
    idle = IdleFrames(tree.root)
    for reach in (0, 200):
        idle._writes.words, idle._writes.measured = reach, True
        idle.mark(u64(*frames))
        tree.access(9)
        assert idle.unknown.tolist() == [False, False, True, True]
        assert idle.accessed().tolist() == [True, False, False, False]
    idle.close()


frame_sets = st.sets(st.integers(1, NR_FRAMES - 1), max_size=60)


@given(marked=st.lists(st.integers(0, NR_FRAMES - 1), max_size=60), accessed=frame_sets, unmarkable=frame_sets)
def test_pass_finds_what_was_accessed(
    tmp_path_factory: pytest.TempPathFactory, marked: list[int], accessed: set[int], unmarkable: set[int]
) -> None:
    """A frame is accessed if it was marked and touched since; frame 0 is none, the same frame twice is one result."""
    tree = FakeTree(tmp_path_factory.mktemp("pass"))
    tree.page_idle(dict.fromkeys(set(marked) - unmarkable, USED))
    frames = IdleFrames(tree.root)
    frames.mark(u64(*marked))
    assert tree.marked() == set(marked) - unmarkable - {0}
    tree.access(*accessed)
    assert frames.accessed().tolist() == [each in accessed - unmarkable and each != 0 for each in marked]
    assert frames.unknown.tolist() == [each in unmarkable and each != 0 for each in marked]
    frames.close()


@given(frames=st.lists(st.integers(1, 2**40), max_size=100))
def test_one_word_per_64_frames(frames: list[int]) -> None:
    """Words are distinct and ascending, and hold exactly the bits of their frames."""
    numbers, bits, index = words_of(u64(*sorted(frames)))
    assert numbers.tolist() == sorted({frame // 64 for frame in frames})
    held = {
        number * 64 + bit
        for number, word in zip(numbers.tolist(), bits.tolist(), strict=True)
        for bit in range(64)
        if word >> bit & 1
    }
    assert held == set(frames)
    assert numbers[index].tolist() == [frame // 64 for frame in sorted(frames)]


def test_huge_page_is_marked_at_its_head_and_shared(tmp_path: Path) -> None:
    """Two pages of one folio are one bit: marked at the head, and one access is seen for both."""
    tree = FakeTree(tmp_path)
    tree.page_idle({512: USED | HEAD, **dict.fromkeys(range(513, 1024), TAIL | LRU)})
    frames = IdleFrames(tree.root)
    frames.mark(u64(600, 1023))
    assert tree.marked() == {512}
    assert frames.accessed().tolist() == [False, False]
    tree.access(512)
    assert frames.accessed().tolist() == [True, True]
    frames.close()


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        pytest.param(BITMAP, "CONFIG_IDLE_PAGE_TRACKING", id="page_idle"),
        pytest.param("proc/kpageflags", "kpageflags", id="kpageflags"),
    ],
)
def test_missing_file_says_what_is_needed(tmp_path: Path, missing: str, words: str) -> None:
    """A file that is not there is named, with what would bring it, and nothing stays open."""
    tree = FakeTree(tmp_path)
    tree.page_idle()
    (tmp_path / missing).unlink()
    gc.collect()  # what other tests have left open
    before = open_files()
    with pytest.raises(SourceUnavailableError, match=words):
        IdleFrames(tree.root)
    assert open_files() == before


@pytest.mark.parametrize("moment", ["mark", "check"])
def test_page_idle_that_goes_away(tmp_path: Path, moment: str) -> None:
    """A bitmap that fails in the middle of the monitoring ends it with an error that names it."""
    tree = FakeTree(tmp_path)
    tree.page_idle({9: USED})
    frames = IdleFrames(tree.root)
    frames.mark(u64(9))
    reader, writer = os.pipe()
    os.dup2(reader, frames._fd)  # a pipe can be read or written at no offset
    with pytest.raises(SourceUnavailableError, match="page_idle"):
        frames.mark(u64(9)) if moment == "mark" else frames.accessed()
    frames.close()
    os.close(reader)
    os.close(writer)
