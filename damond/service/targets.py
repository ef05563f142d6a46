"""Which targets of a running context have come or gone, as the worker that watches them sees it."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from damond.core import Context, Primitive
from damond.errors import NoSuchProcessError, UsageError

ENDED: Final = "ended"
"""Why a target has gone: by itself. Otherwise it is who wanted it: this, or"""
SELECTED: Final = "selected"
"""the service, by what was selected; or"""
REQUESTED: Final = "requested"
"""a person."""


class Targets:
    """The targets of a context as they were told last.

    Args:
        ctx: The context.
        primitive: Says whether a target is still there.
    """

    def __init__(self, ctx: Context, primitive: Primitive) -> None:
        self._ctx = ctx
        self._primitive = primitive
        # Not asked yet whether they are valid: a primitive that fails in that is to fail when it runs.
        self._told = {each.id: each.pid for each in ctx.targets}

    def _now(self) -> dict[int, int | None]:
        return {each.id: each.pid for each in self._ctx.targets if self._primitive.target_valid(each)}

    @property
    def ids(self) -> list[int]:
        """Ids of those that were there when it was told last."""
        return list(self._told)

    def news(self) -> dict[str, Any] | None:
        """Say what has changed since the last time, or None.

        Returns:
            ``targets``: the ids that are watched now; ``added`` and ``removed``: lists of maps with ``id`` and ``pid``
            (nil where the target is no process).
        """
        before, self._told = self._told, self._now()
        if before.keys() == self._told.keys():
            return None
        return {
            "targets": self.ids,
            "added": _missing(self._told, before),
            "removed": _missing(before, self._told),
        }


def _missing(some: dict[int, int | None], others: Collection[int]) -> list[dict[str, int | None]]:
    return [{"id": each, "pid": pid} for each, pid in some.items() if each not in others]


def refuse_gone(pids: Iterable[int]) -> None:
    """Refuse processes that are not there.

    Raises:
        NoSuchProcessError: There is none, or it has ended and waits for its parent.
    """
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        except OSError as error:
            hint = "it may have ended; 'ps' lists those that run"
            raise NoSuchProcessError(f"there is no process {pid}", hint=hint) from error
        if state in b"ZX":
            raise NoSuchProcessError(f"process {pid} has ended (it is a zombie)", hint="name a process that runs")


def refuse_left_out(ctx: Context, ids: Iterable[int]) -> None:
    """Refuse targets that a primitive has left out.

    Raises:
        UsageError: One is none of the context's targets.
    """
    present = {each.id for each in ctx.targets}
    for each in ids:
        if each not in present:
            raise UsageError(
                f"{ctx.name}: {each} can't be watched",
                hint="it has just ended, or is a kernel thread, or not for this user: the log says which",
            )
