"""What the tests of kdamond on a real kernel share. They write to DAMON's files: in a guest kernel only."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from damond.core import Attrs, Context, IntervalsGoal, Kdamond, Snapshot, Target
from damond.plugin import parse_options
from damond_accessbits import Root, find_kdamonds
from damond_kdamond import KdamondVaddr
from damond_kdamond.owner import KDAMONDS, NR_KDAMONDS
from damond_kdamond.trace import INSTANCES
from tests.kernel.rig import LIMIT_S, Collect, RealClock, Until

ADMIN = Path("/", KDAMONDS)
RECLAIM = Path("/sys/module/damon_reclaim/parameters")

_OWNER = """
import os, sys
from damond.core import Context, Target
from damond_kdamond import KdamondVaddr, KdamondVaddrOptions
primitive = KdamondVaddr(KdamondVaddrOptions())
ctx = Context(attrs=primitive.attrs({}), targets=[Target(os.getppid())])
primitive.init(ctx)
print("up", flush=True)
sys.stdin.read()
primitive.cleanup(ctx)
"""


@dataclass(frozen=True)
class Tree:
    """All there is of the kernel's DAMON.

    Attributes:
        nr_kdamonds: Kdamonds in sysfs.
        states: Their states.
        instances: Trace instances.
        running: Who runs, as others would see it.
    """

    nr_kdamonds: str
    states: tuple[str, ...]
    instances: tuple[str, ...]
    running: tuple[str, ...]


def tree() -> Tree:
    """Look at what there is; the thread of a kdamond that was taken away may need a moment to end."""
    deadline = time.monotonic() + 10
    found = _tree()
    while found.nr_kdamonds == "0" and found.running and time.monotonic() < deadline:
        found = _tree()
    return found


def _tree() -> Tree:
    return Tree(
        Path("/", NR_KDAMONDS).read_text().strip(),
        tuple(each.read_text().strip() for each in sorted(ADMIN.glob("*/state"))),
        tuple(sorted(each.name for each in Path("/", INSTANCES).iterdir())),
        tuple(each.owner for each in find_kdamonds(Root())),
    )


UNUSED = Tree("0", (), (), ())


def put(path: Path, value: object) -> None:
    path.write_text(f"{value}\n")


def make(cls: type[KdamondVaddr] = KdamondVaddr, **options: Any) -> KdamondVaddr:
    return cls(parse_options(cls.name, cls.Options, options))


@dataclass
class Changes(Collect):
    """Keeps snapshots, and changes of attributes too."""

    changes: list[tuple[Attrs, Attrs]] = field(default_factory=list)

    def tuned(self, ctx: Context, old: Attrs) -> None:
        self.changes.append((old, ctx.attrs))

    paced = tuned


def watch(
    primitive: KdamondVaddr,
    pids: list[int],
    seconds: float,
    condition: Callable[[Kdamond, Changes], bool] = lambda _loop, _sink: False,
    goal: IntervalsGoal | None = None,
    **given: int,
) -> tuple[list[Snapshot], str, Changes]:
    """Monitor for a time at most, or until the condition holds, which may also do something each time it is asked."""
    ctx = Context(attrs=primitive.attrs(given), targets=[Target(pid) for pid in pids], intervals_goal=goal)
    sink = Changes()
    stop = Until(seconds, lambda: condition(loop, sink))
    loop = Kdamond(ctx, primitive, clock=RealClock(), stop=stop, sink=sink)
    reason = loop.run()
    return sink.snapshots, reason, sink


def enough(number: int) -> Callable[[Kdamond, Changes], bool]:
    """Stop after so many snapshots."""
    return lambda _loop, sink: len(sink.snapshots) >= number


@contextmanager
def another_damond() -> Iterator["subprocess.Popen[str]"]:
    """Run a process that has a kdamond, which monitors us; it ends as it should, if it was not killed."""
    command = [sys.executable, "-c", _OWNER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "up\n"
            yield process
            process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()


def clear() -> None:
    """Leave nothing behind, whatever a test did: the next one is not to fail for it."""
    for state in ADMIN.glob("*/state"):
        if state.read_text() == "on\n":
            put(state, "off")
    put(ADMIN / "nr_kdamonds", 0)
    for each in Path("/", INSTANCES).iterdir():
        each.rmdir()


@contextmanager
def somebody_elses(state: str) -> Iterator[None]:
    """Let somebody else have a kdamond; afterwards it is taken away."""
    put(ADMIN / "nr_kdamonds", 1)
    try:
        put(ADMIN / "0/contexts/nr_contexts", 1)
        put(ADMIN / "0/contexts/0/targets/nr_targets", 1)
        put(ADMIN / "0/contexts/0/targets/0/pid_target", os.getpid())
        if state == "on":
            put(ADMIN / "0/state", "on")
        yield
        if state == "on":
            put(ADMIN / "0/state", "off")
    finally:
        put(ADMIN / "nr_kdamonds", 0)


@contextmanager
def reclaim() -> Iterator[None]:
    """Let DAMON_RECLAIM run, on a range given by hand: user-mode Linux has no /proc/iomem to take it from.

    DAMON_STAT can't be switched on there for the same reason; to us both are a module that runs DAMON.
    """
    put(RECLAIM / "monitor_region_start", 1 << 20)
    put(RECLAIM / "monitor_region_end", 1 << 26)
    put(RECLAIM / "enabled", "Y")
    try:
        yield
    finally:
        put(RECLAIM / "enabled", "N")
