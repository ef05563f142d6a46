"""Find the kernel's own DAMON at work. Reads only: a kdamond that runs belongs to somebody else.

DAMON sets the idle flag of the pages that it samples and clears their accessed bits: with both on the same pages
neither is right (8,178 of 8,192 touched pages still read idle beside a kdamond; Linux 6.12).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from damond.errors import KdamondRunningError
from damond_accessbits.root import Root

_MODULES: Final = ("damon_stat", "damon_reclaim", "damon_lru_sort")
_THREAD: Final = re.compile(r"kdamond\.\d+")
_KTHREADD: Final = 2
_PF_EXITING: Final = 0x4
"""Flag of threads that end, in field 9 of /proc/PID/stat (include/linux/sched.h, Linux 6.12)."""
_ASK: Final = "find out who uses it (damo, a service, another administrator) and let them stop it"
_ASK_ROOT: Final = f"{_ASK}; as root 'damond doctor' may know more"

_KDAMONDS: Final = "sys/kernel/mm/damon/admin/kdamonds"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kdamond that runs.

    Attributes:
        owner: Who runs it, as far as the kernel tells.
        remedy: Whom to ask, and how to switch it off if it is nobody's.
        pid: Its thread, or None where the kernel does not say.
    """

    owner: str
    remedy: str
    pid: int | None = None


def find_kdamonds(root: Root) -> list[Finding]:
    """List what runs of the kernel's DAMON: by sysfs, as a module, and threads that neither accounts for."""
    owned = [*_in_sysfs(root), *_modules(root)]
    claimed = {each.pid for each in owned}
    threads = [thread for thread in _threads(root) if thread[0] not in claimed]
    nameless = sum(each.pid is None for each in owned)
    return owned + [
        Finding(f"the kernel thread {name} (pid {pid})", _ASK_ROOT, pid) for pid, name in threads[nameless:]
    ]


def refuse_kdamonds(root: Root, *, instead: str = "") -> None:
    """Raise if the kernel's DAMON runs.

    Args:
        root: Where /proc and /sys are.
        instead: What else the user could do, for the hint.

    Raises:
        KdamondRunningError: It does; every owner is named, with whom to ask and how to switch it off.
    """
    found = find_kdamonds(root)
    if found:
        remedies = [*(each.remedy for each in found), "allow_kdamond = true monitors all the same, with wrong results"]
        raise KdamondRunningError(
            f"the kernel's own DAMON runs, and page_idle is of no use beside it: {', '.join(e.owner for e in found)}",
            hint="; or ".join([*dict.fromkeys(remedies), *([instead] if instead else [])]),
        )


def _in_sysfs(root: Root) -> Iterator[Finding]:
    for state in sorted(root.path(_KDAMONDS).glob("*/state")):
        number = state.parent.name
        if root.read_word(f"{_KDAMONDS}/{number}/state") == "on":
            operations = sorted(
                {
                    root.read_word(str(each.relative_to(root.base)))
                    for each in state.parent.glob("contexts/*/operations")
                }
            )
            what = "/".join(operations) or "unknown operations"
            yield Finding(
                f"kdamond {number} of /{_KDAMONDS} ({what})",
                f"{_ASK}; if nobody needs it any more: echo off > /{_KDAMONDS}/{number}/state",
                _pid(root.read_word(f"{_KDAMONDS}/{number}/pid")),
            )


def _modules(root: Root) -> Iterator[Finding]:
    for module in _MODULES:
        parameters = f"sys/module/{module}/parameters"
        if root.read_word(f"{parameters}/enabled") == "Y":
            yield Finding(
                f"the module {module}",
                "switched on by default, at boot or by an administrator: ask who needs it; "
                f"if nobody does: echo N > /{parameters}/enabled",
                _pid(root.read_word(f"{parameters}/kdamond_pid")),
            )


def _pid(word: str) -> int | None:
    return int(word) if word.isdecimal() and int(word) > 0 else None


def _threads(root: Root) -> Iterator[tuple[int, str]]:
    # Needs CONFIG_PROC_CHILDREN; where pid namespaces hide kthreadd there is neither this nor a kernel thread.
    children = root.read_word(f"proc/{_KTHREADD}/task/{_KTHREADD}/children").split()
    for pid in children or _children_by_stat(root):
        name = root.read_word(f"proc/{pid}/comm")
        if _THREAD.fullmatch(name) and not _exiting(root, pid):
            yield int(pid), name


def _exiting(root: Root, pid: str) -> bool:
    """Say whether a thread has done its work: whoever stops one may be back before it is off the list."""
    flags = root.read_word(f"proc/{pid}/stat").rpartition(")")[2].split()[6:7]
    return bool(flags) and bool(int(flags[0]) & _PF_EXITING)


def _children_by_stat(root: Root) -> Iterator[str]:
    for stat in root.path("proc").glob("[0-9]*/stat"):
        pid = stat.parent.name
        # pid (comm) state ppid ...; a comm may hold anything but is the last to close a parenthesis.
        fields = root.read_word(f"proc/{pid}/stat").rpartition(")")[2].split()
        if len(fields) > 1 and fields[1] == str(_KTHREADD):
            yield pid
