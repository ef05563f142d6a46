"""Where the primitive reads "accessed" from: page by page with privilege, mapping by mapping without."""

import errno
import logging
import os
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from damond.core import MIN_REGION_SZ, Context, SourceProbe, Target
from damond.errors import SourceUnavailableError
from damond_accessbits import IdleFrames, Root, find_kdamonds, parse_smaps, probe_page_idle, probe_referenced
from damond_accessbits.blocks import BlockSize, any_of, chosen_of, pages_of
from damond_accessbits.pagemap import entry_offset, read_frames, read_frames_in_runs
from damond_accessbits.smaps import CLEAR_ALL
from damond_accessbits.words import WORD_SZ, Reach
from damond_vaddr.process import GONE, Process

_log = logging.getLogger(__name__)

SOURCES: Final = ("page_idle", "referenced")
"""All sources, in the order in which ``source = "auto"`` tries them."""

Live = Sequence[tuple[Target, Process]]


class Source(Protocol):
    """One way to check accesses: the primitive's two functions, for the targets that are alive."""

    @property
    def granularity(self) -> int:
        """Bytes that one check looks at; 0 is the whole mapping."""

    def prepare(self, ctx: Context, live: Live) -> None:
        """Choose a sampling address in every region, and make what is there look not accessed."""

    def check(self, ctx: Context) -> None:
        """Count an access for every region of the last :meth:`prepare` that was accessed since."""

    def refresh(self, ctx: Context) -> None:
        """Do what is worth doing once per update."""

    def aggregated(self, ctx: Context) -> None:
        """Do what is worth doing once per aggregation."""

    def close(self) -> None:
        """Close what is open."""


def probe_sources(root: Root) -> tuple[SourceProbe, ...]:
    """Try out every source, in the order in which ``auto`` chooses."""
    return (probe_page_idle(root, by_process=True), probe_referenced(root))


def choose_source(wanted: str, root: Root, *, allow_kdamond: bool = False) -> str:
    """Return the name of the source to use.

    ``auto`` leaves page_idle out while the kernel's own DAMON runs, which would spoil its results.

    Raises:
        SourceUnavailableError: The one that is asked for does not work, or none does.
    """
    candidates = [each for each in probe_sources(root) if wanted in ("auto", each.name)]
    for each in candidates:
        if not each.works:
            continue
        if wanted == "auto" and each.name == "page_idle" and not allow_kdamond and (found := find_kdamonds(root)):
            _log.warning("page_idle is left out: %s runs; allow_kdamond = true insists", found[0].owner)
            continue
        return each.name
    raise SourceUnavailableError(
        wanted if wanted != "auto" else "vaddr",
        "; ".join(f"{each.name}: {each.reason}" if wanted == "auto" else each.reason for each in candidates),
        hint="; ".join(dict.fromkeys(each.hint for each in candidates if each.hint)),
    )


def open_source(name: str, root: Root, block: int | str = 1) -> Source:
    """Open a source; ``block`` as in the options.

    Raises:
        SourceUnavailableError: It does not work (any more).
    """
    return PageIdleSource(root, block) if name == "page_idle" else ReferencedSource()


class _Excuses:
    """What may be wrong with one target in one pass without ending the context."""

    def __init__(self) -> None:
        self._warned: set[int] = set()

    def memory_is_gone(self, ctx: Context, target: Target, error: OSError) -> None:
        """Take an error of reading a target: it ends, or calls execve(2) and is nobody's for a moment.

        The regions of one that lives on and may not be read are unknown, and the log says so once.

        Raises:
            OSError: The error itself, if it is another one.
        """
        if error.errno in GONE:
            target.regions.miss(1)
            return
        if error.errno not in (errno.EACCES, errno.EPERM):
            raise error
        target.regions.miss(1)
        ctx.checks += len(target.regions)
        ctx.unknown += len(target.regions)
        if target.id not in self._warned:
            self._warned.add(target.id)
            _log.warning("%s: process %d can't be read now: %s", ctx.name, target.id, error.strerror)


