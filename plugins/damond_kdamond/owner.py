"""Whose a kdamond is: a mark in the kdamond's own directory, which lives and dies with it.

The mark is written into the watermarks of the kdamond's first scheme, which nobody reads while their metric is
``none`` (damos_wmark_wait_us, mm/damon/core.c, Linux 5.18 to 7.2): a magic number and the process that owns it. So
a mark can't be left over without its kdamond, nor stay behind on somebody else's, as a file in /run could; it needs
no writable directory, and goes away when the machine is switched off. Who lives holds a lock besides: flock(2) on the
file ``nr_kdamonds`` itself, which the kernel drops with its holder.
"""

import fcntl
import os
import re
from dataclasses import dataclass
from typing import Final, Self

from damond.errors import KdamondRunningError
from damond_accessbits import Finding, Root, find_kdamonds
from damond_kdamond.files import Files

KDAMONDS: Final = "sys/kernel/mm/damon/admin/kdamonds"
NR_KDAMONDS: Final = f"{KDAMONDS}/nr_kdamonds"
_WATERMARKS: Final = f"{KDAMONDS}/0/contexts/0/schemes/0/watermarks"

_MAGIC: Final = int.from_bytes(b"damond", "big")
_DEAD: Final = frozenset("ZXx")
"""States of a process that only waits to be reaped (proc_pid_stat(5))."""

_KTHREADD: Final = 2
_FLAGS: Final = 6
"""Where field 9 of /proc/PID/stat is, two of which come before the name ends."""

_PF_KTHREAD: Final = 0x00200000
"""include/linux/sched.h, Linux 6.12."""

_ONE: Final = "stop that context: there is one tree of kdamonds per machine, so damond runs one kdamond at a time"

_INSTANCE: Final = re.compile(r"damond-(\d+)-(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, and no other one that gets its pid later.

    Attributes:
        pid: Its pid.
        starttime: When it started, in clock ticks since boot: field 22 of /proc/PID/stat.
        pid_ns: The pid namespace in which it has that pid: an inode number.
    """

    pid: int
    starttime: int
    pid_ns: int

    @classmethod
    def myself(cls, root: Root) -> Self:
        """Name this process."""
        pid = os.getpid()
        return cls(pid, int(_stat(root, pid)[19]), _pid_ns(root))

    def alive(self, root: Root) -> bool:
        """Say whether it runs; of a process in another pid namespace nobody can tell, so it counts as running."""
        if self.pid_ns != _pid_ns(root):
            return True
        fields = _stat(root, self.pid)
        return bool(fields) and fields[0] not in _DEAD and int(fields[19]) == self.starttime

    @property
    def instance(self) -> str:
        """Name of its trace instance."""
        return f"damond-{self.pid}-{self.starttime}-{self.pid_ns}"

    @classmethod
    def of_instance(cls, name: str) -> Self | None:
        """Undo :attr:`instance`; None for one that is not damond's."""
        match = _INSTANCE.fullmatch(name)
        return cls(*map(int, match.groups())) if match else None


def _stat(root: Root, pid: int) -> list[str]:
    """Return fields 3 and following of /proc/PID/stat; nothing if there is no such process."""
    return root.read_word(f"proc/{pid}/stat").rpartition(")")[2].split()


def _pid_ns(root: Root) -> int:
    return root.path("proc/self/ns/pid").stat().st_ino


def nobody(root: Root) -> int:
    """Return the pid of a process without memory: kthreadd, or ourselves where a pid namespace hides that."""
    fields = _stat(root, _KTHREADD)
    is_kernel_thread = len(fields) > _FLAGS and int(fields[_FLAGS]) & _PF_KTHREAD
    return _KTHREADD if is_kernel_thread else os.getpid()


def write_mark(files: Files, owner: Owner) -> None:
    """Mark kdamond 0; the magic number comes last, so that a mark is whole or none."""
    for name, value in (("high", owner.pid), ("mid", owner.starttime), ("low", owner.pid_ns), ("interval_us", _MAGIC)):
        files.write(f"{_WATERMARKS}/{name}", value)


def read_mark(root: Root) -> Owner | None:
    """Read whose kdamond 0 is; None if damond did not make it."""
    words = [root.read_word(f"{_WATERMARKS}/{name}") for name in ("metric", "interval_us", "high", "mid", "low")]
    if words[:2] != ["none", str(_MAGIC)]:
        return None
    return Owner(*map(int, words[2:]))


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is of the kernel's DAMON before we start.

    Attributes:
        findings: What belongs to somebody who lives, or is not damond.
        leftover: Owner of kdamond 0, if that was a damond that has ended without cleaning up.
    """

    findings: tuple[Finding, ...]
    leftover: Owner | None

    def refuse(self) -> None:
        """Raise if there is anything that is not ours to touch.

        Raises:
            KdamondRunningError: There is; all is named, with how to switch it off.
        """
        if self.findings:
            raise KdamondRunningError(
                f"the kernel's DAMON has another user already: {', '.join(each.owner for each in self.findings)}",
                hint="; or ".join(dict.fromkeys(each.remedy for each in self.findings)),
            )


def survey(root: Root, *, locked: bool = False) -> Survey:
    """See who uses the kernel's DAMON. Reads only.

    Args:
        root: Where /proc and /sys are.
        locked: Whether the caller holds the lock: what this same process left behind is a leftover then.
    """
    running = find_kdamonds(root)
    word = root.read_word(NR_KDAMONDS)
    number = int(word) if word.isdecimal() else 0
    mark = read_mark(root) if number else None
    if mark and number == 1 and (not mark.alive(root) or (locked and mark == Owner.myself(root))):
        pid = root.read_word(f"{KDAMONDS}/0/pid")
        return Survey(tuple(each for each in running if str(each.pid) != pid), mark)
    if mark and number == 1:
        return Survey((_of_damond(mark), *(each for each in running if KDAMONDS not in each.owner)), None)
    if number and not any(KDAMONDS in each.owner for each in running):
        running.insert(0, _switched_off(number))
    return Survey(tuple(running), None)


def _of_damond(mark: Owner) -> Finding:
    return Finding(
        f"a context of damond in process {mark.pid}",
        _ONE,
        mark.pid,
    )


def _switched_off(number: int) -> Finding:
    return Finding(
        f"{number} kdamond{'s' if number > 1 else ''} in /{KDAMONDS}, switched off, not made by damond",
        f"if nobody needs {'them' if number > 1 else 'it'} any more: echo 0 > /{NR_KDAMONDS}",
    )


class Lock:
    """The right to make a kdamond: one holder per machine.

    Raises:
        KdamondRunningError: Another context of damond has it.
    """

    def __init__(self, root: Root) -> None:
        self._fd = root.open(NR_KDAMONDS)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            mark = read_mark(root)
            who = _of_damond(mark).owner if mark else "another context of damond, which starts or ends right now"
            raise KdamondRunningError(f"the kernel's DAMON has another user already: {who}", hint=_ONE) from error

    def release(self) -> None:
        """Let others have it."""
        os.close(self._fd)
