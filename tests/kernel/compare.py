"""damond beside the kernel's own DAMON: the same workloads, the same attributes, one after the other, one table.

usage: python -m tests.kernel.compare [--quick] [--json] [--damo PROGRAM] [WORKLOAD ...]

Each workload has a user-mode Linux of its own: with one CPU, which the workload, who watches and the kernel's
thread share; system calls cost some ten times what they cost natively, so that accuracy is what to judge here, and
cost only by comparison. Where one of damond's seems to be behind, the workload is run twice more, and medians count:
kdamond and the kernel's DAMON are one and the same, and were .07 apart once. (Who is ahead by luck is not run again.)
Takes 13 minutes, and 2 more for each of these; --quick (the first five workloads) takes 6.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from damond.core import Attrs, Snapshot
from damond.plugin import Registry
from damond.units import Usec
from tests.kernel.evaluate import Layout, hot_regions
from tests.kernel.guest import SKIPPED, in_guest
from tests.kernel.kernels import UML, find, missing
from tests.kernel.patterns import COMPARED, PAGE, QUICK, SEC, Pattern, Ranges
from tests.kernel.rig import LIMIT_S, frames_of, workload
from tests.kernel.table import Row, as_json, behind, cost, make_row, medians, render, verdict
from tests.kernel.watchers import ATTRS, WARM_UP_S, ByPrimitive, Damo, KernelDamon, Watcher

SECONDS = 8
"""How long each watches, after the warm-up."""

_ALONE_S = 1.5
"""How long the workload runs without anybody watching, before each."""

_HEADER = (
    f"User-mode Linux, one CPU for all; {ATTRS.sample_interval // 1000} ms / {ATTRS.aggr_interval // 1000} ms / "
    f"{ATTRS.primitive_update_interval // 1000} ms, {ATTRS.min_nr_regions} to {ATTRS.max_nr_regions} regions, but for "
    f"rows that name another interval; {SECONDS} s each"
)

_LEGEND = """\
A region is hot from a quarter of the possible accesses on. +-: standard error of F1, where heat stays. ws err:
size called hot against size that was hot (mean, p50, p75). cpu: of processes; kthr: of the kernel's thread. slower:
time per page read against just before. 20%: p50 and p75 of ws err, the bar of the kernel's own selftest. Why:
measured, from half of what was wrong on. kdamond is what damond takes by itself (auto) where the kernel has DAMON."""

_PHYSICAL = "physical"
"""The first workload once more, as physical memory."""

_TIMEOUT_S = 180


@dataclass(frozen=True)
class Frames(Layout):
    """Where the hot pages of a steady workload lie in physical memory; what else is hot there counts as wrong.

    Attributes:
        ranges: The frames, as addresses.
    """

    ranges: Ranges = field(default_factory=list)

    def truth(self, start_ns: int, end_ns: int) -> Ranges:
        """Return the frames: they do not move."""
        return self.ranges

    def called_hot(self, snapshot: Snapshot) -> Ranges:
        """Return all hot regions."""
        return hot_regions(snapshot)


def physical_layout(layout: Layout) -> Frames:
    """Look up the frames of what is hot."""
    frames = [
        frames_of(layout.pid, layout.address + start, (end - start) // PAGE) for start, end in layout.pattern.hot(0)
    ]
    each = np.unique(np.concatenate(frames)) * np.uint64(PAGE)
    first = np.flatnonzero(np.diff(each, prepend=np.uint64(0)) != PAGE)
    starts, ends = each[first].tolist(), (each[np.append(first[1:], len(each)) - 1] + np.uint64(PAGE)).tolist()
    ranges = list(zip(starts, ends, strict=True))
    return Frames(layout.pid, layout.address, layout.begin_ns, layout.pattern, ranges=ranges)


def watchers(damo: str | None) -> list[Watcher]:
    """List who can watch a process here: the kernel, damo if it is there, and damond's primitives."""
    offered = Registry().primitives
    found: list[Watcher] = [KernelDamon()]
    if damo is not None:
        found.append(Damo(damo))
    if "kdamond" in offered:
        found.append(ByPrimitive("kdamond"))
    return [*found, ByPrimitive("vaddr", {"source": "page_idle"})]


def physical_watchers() -> list[Watcher]:
    return [KernelDamon("kernel DAMON paddr"), ByPrimitive("physical")]


