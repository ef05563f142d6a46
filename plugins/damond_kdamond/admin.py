"""One kdamond with one context, by the files below /sys/kernel/mm/damon/admin/kdamonds."""

import errno
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from damond.core import AddrRange, Attrs, IntervalsGoal
from damond.errors import SourceUnavailableError
from damond.units import USEC_PER_SEC, Usec
from damond_kdamond.files import PATIENCE_S, Files
from damond_kdamond.owner import KDAMONDS, NR_KDAMONDS, Owner, Survey, nobody, read_mark, survey, write_mark

_log = logging.getLogger(__name__)

_KDAMOND: Final = f"{KDAMONDS}/0"
_CONTEXT: Final = f"{_KDAMOND}/contexts/0"
_INTERVALS: Final = f"{_CONTEXT}/monitoring_attrs/intervals"
_GOAL: Final = f"{_INTERVALS}/intervals_goal"
_NR_REGIONS: Final = f"{_CONTEXT}/monitoring_attrs/nr_regions"
_PAUSE: Final = f"{_CONTEXT}/pause"
SCHEME: Final = f"{_CONTEXT}/schemes/0"

_EVERYTHING: Final = {"sz/max": 2**64 - 1, "nr_accesses/max": 2**32 - 1, "age/max": 2**32 - 1}
"""The greatest values of the fields of struct damos_access_pattern (include/linux/damon.h)."""

_ATTRS: Final = {
    "sample_interval": f"{_INTERVALS}/sample_us",
    "aggr_interval": f"{_INTERVALS}/aggr_us",
    "primitive_update_interval": f"{_INTERVALS}/update_us",
    "min_nr_regions": f"{_NR_REGIONS}/min",
    "max_nr_regions": f"{_NR_REGIONS}/max",
}

WHAT_TARGET = tuple[int | None, Sequence[AddrRange]]
"""One target: a pid, or None for physical memory, and its initial regions, if there are any."""


