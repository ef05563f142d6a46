"""A kdamond that runs for us, from the start to the last trace of it."""

import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from damond.core import Attrs, IntervalsGoal
from damond.errors import InvalidAttrsError, SourceUnavailableError
from damond_kdamond.admin import WHAT_TARGET, Admin
from damond_kdamond.assembly import Aggregation
from damond_kdamond.cost import ThreadClock
from damond_kdamond.files import Files
from damond_kdamond.owner import Lock, Owner, survey
from damond_kdamond.probing import probe_access, probe_tracepoint
from damond_kdamond.trace import Source, TraceSource, remove_leftovers
from damond_kdamond.tried import TriedRegions

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is to be monitored, and how.

    Attributes:
        operations: ``vaddr``, ``fvaddr`` or ``paddr``.
        targets: What.
        attrs: At which accuracy.
        goal: What the kernel is to tune its intervals to, or None.
        source: Where results are read from: ``auto``, ``tracepoint`` or ``tried_regions``.
    """

    operations: str
    targets: Sequence[WHAT_TARGET]
    attrs: Attrs
    goal: IntervalsGoal | None
    source: str


class Session:
    """Owns the kdamond, the way to its results, and the lock on both; all of it or nothing.

    Attributes:
        source: Where results are read from.
        begin_ns: When the kdamond was started. Nanoseconds of CLOCK_MONOTONIC.

    Raises:
        KdamondRunningError: The kernel's DAMON has another user; nothing of theirs was touched.
        SourceUnavailableError: The kernel can't do what is asked for; everything is as it was before.
    """

    source: Source
    begin_ns: int

    def __init__(self, files: Files, setup: Setup) -> None:
        self._files = files
        self._off = False
        with ExitStack() as stack:
            try:
                self._start(setup, stack)
            except OSError as error:
                raise SourceUnavailableError(
                    "kdamond",
                    f"{error.filename or 'a file of DAMON'}: {error.strerror}",
                    hint="'damond doctor' lists what works here",
                ) from error
            self._stack = stack.pop_all()

    def _start(self, setup: Setup, stack: ExitStack) -> None:
        root = self._files.root
        problem, hint = probe_access(root)
        if problem:
            raise SourceUnavailableError("kdamond", problem, hint=hint)
        stack.callback(Lock(root).release)
        owner = Owner.myself(root)
        _clear(self._files, owner)
        survey(root, locked=True).refuse()
        self._admin = Admin(self._files, owner)
        stack.callback(self._admin.remove)
        self._admin.create(setup.operations)
        self._admin.set_targets(setup.targets)
        self._admin.set_attrs(setup.attrs)
        self._goal = setup.goal if self._admin.can_tune() else None
        if self._goal is not None:
            self._admin.set_goal(self._goal)
        self.source = self._open_source(setup, owner)
        stack.callback(self.source.close)
        self.begin_ns = time.monotonic_ns()
        self._thread = ThreadClock(root, self._admin.switch_on())

    def _open_source(self, setup: Setup, owner: Owner) -> Source:
        tracepoint = probe_tracepoint(self._files.root)
        if setup.source == "tracepoint" and not tracepoint.works:
            raise SourceUnavailableError("tracepoint", tracepoint.reason, hint=tracepoint.hint)
        if setup.source == "tried_regions" or not tracepoint.works:
            if setup.source == "auto":
                _log.warning("results come from tried_regions, which is slow: tracepoint: %s", tracepoint.reason)
            return TriedRegions(self._files.root, self._admin, len(setup.targets), setup.attrs)
        return TraceSource(self._files, owner, len(setup.targets), setup.attrs, tunes=self.tunes)

    @property
    def tunes(self) -> bool:
        """Whether the kernel tunes the intervals."""
        return self._goal is not None

    def read(self) -> list[Aggregation]:
        """Return the aggregations that have ended since the last call."""
        return self.source.read()

    def running(self) -> bool:
        """Say whether the kdamond runs."""
        return self._admin.running()

    def attrs(self) -> Attrs:
        """Return the attributes that the kernel has."""
        return self._admin.attrs()

    def tuned_attrs(self) -> Attrs:
        """Ask the kernel which intervals it uses now."""
        self._admin.command("update_tuned_intervals")
        return self._admin.attrs()

    def commit(self, attrs: Attrs, ended: Iterable[int] = ()) -> Attrs:
        """Let the running kdamond take other attributes; results so far are kept.

        Args:
            attrs: The new attributes.
            ended: Numbers of the targets whose processes have ended.

        Raises:
            InvalidAttrsError: The kernel refuses them; the old ones stay.
        """
        if self._goal is not None:
            self._goal.check(attrs)
        old = self._admin.attrs()
        try:
            self._admin.release_targets(ended)
            self._admin.set_attrs(attrs)
            if not self._off:
                self._admin.command("commit")
        except OSError as error:
            self._admin.set_attrs(old)
            raise InvalidAttrsError(
                "attrs",
                attrs,
                f"the kernel refuses them: {error.strerror}",
                hint="a target may have ended this very moment: try again; dmesg may say more",
            ) from error
        self.source.fit(attrs)
        return self._admin.attrs()

    def aim(self, goal: IntervalsGoal | None, attrs: Attrs, ended: Iterable[int] = ()) -> Attrs:
        """Let the running kdamond tune to another goal, or to none, from these attributes on.

        Raises:
            InvalidAttrsError: As :meth:`commit`; the old goal stays, too.
        """
        if not self._admin.can_tune():
            return self.commit(attrs, ended)
        before, self._goal = self._goal, goal
        self._admin.set_goal(goal)
        try:
            return self.commit(attrs, ended)
        except InvalidAttrsError:
            self._goal = before
            self._admin.set_goal(before)
            raise

    def pause(self, attrs: Attrs, *, paused: bool, ended: Iterable[int] = ()) -> bool:
        """Let the kdamond rest or go on; a kernel that can't is to stop it and to start it again.

        Args:
            attrs: What it goes on with: whatever the files say is taken along, and what it has tuned is not in them.
            paused: Whether it is to rest.
            ended: Numbers of the targets whose processes have ended.

        Returns:
            Whether it knows afterwards what it knew before.

        Raises:
            KdamondRunningError: Another user of DAMON came in between.
            SourceUnavailableError: The kernel refuses.
        """
        try:
            self._admin.release_targets(ended)
            self._admin.set_attrs(attrs)
            if self._admin.pause(paused=paused):
                return True
            if paused:
                self._thread.cpu_us()
                self._admin.switch_off()
        except OSError as error:
            raise SourceUnavailableError(
                "kdamond",
                f"the kernel refuses to {'pause' if paused else 'go on'}: {error.strerror}",
                hint="a target may have ended this very moment: try again; dmesg may say more",
            ) from error
        if not paused:
            self._thread.follow(self._admin.switch_on())
        self._off = paused
        return False

    def cpu_us(self) -> int:
        """Return the CPU time of the kdamond's thread. Microseconds."""
        return self._thread.cpu_us()

    def close(self) -> None:
        """Stop the kdamond; afterwards everything is as it was found."""
        self._stack.close()


def _clear(files: Files, owner: Owner) -> None:
    """Remove what a damond left behind that has ended without doing so, and only that."""
    remove_leftovers(files, owner)
    leftover = survey(files.root, locked=True).leftover
    if leftover is not None:
        _log.warning("removing the kdamond of process %d of damond, which has ended without doing so", leftover.pid)
        admin = Admin(files, owner)
        admin.adopt(leftover)
        admin.remove()