def _watch(name: str, watcher: Watcher, *, physical: bool, seconds: float) -> Row:
    """Have one watch the workload, in a process of its own, after it has run for a while without anybody watching."""
    with workload(name) as load:
        layout = physical_layout(load.layout) if physical else load.layout
        alone_ns = time.time_ns()
        threading.Event().wait(_ALONE_S)
        begin_ns = time.time_ns()
        watched = watcher.watch(None if physical else load.layout.pid, seconds, attrs_of(load.layout.pattern))
        load.stop()
    layout = replace(layout, chunks=load.chunks, stalls=load.stalls)
    during = (begin_ns + WARM_UP_S * SEC, begin_ns + int((WARM_UP_S + seconds) * SEC))
    costs = cost(load.chunks, (alone_ns, begin_ns)), cost(load.chunks, during)
    title = f"{name} ({_PHYSICAL})" if physical else name
    return make_row((title, watcher.name), watched, layout, load.stalls, costs, WARM_UP_S + seconds)


def attrs_of(pattern: Pattern) -> Attrs:
    """Return the attributes that a workload is watched with."""
    sample_us = pattern.sample_ns // 1000
    return replace(ATTRS, sample_interval=Usec(sample_us), aggr_interval=Usec(sample_us * ATTRS.samples_per_aggr))


def compare(name: str, who: Sequence[Watcher], *, physical: bool = False, seconds: float = SECONDS) -> list[Row]:
    """Return the rows of one workload: one after the other, as nobody's results are worth anything beside others'."""
    return [_watch(name, watcher, physical=physical, seconds=seconds) for watcher in who]


def inside(name: str, damo: str | None) -> list[Row]:
    """Return the rows of one workload, or of one who watches physical memory, on this kernel."""
    for watcher in physical_watchers():
        if name == _by(watcher):
            return compare(next(iter(COMPARED)), [watcher], physical=True)
    return compare(name, watchers(damo))


def _by(watcher: Watcher) -> str:
    """Name what a guest is told to do if physical memory is watched by this one."""
    return f"{_PHYSICAL} by {watcher.name}"


def in_guests(name: str, damo: str | None) -> list[Row]:
    """Do the same in a guest of its own, which takes nothing else down.

    Each who watches physical memory has one: in that of another, what is hot lies in pieces, some of them small.

    Raises:
        subprocess.SubprocessError: It failed.
    """
    rows: list[Row] = []
    for each in map(_by, physical_watchers()) if name == _PHYSICAL else [name]:
        words = [sys.executable, "-m", "tests.kernel.guest", "--first", "--timeout", str(_TIMEOUT_S), "--"]
        words += [sys.executable, "-m", "tests.kernel.compare", each, *(["--damo", damo] if damo else [])]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, timeout=_TIMEOUT_S + LIMIT_S)
        rows += [Row(**row) for row in json.loads(done.stdout)]
    return rows


def compare_all(names: Sequence[str], damo: str | None) -> tuple[list[Row], list[str]]:
    """Return the rows of all workloads, and the names of those that failed."""
    rows: list[Row] = []
    failed = []
    begin = time.monotonic()
    for name in names:
        print(f"{time.monotonic() - begin:4.0f} s  {name}", file=sys.stderr, flush=True)
        try:
            found = in_guests(name, damo)
        except subprocess.SubprocessError as error:
            print(f"compare: {name}: {error}", file=sys.stderr)
            failed.append(name)
            continue
        rows += _again(name, damo, found) if behind(found) else found
    return rows, failed


def _again(name: str, damo: str | None, found: list[Row]) -> list[Row]:
    """Return the medians of a run and two more, or the run itself if one of these fails."""
    try:
        return medians([found, in_guests(name, damo), in_guests(name, damo)])
    except subprocess.SubprocessError as error:
        print(f"compare: {name}, once more: {error}", file=sys.stderr)
        return found


def main() -> int:
    assert __doc__ is not None
    known = [*COMPARED, _PHYSICAL]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=", ".join(known))
    parser.add_argument("--quick", action="store_true", help="the first five")
    parser.add_argument("--json", action="store_true", help="print JSON; the table goes to standard error")
    parser.add_argument("--damo", metavar="PROGRAM", help="damo, if it is to watch, too")
    args = parser.parse_args()
    names = args.workloads or (list(QUICK) if args.quick else known)
    if in_guest():
        print(json.dumps([asdict(row) for name in names for row in inside(name, args.damo)]))
        return 0
    if unknown := set(names) - set(known):
        parser.error(f"no such workload: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if why := missing(UML):
        print(f"compare: {why}", file=sys.stderr)
        return SKIPPED
    rows, failed = compare_all(names, args.damo)
    print(f"{_HEADER}\n\n{render(rows)}\n\n{verdict(rows)}\n\n{_LEGEND}", file=sys.stderr if args.json else sys.stdout)
    if args.json:
        print(json.dumps({"kernel": str(find(UML)), "seconds": SECONDS, "rows": as_json(rows)}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
