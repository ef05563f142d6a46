"""Mark page frames idle, and see later which of them were accessed (/sys/kernel/mm/page_idle/bitmap)."""

import errno
import os
from typing import Final

import numpy as np

from damond.errors import SourceUnavailableError
from damond_accessbits.drain import drain_lru_batches
from damond_accessbits.pageflags import Bools, PageFlags, free, markable, waiting
from damond_accessbits.root import Root
from damond_accessbits.words import WORD_SZ, Indexes, Reach, Words, put, read_words, write_words

BITMAP: Final = "sys/kernel/mm/page_idle/bitmap"

_FRAMES_PER_WORD_SHIFT: Final = np.uint64(6)
_BIT: Final = np.uint64(63)
_ONE: Final = np.uint64(1)

_BLOCK_ORDER: Final = 9
"""A system call takes at most a page of the bitmap, 2**9 words (kernfs_fop_read_iter, fs/kernfs/file.c, Linux 6.12)."""

_WRITTEN: Final = 64
"""Words of zeros, which change nothing, that are written to see what one of them costs."""

_READ: Final = 8
"""Words that are read to see what one of them costs: up to 64 walks over the mappings of a page each."""


def words_of(frames: Words) -> tuple[Words, Words, Indexes]:
    """Gather frames, in ascending order, into words of the bitmap.

    Returns:
        Numbers of the words, ascending; the bits to set in each; and for each frame the index of its word.
    """
    numbers = frames >> _FRAMES_PER_WORD_SHIFT
    begins = np.ones(len(numbers), bool)
    begins[1:] = numbers[1:] != numbers[:-1]
    first = begins.nonzero()[0]
    bits = np.bitwise_or.reduceat(_ONE << (frames & _BIT), first) if len(first) else frames
    return numbers[first], bits, begins.cumsum(dtype=np.intp) - 1


class IdleFrames:
    """One pass of access checks after the other, on page frames.

    A pass is :meth:`mark`, some time, :meth:`accessed`. Frames of the same folio share one bit, hence one result.

    Attributes:
        unknown: Which frames of the pass can't be marked (a huge page of hugetlbfs, a page that waits in a
            per-CPU batch, device memory): nothing can be said about them.

    Raises:
        SourceUnavailableError: page_idle or /proc/kpageflags can't be opened, or has gone away meanwhile.
    """

    def __init__(self, root: Root) -> None:
        # First what no privilege helps against: a kernel without it.
        try:
            self._fd = root.open(BITMAP, os.O_RDWR)
        except OSError as error:
            raise _unavailable(error) from error
        try:
            self._flags = PageFlags(root)
        except SourceUnavailableError:
            os.close(self._fd)
            raise
        self.unknown: Bools = np.zeros(0, bool)
        self._waiting = 0
        self._marked = np.zeros(0, np.intp)
        self._carriers = np.zeros(0, np.uint64)
        self._numbers = np.zeros(0, np.uint64)
        self._word = np.zeros(0, np.intp)
        self._writes = Reach()
        self._reads = Reach()

    @property
    def nr_words(self) -> int:
        """Words of the bitmap that the frames of the pass are in: each was written, and is read, once."""
        return len(self._numbers)

    def mark(self, frames: Words, *, in_runs: bool = False) -> None:
        """Make frames look not accessed; 0 stands for no frame, which is never accessed.

        Args:
            frames: Numbers of frames.
            in_runs: Neighbours among them are likely to be neighbours in memory: they are read at once.

        Whether a mark can take is asked before it is made. Reading the bitmap back instead would take a page that
        was accessed in between for one that can't be marked.
        """
        there = frames.nonzero()[0]
        there = there[np.argsort(frames[there])]  # neighbours side by side, in all files
        carriers, flags = self._flags.carriers(frames[there], in_runs=in_runs)
        can = markable(flags)
        self.unknown = np.zeros(len(frames), bool)
        self._marked, self._carriers = there, carriers
        if np.count_nonzero(can) < len(can):
            self.unknown[there] = ~(can | free(flags))
            self._waiting += int(np.count_nonzero(waiting(flags)))
            self._marked, self._carriers = there[can], carriers[can]
        self._numbers, bits, self._word = words_of(self._carriers)
        try:
            beyond = self._write(bits)
        except OSError as error:
            raise _unavailable(error) from error
        if len(beyond):
            self._drop(np.isin(self._word, beyond))

    def _write(self, bits: Words) -> Indexes:
        """Set bits; words between are written along, as zeros, which change nothing."""
        if not self._writes.measured and len(bits):
            block = int(self._numbers[0]) >> _BLOCK_ORDER << _BLOCK_ORDER
            self._writes.measure(lambda words: put(self._fd, bytes(words * WORD_SZ), block * WORD_SZ), _WRITTEN)
        return write_words(self._fd, self._numbers, bits, self._writes, block_order=_BLOCK_ORDER)

    def _drop(self, refused: Bools) -> None:
        """Take frames out of the pass that kpageflags knows and page_idle does not."""
        self.unknown[self._marked[refused]] = True
        self._marked, self._carriers, self._word = (
            self._marked[~refused],
            self._carriers[~refused],
            self._word[~refused],
        )

    def accessed(self) -> Bools:
        """Say which of the frames given to :meth:`mark` were accessed since."""
        try:
            words = self._read()
        except OSError as error:
            raise _unavailable(error) from error
        idle = (words[self._word] >> (self._carriers & _BIT) & _ONE).astype(bool)
        result = np.zeros(len(self.unknown), bool)
        result[self._marked] = ~idle
        return result

    def _read(self) -> Words:
        """Read the words of the pass; words between are read along, which changes nothing that others rely on."""
        if not self._reads.measured and len(self._numbers):
            begin = int(self._numbers[len(self._numbers) // 2]) & -_READ
            self._reads.measure(lambda words: os.pread(self._fd, words * WORD_SZ, begin * WORD_SZ), _READ)
        return read_words(self._fd, self._numbers, self._reads, block_order=_BLOCK_ORDER)

    def drain(self) -> bool:
        """Bring pages to the LRU lists if some were met that wait for it, so that they can be marked.

        To be called now and then: marks add up, and what a word costs is measured anew.

        Returns:
            Whether there was something to do, and a way to do it.
        """
        self._reads.forget()
        waited, self._waiting = self._waiting, 0
        return waited > 0 and drain_lru_batches()

    def close(self) -> None:
        """Close the files."""
        os.close(self._fd)
        self._flags.close()


def _unavailable(error: OSError) -> SourceUnavailableError:
    """Say what it means that page_idle can't be opened, read or written."""
    if error.errno == errno.ENOENT:
        return SourceUnavailableError(
            "page_idle",
            f"/{BITMAP} does not exist: this kernel was built without CONFIG_IDLE_PAGE_TRACKING",
            hint="kernels of Ubuntu, Fedora and RHEL have it, those of Debian do not; for processes, "
            'source = "referenced" works on every kernel, at mapping granularity',
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return SourceUnavailableError("page_idle", f"/{BITMAP} is not for this user", hint="run as root")
    return SourceUnavailableError(
        "page_idle",
        f"/{BITMAP}: {error.strerror} (it worked before)" if error.errno == errno.ENODEV else f"/{BITMAP}: {error}",
        hint="'damond doctor' lists what works here",
    )
