"""One budget for all contexts: who needs little gets that, and the rest is shared evenly."""

import asyncio
import logging
import os
import time
from collections.abc import Iterable, Mapping
from typing import Final

import psutil

from damond.errors import DamondError
from damond.service.managed import ManagedContext

_log = logging.getLogger(__name__)

_HEADROOM: Final = 1.25
"""Beyond what it wants, so that a context can begin to want more."""
_LEAST_OF_FAIR: Final = 0.25
"""Of an even share, for a context that wants next to nothing."""
_LEAST_FOR_WORKERS: Final = 0.25
"""Of the budget of the service, if supervisor and launcher need most of it themselves."""
_TELL_LESS: Final = 0.97
_TELL_MORE: Final = 1.05
"""A share that has become less is told soon, one that has become more not for every bit: telling costs, too."""
_SMOOTHING: Final = 0.05
_OWN_CPU: Final = 0.0015
"""What those that are no workers are taken to use until it is measured: 0.1 % at rest, and subscribers."""
_STARTING_S: Final = 10.0
"""What they use until then goes into the start, not into the monitoring."""


def share_out(total: float, wants: Mapping[str, float | None], limits: Mapping[str, float | None]) -> dict[str, float]:
    """Share a budget among contexts.

    Those that want less than an even share get what they want and a quarter, the others share what is left evenly;
    what then is still left goes to all. Nobody gets more than his own limit, and all together no more than there is.

    Args:
        total: What there is.
        wants: What each would use, or None while it is not known.
        limits: What each may use at most by its own configuration, or None.
    """
    fair = total / max(len(wants), 1)
    bounds = {name: total if limits[name] is None else float(limits[name] or 0) for name in wants}
    caps = {
        name: bounds[name] if want is None else min(bounds[name], max(_HEADROOM * want, _LEAST_OF_FAIR * fair))
        for name, want in wants.items()
    }
    shares = _fill(total, caps)
    more = _fill(total - sum(shares.values()), {name: bounds[name] - shares[name] for name in wants})
    return {name: shares[name] + more[name] for name in wants}


def _want(context: ManagedContext, what: str) -> float | None:
    """Say what a context would use; next to nothing while it samples nothing."""
    return 0.0 if context.state == "running" and context.rests else context.cost.get(what)


def _is_news(amount: float | None, told: float | None) -> bool:
    """Say whether a bound is another than a worker knows of."""
    if amount is None or told is None:
        return amount is not told
    return not _TELL_LESS * told <= amount <= _TELL_MORE * told


def _fill(total: float, caps: Mapping[str, float]) -> dict[str, float]:
    """Give all the same, but none more than its cap."""
    shares, left = {}, max(total, 0.0)
    for number, name in enumerate(sorted(caps, key=lambda each: caps[each])):
        shares[name] = min(caps[name], left / (len(caps) - number))
        left -= shares[name]
    return shares


class Sharing:
    """Shares the budgets of the service among contexts, anew whenever one comes, goes or needs another part.

    Args:
        max_cpu: CPU time per time, for supervisor, launcher, recorder and workers together; None is no bound.
        max_checks_per_s: Pages per second, for all workers; None is no bound.

    Attributes:
        expected: Contexts that are about to start together: the first ones leave room for the last.
        own_cpu: What supervisor, launcher and recorder use of it.
    """

    def __init__(self, max_cpu: float | None = None, max_checks_per_s: float | None = None) -> None:
        self.max_cpu = max_cpu
        self.max_checks_per_s = max_checks_per_s
        self.expected = 0
        self.own_cpu = _OWN_CPU
        self._began_s = time.monotonic()
        self._last: tuple[float, dict[int, float]] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def measure(self, *pids: int) -> None:
        """Take note of what this process, and those that are no workers either, have used since the last time."""
        then_s, before_s = self._last or (0.0, {})
        used_s = {os.getpid(): time.process_time()}
        for pid in pids:
            try:
                used_s[pid] = sum(psutil.Process(pid).cpu_times()[:2])
            except (OSError, psutil.Error):  # it has just died, or no descriptor is left, which others notice
                used_s[pid] = before_s.get(pid, 0.0)
        now_s = time.monotonic()
        if self._last is not None and now_s > then_s and now_s - self._began_s > _STARTING_S:
            used = sum(max(0.0, each - before_s.get(pid, 0.0)) for pid, each in used_s.items())
            self.own_cpu += _SMOOTHING * (used / (now_s - then_s) - self.own_cpu)
        self._last = (now_s, used_s)

    @property
    def for_workers(self) -> float | None:
        """CPU time per time that is left for workers, or None without a bound."""
        if self.max_cpu is None:
            return None
        return max(self.max_cpu - self.own_cpu, _LEAST_FOR_WORKERS * self.max_cpu)

    def describe(self) -> dict[str, float | None]:
        """Tell the budgets of the service and what it needs of them itself, as plain values."""
        return {"max_cpu": self.max_cpu, "max_checks_per_s": self.max_checks_per_s, "own_cpu": self.own_cpu}

    def share(self, running: Iterable[ManagedContext]) -> None:
        """Share anew; tell the workers that have to know."""
        contexts = {each.spec.name: each for each in running}
        placeholders = [f"{number}?" for number in range(max(0, self.expected - len(contexts)))]
        for limit, total in (("max_cpu", self.for_workers), ("max_checks_per_s", self.max_checks_per_s)):
            if total is None:
                continue
            want = limit.replace("max", "wanted")
            wants = {name: _want(each, want) for name, each in contexts.items()} | dict.fromkeys(placeholders)
            limits = {name: getattr(each.spec, limit) for name, each in contexts.items()} | dict.fromkeys(placeholders)
            for name, amount in share_out(total, wants, limits).items():
                if name in contexts:
                    contexts[name].share[limit] = amount
        for each in contexts.values():
            self._tell(each)

    def _tell(self, context: ManagedContext) -> None:
        """Tell a worker what it may cost, if that is another than it knows of."""
        bounds = context.spec.bounds(context.share)
        if context.state != "running" or not any(_is_news(each, context.told.get(n)) for n, each in bounds.items()):
            return
        context.told = bounds
        task = asyncio.create_task(self._request(context, bounds))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    @staticmethod
    async def _request(context: ManagedContext, bounds: Mapping[str, float | None]) -> None:
        try:
            await context.request("budget", bounds=bounds)
        except DamondError as error:  # it has ended, or hangs, and status tells
            _log.debug("%s: not told its budget: %s", context.spec.name, error)
            context.told = {}
