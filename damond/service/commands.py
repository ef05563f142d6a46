"""What the supervisor may ask of a running worker."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from damond.core import Budget, IntervalsGoal, Kdamond, Primitive, Target
from damond.errors import DamondError
from damond.service.reporter import Reporter
from damond.service.targets import ENDED, refuse_gone, refuse_left_out


class Commands:
    """What the supervisor asks a running worker to do, between two samples; each request is answered."""

    def __init__(self, kdamond: Kdamond, primitive: Primitive, reporter: Reporter) -> None:
        self._kdamond = kdamond
        self._primitive = primitive
        self._reporter = reporter
        self._verbs: dict[str, Callable[[dict[str, Any]], None]] = {
            "tune": self._tune,
            "targets": self._targets,
            "pause": self._pause,
            "budget": self._budget,
            "look": lambda _: None,  # what it has been woken for comes before the next sample: are its targets there?
        }

    def request(self, message: dict[str, Any]) -> None:
        """Take a request in; it is done before the next sample."""
        self._kdamond.call(lambda: self._do(message))

    def _do(self, message: dict[str, Any]) -> None:
        refusal = None
        try:
            self._verbs[message["kind"]](message)
        except DamondError as error:
            refusal = {"code": error.code, "message": error.message, "hint": error.hint}
        self._reporter.tell("done", id=message["id"], error=refusal)

    def _budget(self, message: dict[str, Any]) -> None:
        self._kdamond.allow(Budget(**message["bounds"]))

    def _tune(self, message: dict[str, Any]) -> None:
        kdamond, before = self._kdamond, self._kdamond.ctx.intervals_goal
        attrs = self._primitive.attrs({**asdict(kdamond.asked), **message["attrs"]})
        if "goal" in message:
            goal = message["goal"]
            kdamond.aim(None if goal is None else IntervalsGoal(**goal))
        try:
            kdamond.tune(attrs)
        except DamondError:
            if kdamond.ctx.intervals_goal != before:
                kdamond.aim(before)
            raise

    def _targets(self, message: dict[str, Any]) -> None:
        ctx, by_process, added = self._kdamond.ctx, self._primitive.process_targets, message["added"]
        if by_process:
            refuse_gone(added)
        self._reporter.retargeted(ENDED)
        before = self._kdamond.wanted_targets
        self._kdamond.retarget([Target(each, pid=each if by_process else None) for each in message["ids"]])
        try:
            refuse_left_out(ctx, added)
        except DamondError:
            self._kdamond.retarget(before)
            raise
        self._reporter.retargeted(message["reason"])

    def _pause(self, message: dict[str, Any]) -> None:
        before = self._kdamond.paused
        self._kdamond.pause(paused=message["paused"])
        if self._kdamond.paused != before:
            self._reporter.event("paused" if message["paused"] else "resumed", message["reason"])
