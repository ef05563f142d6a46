"""Which processes a context watches: found by what they are, again and again while it runs."""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return text


class Selector(BaseModel):
    """Conditions on a process; all of them must hold.

    Attributes:
        pid: Number of the process.
        name: Glob over the command name (``comm``, 15 characters).
        exe: Glob over the path of the executable; where nobody may read it, over the first word of the command line.
        cmdline: Regular expression, searched in the command line with its words joined by spaces.
        user: Name of the user.
        cgroup: Path of a cgroup (v2); processes of those below it match too.
        unit: Name of a systemd unit.
        pid_file: File that holds a pid.
        any: One of these must hold.
        all: All of these must hold.
        not_: This must not hold (``not`` in the configuration).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    pid: Annotated[int, Field(gt=0, le=2**22)] | None = None  # PID_MAX_LIMIT, include/linux/threads.h
    name: str | None = None
    exe: str | None = None
    cmdline: Annotated[str, AfterValidator(_regex)] | None = None
    user: str | None = None
    cgroup: str | None = None
    unit: str | None = None
    pid_file: str | None = None
    any: list["Selector"] | None = None
    all: list["Selector"] | None = None
    not_: "Selector | None" = Field(default=None, alias="not")

    @model_validator(mode="after")
    def _says_something(self) -> "Selector":
        if not self.model_fields_set:
            raise ValueError("a selector without any condition would select everything")
        return self

    @property
    def mentions(self) -> set[str]:
        """Names of the conditions, however deep they are."""
        inner = [*(self.any or ()), *(self.all or ()), *((self.not_,) if self.not_ else ())]
        return self.model_fields_set.union(*(each.mentions for each in inner))

    def matches(self, process: Mapping[str, Any]) -> bool:
        """Say whether a process, as :func:`damond.service.processes.scan` found it, fulfils the conditions."""
        checks: dict[str, Callable[[Any], bool]] = {
            "pid": lambda pid: process["pid"] == pid,
            "name": lambda glob: fnmatch.fnmatchcase(process["name"], glob),
            "exe": lambda glob: fnmatch.fnmatchcase(_executable(process), glob),
            "cmdline": lambda regex: re.search(regex, " ".join(process["cmdline"])) is not None,
            "user": lambda user: process["user"] == user,
            "cgroup": lambda path: _is_below(_cgroup(process["pid"]), path),
            "unit": lambda unit: unit in _cgroup(process["pid"]).split("/"),
            "pid_file": lambda path: _pid_in(path) == process["pid"],
            "any": lambda some: any(each.matches(process) for each in some),
            "all": lambda some: all(each.matches(process) for each in some),
            "not_": lambda other: not other.matches(process),
        }
        given = ((name, getattr(self, name)) for name in checks)
        return all(checks[name](value) for name, value in given if value is not None)


def _executable(process: Mapping[str, Any]) -> str:
    return process["exe"] or next(iter(process["cmdline"]), "")


def _cgroup(pid: int) -> str:
    """Read the cgroup (v2) of a process; "" if it has ended meanwhile."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return next((line[3:] for line in text.splitlines() if line.startswith("0::")), "")


def _is_below(path: str, ancestor: str) -> bool:
    ancestor = "/" + ancestor.strip("/")
    return path == ancestor or path.startswith(ancestor.rstrip("/") + "/")


def _pid_in(path: str) -> int | None:
    """Read a pid file; None where there is none yet, or something else is in it."""
    try:
        return int(Path(path).read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None


def find(
    processes: Iterable[Mapping[str, Any]],
    selector: Selector | None,
    *,
    roots: Collection[int] = (),
    children: bool = False,
    ours: Collection[int] = (),
) -> list[int]:
    """List the pids that a context is to watch now, in ascending order.

    Args:
        processes: As :func:`damond.service.processes.scan` found them.
        selector: Conditions; None selects nothing beyond the roots.
        roots: Pids that belong to the context in any case, while they live.
        children: Take descendants too.
        ours: Pids never to be taken: damond's own.
    """
    rows = {each["pid"]: each for each in processes}
    taken = {pid for pid in roots if pid in rows}
    if selector is not None:
        taken |= {pid for pid, each in rows.items() if pid not in ours and selector.matches(each)}
    if children:
        taken |= _descendants(rows, taken)
    return sorted(taken - set(ours))


def _descendants(rows: Mapping[int, Mapping[str, Any]], roots: Collection[int]) -> set[int]:
    of: dict[int, list[int]] = {}
    for pid, each in rows.items():
        of.setdefault(each["ppid"], []).append(pid)
    found: set[int] = set()
    pending = list(roots)
    while pending:
        for pid in of.get(pending.pop(), ()):
            if pid not in found:
                found.add(pid)
                pending.append(pid)
    return found