class PageIdleSource:
    """A page or a block of pages per check: pagemap says where it is, page_idle whether it was accessed.

    Accessed by anybody: page_idle looks at all mappings of a page, so that what other processes do with a page that
    is shared (a library, memory from before a fork) counts as well.
    """

    def __init__(self, root: Root, block: int | str = 1) -> None:
        self._frames = IdleFrames(root)
        self._excuses = _Excuses()
        self._reach = Reach()
        self._block = BlockSize(block)
        self._pass: list[tuple[Target, slice, slice]] = []
        self._begin = self._chosen = np.zeros(0, np.intp)

    @property
    def granularity(self) -> int:
        """Bytes that one check looks at."""
        return self._block.pages * MIN_REGION_SZ

    def prepare(self, ctx: Context, live: Live) -> None:
        """Look up the frames of the pages that are sampled, and mark them idle."""
        self._pass = []
        found, begins, chosen = [np.zeros(0, np.uint64)], [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
        at = row = 0
        for target, process in live:
            try:
                frames, begin, page = self._look_up(process, target, ctx)
            except OSError as error:
                self._excuses.memory_is_gone(ctx, target, error)
            else:
                found.append(frames)
                begins.append(begin + at)
                chosen.append(page + at)
                self._pass.append((target, slice(row, row + len(begin)), slice(at, at + len(frames))))
                at, row = at + len(frames), row + len(begin)
        self._begin, self._chosen = np.concatenate(begins), np.concatenate(chosen)
        self._frames.mark(np.concatenate(found), in_runs=self._block.pages > 1)
        self._block.passed(row, self._frames.nr_words)

    def _look_up(
        self, process: Process, target: Target, ctx: Context
    ) -> tuple[NDArray[np.uint64], NDArray[np.intp], NDArray[np.intp]]:
        """Return the frames of the pages to be sampled; of each region where they begin, and which one was chosen.

        Notes if the file shows no memory at all any more.
        """
        fd, nr_pages = process.file("pagemap"), self._block.pages
        if nr_pages == 1:
            frames = read_frames(fd, target.regions.pick_sampling_addrs(ctx.rng, ctx.samples_left), self._reach)
            begin = chosen = np.arange(len(frames))
        else:
            start, end = target.regions.pick_sampling_blocks(ctx.rng, nr_pages, ctx.samples_left)
            pages, begin = pages_of(start, end)
            chosen = chosen_of(target.regions.sampling_addr, start, begin)
            frames = read_frames_in_runs(fd, pages, self._reach)
        addrs = target.regions.sampling_addr
        if len(addrs) and not frames.any() and not os.pread(fd, WORD_SZ, entry_offset(addrs[0])):
            process.lost_memory = True
            target.regions.miss(1)
        return frames, begin, chosen

    def check(self, ctx: Context) -> None:
        """Count the regions of whose pages one is not idle any more."""
        accessed, unknown = self._frames.accessed(), self._frames.unknown
        if len(accessed) != len(self._begin):
            accessed = any_of(accessed, self._begin)
        for target, rows, pages in self._pass:
            target.regions.nr_accesses += accessed[rows]
            ctx.checks += pages.stop - pages.start
            nr_unknown = int(np.count_nonzero(unknown[pages]))
            if nr_unknown:
                ctx.unknown += nr_unknown
                target.regions.miss(unknown[self._chosen[rows]])

    def refresh(self, ctx: Context) -> None:
        """Make pages that were faulted in since the last time markable; choose the size of blocks."""
        if self._frames.drain():
            _log.debug("%s: pages waited for their LRU list: drained", ctx.name)
        self._block.fit(sum(target.regions.total_sz for target in ctx.targets))

    def aggregated(self, ctx: Context) -> None:
        """Go over to smaller blocks where they are dear."""
        self._block.aggregated(ctx.name)

    def close(self) -> None:
        """Close page_idle; the files of the targets are theirs."""
        self._frames.close()


class ReferencedSource:
    """One mapping per check: clear_refs, and "Referenced" in smaps.

    Pages that were swapped out or never touched are not in memory and count nothing, and neither does the shared
    page of zeros behind memory that was only read (smaps_account and vm_normal_page, Linux 6.12).
    """

    granularity = 0

    def __init__(self) -> None:
        self._excuses = _Excuses()
        self._pass: list[tuple[Target, Process]] = []

    def prepare(self, ctx: Context, live: Live) -> None:
        """Clear the accessed bits of whole processes."""
        self._pass = []
        for target, process in live:
            target.regions.pick_sampling_addrs(ctx.rng)
            try:
                process.write("clear_refs", CLEAR_ALL)
            except OSError as error:
                self._excuses.memory_is_gone(ctx, target, error)
            else:
                self._pass.append((target, process))

    def check(self, ctx: Context) -> None:
        """Count the sampling addresses whose mapping was referenced."""
        for target, process in self._pass:
            try:
                data = process.read("smaps")
            except OSError as error:
                self._excuses.memory_is_gone(ctx, target, error)
                continue
            if not data:  # it ends, or the thread that showed its memory has ended
                process.lost_memory = True
                target.regions.miss(1)
                continue
            accessed = parse_smaps(data).accessed(target.regions.sampling_addr)
            target.regions.nr_accesses += accessed
            ctx.checks += len(accessed)

    def refresh(self, ctx: Context) -> None:
        """Nothing to do."""

    def aggregated(self, ctx: Context) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing is open but the files of the targets, which are theirs."""
