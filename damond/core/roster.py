"""The targets of a context, which come and go while it runs."""

import logging
from collections.abc import Sequence

from damond.core.context import Context
from damond.core.primitive import Primitive
from damond.core.target import Target
from damond.errors import DamondError

_log = logging.getLogger(__name__)


class Roster:
    """Who is watched, and who has ended and stays only until his last counts are delivered.

    Args:
        ctx: The context; its ``targets`` are kept up to date.
        primitive: What watches them.
    """

    def __init__(self, ctx: Context, primitive: Primitive) -> None:
        self._tells_validity = type(primitive).target_valid is not Primitive.target_valid
        self._ctx = ctx
        self._primitive = primitive
        self._leaving: list[Target] = []

    def any_valid(self) -> bool:
        """Say whether any target is still there; one of a primitive that can't tell is."""
        return not self._tells_validity or any(map(self._primitive.target_valid, self._ctx.targets))

    @property
    def wanted(self) -> list[Target]:
        """The targets without those that leave."""
        return [target for target in self._ctx.targets if target not in self._leaving]

    def replace(self, targets: Sequence[Target]) -> bool:
        """Watch these from now on; those whose id stays are what they were.

        Returns:
            Whether all that is left are targets that have ended: there is nothing to wait for with their last counts.

        Raises:
            DamondError: The primitive can't change its targets; they are as before.
        """
        ctx = self._ctx
        kept = {target.id: target for target in (*self.wanted, *(each for each in targets if each in ctx.targets))}
        if any(each.id == target.id and each is not target for each in self._leaving for target in targets):
            self.let_leave()  # a pid that has come back: what it was before is closed first
        before = list(ctx.targets)
        wanted = [kept.get(target.id, target) for target in targets]
        ctx.targets[:] = wanted + self._ended_uncounted(wanted)
        try:
            self._primitive.retarget(ctx)
        except BaseException:
            ctx.targets[:] = before
            raise
        self._leaving = [target for target in ctx.targets if target not in wanted]
        if ctx.window_samples:
            for target in ctx.targets:
                if target not in before:
                    target.regions.miss_all()
        return bool(self._leaving) and len(self._leaving) == len(ctx.targets)

    def _ended_uncounted(self, wanted: Sequence[Target]) -> list[Target]:
        """List targets that have ended by themselves, and whose last counts are still to be delivered."""
        if not (self._ctx.window_samples and self._tells_validity) or self._primitive.owns_regions:
            return []
        gone = [target for target in self._ctx.targets if target not in wanted and len(target.regions)]
        return [target for target in gone if not self._primitive.target_valid(target)]

    def let_leave(self) -> None:
        """Let go of targets that have ended: their last counts have been delivered."""
        if not self._leaving:
            return
        before, self._ctx.targets[:] = list(self._ctx.targets), self.wanted
        try:
            self._primitive.retarget(self._ctx)
        except DamondError as error:  # nobody has asked who could be told; the next change of targets asks again
            _log.info("%s: targets that have ended stay: %s", self._ctx.name, error)
            self._ctx.targets[:] = before
        self._leaving = []
