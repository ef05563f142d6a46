"""How well snapshots agree with the true hot pages: precision, recall and F1, weighted by pages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from damond.core import Snapshot
from tests.kernel.patterns import HOT_SHARE, SEC, Pattern, Ranges, zipf_hot


@dataclass(frozen=True)
class Layout:
    """Where and when a workload runs: what it printed.

    Attributes:
        pid: Its pid.
        address: First address of its mapping.
        begin_ns: Begin of phase 0. Unix time.
        pattern: What it does.
        chunks: What it has done: begin and end, time in which it read, and pages read. Unix time, ns.
        stalls: When it did not get to run. Unix time, ns.
    """

    pid: int
    address: int
    begin_ns: int
    pattern: Pattern
    chunks: Sequence[tuple[int, int, int, int]] = ()
    stalls: Sequence[tuple[int, int]] = ()

    def truth(self, start_ns: int, end_ns: int) -> Ranges:
        """Return the ranges of addresses that were hot for at least a quarter of a window.

        Where pages are drawn by chance, what is hot follows from how many were drawn: a workload that is held up draws
        fewer than it should.
        """
        pattern = self.pattern
        if pattern.draws and self.chunks:
            in_sample = self._pages_read(start_ns, end_ns) * pattern.sample_ns / (end_ns - start_ns)
            return [(self.address + a, self.address + b) for a, b in zipf_hot(pattern.size, in_sample)]
        first, last = pattern.phase(start_ns - self.begin_ns), pattern.phase(end_ns - self.begin_ns)
        ranges: Ranges = []
        for phase in range(first, last + 1):
            begin = max(start_ns, self.begin_ns + phase * pattern.period_ns)
            end = min(end_ns, self.begin_ns + (phase + 1) * pattern.period_ns) if pattern.period_ns else end_ns
            if end - begin >= HOT_SHARE * (end_ns - start_ns):
                ranges += [(self.address + a, self.address + b) for a, b in pattern.hot(phase)]
        return union(ranges)

    def _pages_read(self, start_ns: int, end_ns: int) -> float:
        """Count the pages that were read in a window: evenly over a chunk, but for when it did not get to run."""
        ends = [self._running_ns(each) for each in (self.chunks[0][0], *(end for _, end, _, _ in self.chunks))]
        read = np.cumsum([0, *(pages for *_, pages in self.chunks)])
        before, after = np.interp([self._running_ns(start_ns), self._running_ns(end_ns)], ends, read)
        return float(after - before)

    def _running_ns(self, until_ns: int) -> int:
        """Tell for how long it has got to run since it began."""
        return until_ns - self.begin_ns - overlap([(self.begin_ns, until_ns)], list(self.stalls))

    def since_move_ns(self, time_ns: int) -> int:
        """Return how long ago the last move was; much where nothing moves."""
        period = self.pattern.period_ns
        since = time_ns - self.begin_ns
        return since % period if period and since >= period else time_ns

    def called_hot(self, snapshot: Snapshot) -> Ranges:
        """Return the hot regions of a snapshot, as far as they lie in the mapping."""
        low, high = self.address, self.address + self.pattern.size
        clipped = [(max(a, low), min(b, high)) for a, b in hot_regions(snapshot)]
        return [(a, b) for a, b in clipped if a < b]


def hot_regions(snapshot: Snapshot) -> Ranges:
    """Return the regions of the one target that were accessed in at least a quarter of the samples."""
    (target,) = snapshot.targets
    hot = target.nr_accesses >= HOT_SHARE * snapshot.max_nr_accesses
    start, size = target.start[hot].tolist(), target.size[hot].tolist()
    return [(a, a + b) for a, b in zip(start, size, strict=True)]


@dataclass(frozen=True)
class Score:
    """The agreement over a number of windows. Bytes, summed over the windows.

    Attributes:
        both: Called hot, and hot.
        called: Called hot.
        true: Hot.
        windows: How many windows count.
        left_out: How many do not: the warm-up, and those in which the workload did not get to run.
    """

    both: int
    called: int
    true: int
    windows: int
    left_out: int

    @property
    def precision(self) -> float:
        return self.both / self.called if self.called else 0.0

    @property
    def recall(self) -> float:
        return self.both / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.both / (self.called + self.true) if self.called + self.true else 0.0

    def __str__(self) -> str:
        return (
            f"F1 {self.f1:.3f} (precision {self.precision:.3f}, recall {self.recall:.3f}) "
            f"over {self.windows} windows, {self.left_out} left out"
        )


def overlap(left: Ranges, right: Ranges) -> int:
    return sum(max(0, min(b, d) - max(a, c)) for a, b in left for c, d in right)


def union(ranges: Ranges) -> Ranges:
    """Join what overlaps or touches: a range that is hot in two phases counts once."""
    joined: Ranges = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """Return what is in sorted, disjoint ranges and not in others, which are sorted and disjoint, too."""
    rest: Ranges = []
    for start, end in ranges:
        for low, high in others:
            if high <= start or low >= end:
                continue
            if start < low:
                rest.append((start, low))
            start = high  # noqa: PLW2901 - what is left of it
        if start < end:
            rest.append((start, end))
    return rest


def total(ranges: Ranges) -> int:
    return sum(b - a for a, b in ranges)


def counted(
    snapshots: Sequence[Snapshot], layout: Layout, stalls: Sequence[tuple[int, int]] = (), *, settle_s: float = 0
) -> list[Snapshot]:
    """Return the windows that count.

    Left out are the unfinished one, the time after a move, windows of which the workload did not get to run a
    quarter, and those three times as long as they should be: the machine was busy.
    """
    return [
        each
        for each in snapshots
        if not each.partial
        and (each.end_ns - each.start_ns) < 3000 * each.aggr_us
        and layout.since_move_ns(each.start_ns) >= settle_s * SEC
        and overlap([(each.start_ns, each.end_ns)], list(stalls)) <= HOT_SHARE * (each.end_ns - each.start_ns)
    ]


def score(
    snapshots: Sequence[Snapshot],
    layout: Layout,
    stalls: Sequence[tuple[int, int]] = (),
    *,
    warm_up: int = 20,
    settle_s: float = 0,
) -> Score:
    """Compare windows with the truth; the warm-up (20 aggregations, 2 s) does not count, nor what others leave out."""
    kept = counted(snapshots[warm_up:], layout, stalls, settle_s=settle_s)
    pairs = [(layout.called_hot(each), layout.truth(each.start_ns, each.end_ns)) for each in kept]
    return Score(
        sum(overlap(called, true) for called, true in pairs),
        sum(total(called) for called, _ in pairs),
        sum(total(true) for _, true in pairs),
        len(kept),
        len(snapshots) - len(kept),
    )