class Admin:
    """The kdamond that is ours: made, configured, commanded and removed; never somebody else's.

    Who else writes to the same tree while we run is noticed by the inode number of the kdamond's directory.

    Args:
        files: Reads and writes.
        owner: This process.
    """

    def __init__(self, files: Files, owner: Owner) -> None:
        self._files = files
        self._owner = owner
        self._inode = 0

    def create(self, operations: str) -> None:
        """Make a kdamond, marked as ours, switched off.

        Raises:
            SourceUnavailableError: This kernel's DAMON does not know such operations.
        """
        self._files.write(NR_KDAMONDS, 1)
        self._inode = self._files.inode(_KDAMOND)
        self._files.write(f"{_KDAMOND}/contexts/nr_contexts", 1)
        # One scheme in any case: it carries the mark, and as it is made it matches no region and does nothing.
        self._files.write(f"{_CONTEXT}/schemes/nr_schemes", 1)
        write_mark(self._files, self._owner)
        self._files.write(f"{SCHEME}/action", "stat")
        # Linux 5.18 has no avail_operations, and says what it can't only when it is asked.
        known = self._files.root.read_word(f"{_CONTEXT}/avail_operations").split()
        if known and operations not in known:
            raise SourceUnavailableError(
                "kdamond",
                f"this kernel's DAMON has no operations {operations}, only {', '.join(known)}",
                hint="CONFIG_DAMON_VADDR brings vaddr and fvaddr (Linux 5.19), CONFIG_DAMON_PADDR paddr",
            )
        self._files.write(f"{_CONTEXT}/operations", operations)

    def set_targets(self, targets: Sequence[WHAT_TARGET]) -> None:
        """Say what is monitored; the place in the list is the number of the target in the results."""
        self._files.write(f"{_CONTEXT}/targets/nr_targets", len(targets))
        for number, (pid, ranges) in enumerate(targets):
            target = f"{_CONTEXT}/targets/{number}"
            if pid is not None:
                self._files.write(f"{target}/pid_target", pid)
            self._files.write(f"{target}/regions/nr_regions", len(ranges))
            for index, each in enumerate(ranges):
                self._files.write(f"{target}/regions/{index}/start", each.start)
                self._files.write(f"{target}/regions/{index}/end", each.end)

    def release_targets(self, numbers: Iterable[int]) -> None:
        """Have targets whose processes have ended stand for a process without memory, which costs nothing.

        A commit with a process that has been reaped is refused (EINVAL, Linux 7.2), or ends the kdamond (Linux 6.12);
        and without the target those behind it would have other numbers.
        """
        for number in numbers:
            self._files.write(f"{_CONTEXT}/targets/{number}/pid_target", nobody(self._files.root))

    def pause(self, *, paused: bool) -> bool:
        """Let the running kdamond rest or go on, with all that it knows; return False on a kernel that can't.

        The file ``pause`` came between Linux 6.12 and 7.2.
        """
        if not self._files.root.path(_PAUSE).exists():
            return False
        self._files.write(_PAUSE, "Y" if paused else "N")
        self.command("commit")
        return True

    def set_attrs(self, attrs: Attrs) -> None:
        """Write attributes; they hold from the next start or ``commit`` on."""
        for field, path in _ATTRS.items():
            self._files.write(path, getattr(attrs, field))
        # Who has asked for results (damo does) holds the lock until the aggregation under way ends, or the next.
        self._files.patience_s = PATIENCE_S + 2 * attrs.aggr_interval / USEC_PER_SEC

    def attrs(self) -> Attrs:
        """Read the attributes back."""
        read = {field: self._files.read_int(path) for field, path in _ATTRS.items()}
        intervals = {field: Usec(value) for field, value in read.items() if field.endswith("interval")}
        return Attrs(**{**read, **intervals})  # type: ignore[arg-type]

    def can_tune(self) -> bool:
        """Say whether this kernel can tune the intervals itself (Linux 6.15)."""
        return self._files.root.path(_GOAL).is_dir()

    def set_goal(self, goal: IntervalsGoal | None) -> None:
        """Let the kernel tune the intervals from the next start or ``commit`` on, or not; it must be able to."""
        for name in ("access_bp", "aggrs", "min_sample_us", "max_sample_us"):
            self._files.write(f"{_GOAL}/{name}", 0 if goal is None else getattr(goal, name))

    def match_everything(self) -> None:
        """Let the scheme, whose action is none but to count, cover all regions."""
        for name, value in _EVERYTHING.items():
            self._files.write(f"{SCHEME}/access_pattern/{name}", value)

    def switch_on(self) -> int:
        """Start the kdamond; return the pid of its thread.

        Raises:
            KdamondRunningError: Another user of DAMON came in between.
            SourceUnavailableError: The kernel refuses.
        """
        try:
            self._switch_on()
        except OSError as error:
            raise SourceUnavailableError(
                "kdamond",
                f"the kernel refuses to start its DAMON: {error.strerror}",
                hint="a target may have just ended, or a range hold no memory; dmesg may say more",
            ) from error
        return self._files.read_int(f"{_KDAMOND}/pid")

    def _switch_on(self) -> None:
        """Write "on"; EBUSY may mean another user of DAMON, or somebody who just looks."""
        try:
            self.command("on", patience_s=0)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
        else:
            return
        Survey(tuple(each for each in survey(self._files.root).findings if each.pid != self._owner.pid), None).refuse()
        self.command("on")

    def command(self, word: str, *, patience_s: float | None = None) -> None:
        """Write a word to ``state``; returns when the kernel has done it.

        Raises:
            OSError: It can't, or the kdamond is not ours any more (ENOENT).
        """
        if not self._is_ours():
            raise FileNotFoundError(errno.ENOENT, "somebody else has replaced the kdamond", _KDAMOND)
        self._files.write(f"{_KDAMOND}/state", word, patience_s=patience_s)

    def running(self) -> bool:
        """Say whether the kdamond runs, and is still ours."""
        try:
            return self._is_ours() and self._files.read(f"{_KDAMOND}/state", patience_s=0) == "on"
        except OSError as error:
            if error.errno == errno.EBUSY:  # somebody looks at it: it is there, and that it stopped is seen afterwards
                return True
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                raise
            return False

    def _is_ours(self) -> bool:
        try:
            return self._files.inode(_KDAMOND) == self._inode
        except FileNotFoundError:
            return False

    def adopt(self, leftover: Owner) -> None:
        """Take over what a process left behind that has ended, in order to remove it."""
        inode = self._files.inode(_KDAMOND)
        if read_mark(self._files.root) == leftover:
            self._inode = inode

    def remove(self) -> None:
        """Stop the kdamond and take it away, if it is still ours: the tree is as it was found then."""
        if not self._inode:
            return
        if not self._is_ours():
            _log.warning("kdamond 0 is not the one that damond made any more: it stays as it is")
            return
        self._inode = 0
        if self._files.read(f"{_KDAMOND}/state") == "on":
            self.switch_off()
        self._files.write(NR_KDAMONDS, 0)

    def switch_off(self) -> None:
        """Stop the kdamond; what is configured stays."""
        try:
            self._files.write(f"{_KDAMOND}/state", "off")
        except OSError:
            # It may have ended by itself in between (EPERM, damon_stop, mm/damon/core.c, Linux 5.18 to 7.2).
            if self._files.read(f"{_KDAMOND}/state") == "on":
                raise
