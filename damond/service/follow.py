"""Keeps the targets of running contexts what their selectors choose: processes come and go."""

import asyncio
import contextlib
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

import psutil

from damond.errors import DamondError, UsageError
from damond.service.child import tie_to_parent
from damond.service.looks import Looks
from damond.service.managed import ManagedContext
from damond.service.processes import Processes
from damond.service.selector import Selector, find
from damond.service.spec import ContextSpec, TargetSpec
from damond.service.targets import SELECTED

_log = logging.getLogger(__name__)

_COMMAND_GRACE_S: Final = 5.0


def choose(
    spec: ContextSpec,
    processes: Iterable[dict[str, Any]],
    roots: Iterable[int],
    known: Iterable[int],
    ours: Iterable[int],
) -> list[int]:
    """List the pids of a context now: those that were given, those that it selects, and with children what is known."""
    roots = {*roots, *(known if spec.children else ())}
    return find(processes, _selector(spec), roots=roots, children=spec.children, ours=set(ours))


def _selector(spec: ContextSpec) -> Selector | None:
    return None if spec.select is None else Selector.model_validate(spec.select)


async def _scan(processes: Processes, specs: Iterable[ContextSpec]) -> list[dict[str, Any]]:
    selectors = [selector for spec in specs if (selector := _selector(spec)) is not None]
    return await processes.scan(set().union(*(each.mentions for each in selectors)))


async def with_targets(spec: ContextSpec, processes: Processes, ours: Iterable[int]) -> ContextSpec:
    """Fill in the targets that a context that is about to start has.

    Raises:
        WorkerFailedError: The launcher does not answer.
    """
    if not spec.follows:
        return spec
    rows = await _scan(processes, [spec])
    given = [each.id for each in spec.targets]
    found = choose(spec, rows, given, (), ours)
    more = [TargetSpec(each, found=True) for each in found if each not in given]
    return replace(spec, targets=(*spec.targets, *more))


async def follow(contexts: Iterable[ManagedContext], processes: Processes, looks: Looks, ours: Iterable[int]) -> None:
    """Bring the targets of running contexts up to date, if it is time to look; one look serves all of them.

    Raises:
        OSError: There are no descriptors left.
        WorkerFailedError: The launcher does not answer.
    """
    running = [each for each in contexts if each.state == "running" and not each.paused and each.spec.follows]
    running = [each for each in running if each.following is None or each.following.done()]
    if not running or not looks.due([each.spec.name for each in running]):
        return
    choosing_s = 0.0
    try:
        rows = await _scan(processes, [each.spec for each in running])
        for each in running:
            before_s = time.thread_time()
            ids = choose(each.spec, rows, each.roots, each.target_ids, ours)
            choosing_s += time.thread_time() - before_s
            if set(ids) != set(each.target_ids) and each.state == "running":
                # A worker does it between two samples, which may be ten seconds apart: the others do not wait for it.
                each.following = asyncio.create_task(_retarget(each, ids, looks))
    finally:
        looks.looked(processes.cost_s + choosing_s)


async def _retarget(context: ManagedContext, ids: list[int], looks: Looks) -> None:
    try:
        await context.retarget(ids, SELECTED, found=True)
    except UsageError as error:
        _log.warning("%s: targets stay as they are: %s", context.spec.name, error)
        context.target_ids = ids  # said once: the primitive would say the same again
    except DamondError as error:
        _log.debug("%s: %s", context.spec.name, error)  # told in status: the worker has ended or hangs
        looks.again()


class Command:
    """The program that a context starts, and that ends with it, and with the supervisor.

    Raises:
        UsageError: It can't be started.
    """

    def __init__(self, line: tuple[str, ...]) -> None:
        try:
            self._process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=tie_to_parent,  # noqa: PLW1509 - it takes no lock
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"{line[0]!r}: can't be started: {error}", hint="name an executable") from error

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    async def end(self) -> None:
        """End it, and what it has started that is in its process group still: SIGTERM, then SIGKILL."""
        if self._process.returncode is not None:
            return  # it was ended before, and its number may be somebody else's by now
        for signum in (signal.SIGTERM, signal.SIGKILL):
            # Not waited for before all have ended: until then nobody else can get its number.
            try:
                os.killpg(self._process.pid, signum)
            except PermissionError as error:  # of none of them: they have become somebody else's
                _log.warning("what %s has started can't be ended: %s", self._process.args, error)
                break
            if await asyncio.to_thread(self._have_ended, time.monotonic() + _COMMAND_GRACE_S):
                break
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, _COMMAND_GRACE_S)

    def _have_ended(self, until_s: float) -> bool:
        """Wait until no process of its group runs, or until then; say which."""
        while True:
            with contextlib.ExitStack() as stack:
                poll, nr_running = select.poll(), 0
                for fd in self._group(stack):
                    poll.register(fd, select.POLLIN)
                    nr_running += 1
                if not nr_running:
                    return True
                if not poll.poll(max(0.0, until_s - time.monotonic()) * 1000):
                    return False

    def _group(self, stack: contextlib.ExitStack) -> Iterator[int]:
        """Yield a pidfd of every process of the group that has not ended."""
        for pid in psutil.pids():
            try:
                if os.getpgid(pid) != self._process.pid:
                    continue
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            stack.callback(os.close, fd)
            poll = select.poll()  # not select(2), which takes no descriptor from 1024 on
            poll.register(fd, select.POLLIN)
            if not poll.poll(0):
                yield fd
