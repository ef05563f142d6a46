"""Why somebody who watched a workload was wrong, as far as it can be measured: a row that is behind must say it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from damond.core import Snapshot
from tests.kernel.evaluate import Layout, counted, overlap, total, without
from tests.kernel.patterns import PAGE, Ranges

_MUCH: Final = 0.5
"""From this share of what is wrong on something is called its cause."""

_STRETCHED: Final = 1.1
_MANY: Final = 100
_EDGE: Final = 2
"""Pages that are hot twice, or half as often as asked for: by chance on either side of the edge."""


@dataclass(frozen=True)
class Causes:
    """What was measured. Shares are fractions of all that was wrongly called hot, or wrongly not.

    Attributes:
        stretch: Median length of a window, as a multiple of what was asked for.
        by_child: Share that a child process was reading: page_idle and the kernel's paddr know pages, not processes.
        at_edge: Share in pages that are about as hot as the limit between hot and not.
        after_move: Share in the second after a move.
        pieces: Ranges that were hot in the last window.
        read_us: How often the workload came around to a page that is hot, as it was slowed. Microseconds.
        sample_us: Sampling interval. Microseconds.
    """

    stretch: float = 1.0
    by_child: float = 0.0
    at_edge: float = 0.0
    after_move: float = 0.0
    pieces: int = 1
    read_us: float = 0.0
    sample_us: int = 1

    def __str__(self) -> str:
        said = []
        if self.by_child > _MUCH:
            said.append(f"a page's accesses are those of all its processes: {self.by_child:.0%} is a child's reads")
        if self.at_edge > _MUCH:
            said.append(f"heat without an edge: {self.at_edge:.0%} is between half and twice the limit")
        if self.after_move > _MUCH:
            said.append(f"regions follow a move within windows: {self.after_move:.0%} is in the second after one")
        if self.pieces > _MANY:
            said.append(f"what is hot lies in {self.pieces} pieces")
        if self.read_us > self.sample_us:
            said.append(
                f"the workload, slowed, reads a hot page once in {self.read_us / 1000:.1f} ms, "
                f"not in every sample of {self.sample_us / 1000:g} ms"
            )
        if self.stretch > _STRETCHED:
            said.append(f"system calls are dear here: windows take {self.stretch:.2f} times as long")
        return "; ".join(said)


def causes(snapshots: Sequence[Snapshot], layout: Layout, stalls: Ranges, page_ns: float = 0.0) -> Causes:
    """Measure what of the wrong lies where, and whether it could be seen at all: ``page_ns`` is what a page took."""
    kept = counted(snapshots, layout, stalls)
    wrong = by_child = at_edge = after_move = 0
    for each in kept:
        called, true = layout.called_hot(each), layout.truth(each.start_ns, each.end_ns)
        errors = sorted(without(called, true) + without(true, called))
        wrong += total(errors)
        by_child += overlap(errors, _child(layout))
        at_edge += overlap(errors, _edge(layout, true))
        after_move += total(errors) if layout.since_move_ns(each.start_ns) < 1_000_000_000 else 0
    if not kept:
        return Causes()
    stretch = statistics.median((each.end_ns - each.start_ns) / 1000 / each.aggr_us for each in kept)
    shares = (share / max(wrong, 1) for share in (by_child, at_edge, after_move))
    last = layout.truth(kept[-1].start_ns, kept[-1].end_ns)
    read_us = page_ns * total(last) / PAGE / 1000
    return Causes(stretch, *shares, pieces=len(last), read_us=read_us, sample_us=kept[-1].sample_us)


def _child(layout: Layout) -> Ranges:
    child = layout.pattern.child
    return [(layout.address + child[0], layout.address + child[1])] if child else []


def _edge(layout: Layout, true: Ranges) -> Ranges:
    """Return where a page that is drawn by chance is hot half to twice as often as one at the limit."""
    if not layout.pattern.draws or not true:
        return []
    ((start, end),) = true
    size, most = end - start, layout.pattern.size
    return [(start + size // _EDGE, start + min(size * _EDGE, most))]
