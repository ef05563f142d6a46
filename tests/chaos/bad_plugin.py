"""A primitive that misbehaves where and how its options say."""

# What it returns and leaves behind is nonsense on purpose.
# mypy: ignore-errors

import os
import sys
import threading
from dataclasses import dataclass

import numpy as np

from damond.core import AddrRange, Context, Primitive, Target
from damond.core.adaptation import initial_regions
from damond.plugin import hookimpl, option

damond_api_version = 1


@dataclass(frozen=True)
class Options:
    """Options of the context."""

    where: str = option("", help="the function")
    how: str = option("", help="what it does there")


def hang() -> None:
    print("hangs now", flush=True)
    while True:
        threading.Event().wait(1000)


def leak() -> None:
    if not hasattr(Bad, "kept"):
        Bad.kept = np.ones(1 << 27, np.uint64)  # 1 GiB, every page of it


def chatter() -> None:
    sys.stderr.write("x" * (8 << 20))
    sys.stderr.flush()


def fork_and_stay() -> None:
    """Leave a process behind that holds all descriptors, then die."""
    pid = os.fork()
    if pid == 0:
        os.execvp("sleep", ["sleep", "20"])  # noqa: S606 - as a plugin might
    print(pid, flush=True)
    os._exit(3)


class Bad(Primitive):
    """One target, 1 MiB, never accessed."""

    name = "bad"
    Options = Options

    def _act(self, where: str, nonsense: object = None) -> object:
        if where != self.options.where:
            return None
        how = self.options.how
        if how == "raise":
            raise RuntimeError(f"{where} is out of cheese")
        if how == "long words":
            raise RuntimeError("\udcff" + "long " * 100_000)
        if how == "os._exit":
            os._exit(3)
        if how == "sys.exit":
            sys.exit(0)
        if how == "nonsense":
            return nonsense
        {"hang": hang, "leak": leak, "chatter": chatter, "fork": fork_and_stay}[how]()
        return None

    def init(self, ctx: Context) -> None:
        ctx.targets[:] = [Target(0)]
        ctx.targets[0].set_ranges(initial_regions([AddrRange(0, 1 << 20)], ctx.attrs.min_nr_regions))
        if self._act("init", nonsense=True):
            ctx.targets[:] = ["no target"]

    def update(self, ctx: Context) -> None:
        if self._act("update", nonsense=True):
            ctx.targets[0].regions = None

    def prepare_access_checks(self, ctx: Context) -> None:
        ctx.targets[0].regions.pick_sampling_addrs(ctx.rng)
        if self._act("prepare_access_checks", nonsense=True):
            ctx.targets[0].regions.nr_accesses = np.zeros(3, np.float64)

    def check_accesses(self, ctx: Context) -> int:
        ctx.checks += len(ctx.targets[0].regions)
        return self._act("check_accesses", nonsense="many") or 0

    def reset_aggregated(self, ctx: Context) -> None:
        if self._act("reset_aggregated", nonsense=True):
            ctx.attrs = None

    def target_valid(self, target: Target) -> bool:
        answer = self._act("target_valid", nonsense=np.zeros(2))
        return True if answer is None else answer

    def cleanup(self, ctx: Context) -> object:
        return self._act("cleanup", nonsense=b"\xff")


@hookimpl
def damond_primitives() -> list[type[Primitive]]:
    return [Bad]
