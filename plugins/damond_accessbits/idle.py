"""Mark page frames idle, and see later which of them were accessed (/sys/kernel/mm/page_idle/bitmap)."""

import errno
import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

from damond.errors import SourceUnavailableError
from damond_accessbits.drain import drain_lru_batches
from damond_accessbits.pageflags import Bools, PageFlags, free, markable, waiting
from damond_accessbits.root import Root
from damond_accessbits.words import WORD_SZ, Words, read_words, write_words

BITMAP: Final = "sys/kernel/mm/page_idle/bitmap"

_FRAMES_PER_WORD_SHIFT: Final = 6
_BIT: Final = np.uint64(63)
_ONE: Final = np.uint64(1)


def words_of(frames: Words) -> tuple[list[int], Words, NDArray[np.intp]]:
    """Gather frames into words of the bitmap: one write and one read per word, however many frames are in it.

    Returns:
        Offsets of the words in bytes, ascending; the bits to set in each; and for each frame the index of its word.
    """
    numbers, index = np.unique(frames >> np.uint64(_FRAMES_PER_WORD_SHIFT), return_inverse=True)
    bits = np.zeros(len(numbers), np.uint64)
    np.bitwise_or.at(bits, index, _ONE << (frames & _BIT))
    return (numbers * np.uint64(WORD_SZ)).tolist(), bits, index


def still_idle(fd: int, offsets: list[int], index: NDArray[np.intp], frames: Words) -> Bools:
    """Read every word once and say which frames have not been accessed since they were marked."""
    words = read_words(fd, offsets)
    return (words[index] >> (frames & _BIT) & _ONE).astype(bool)


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
        self._flags = PageFlags(root)
        try:
            self._fd = root.open(BITMAP, os.O_RDWR)
        except OSError as error:
            self._flags.close()
            raise _unavailable(error) from error
        self.unknown: Bools = np.zeros(0, bool)
        self._waiting = 0
        self._marked = np.zeros(0, np.intp)
        self._carriers = np.zeros(0, np.uint64)
        self._offsets: list[int] = []
        self._word = np.zeros(0, np.intp)

    @property
    def nr_words(self) -> int:
        """Words of the bitmap that the frames of the pass are in: each was written, and is read, once."""
        return len(self._offsets)

    def mark(self, frames: Words, *, in_runs: bool = False) -> None:
        """Make frames look not accessed; 0 stands for no frame, which is never accessed.

        Args:
            frames: Numbers of frames.
            in_runs: Neighbours among them are likely to be neighbours in memory: they are read at once.

        Whether a mark can take is asked before it is made. Reading the bitmap back instead would take a page that
        was accessed in between for one that can't be marked.
        """
        there = np.flatnonzero(frames)
        carriers, flags = self._flags.carriers(frames[there], in_runs=in_runs)
        can = markable(flags)
        self.unknown = np.zeros(len(frames), bool)
        self._marked, self._carriers = there, carriers
        if not can.all():
            self.unknown[there] = ~(can | free(flags))
            self._waiting += int(np.count_nonzero(waiting(flags)))
            self._marked, self._carriers = there[can], carriers[can]
        self._offsets, bits, self._word = words_of(self._carriers)
        try:
            beyond = write_words(self._fd, self._offsets, bits)
        except OSError as error:
            raise _unavailable(error) from error
        if beyond:
            self._drop(np.isin(self._word, beyond))

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
            idle = still_idle(self._fd, self._offsets, self._word, self._carriers)
        except OSError as error:
            raise _unavailable(error) from error
        result = np.zeros(len(self.unknown), bool)
        result[self._marked] = ~idle
        return result

    def drain(self) -> bool:
        """Bring pages to the LRU lists if some were met that wait for it, so that they can be marked.

        Returns:
            Whether there was something to do, and a way to do it.
        """
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
