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

    def matches(self, process: dict[str, Any], pids: dict[str, int | None] | None = None) -> bool:
        """Say whether a process fulfils the conditions.

        Args:
            process: As :func:`damond.service.processes.scan` found it; what is read beyond that is added.
            pids: Path of a pid file -> what is in it, as far as it was read already in the same look.
        """
        pids = {} if pids is None else pids
        checks: dict[str, Callable[[Any], bool]] = {
            "pid": lambda pid: process["pid"] == pid,
            "name": lambda glob: fnmatch.fnmatchcase(process["name"], glob),
            "exe": lambda glob: fnmatch.fnmatchcase(_executable(process), glob),
            "cmdline": lambda regex: re.search(regex, " ".join(process["cmdline"])) is not None,
            "user": lambda user: process["user"] == user,
            "cgroup": lambda path: _is_below(_cgroup(process), path),
            "unit": lambda unit: unit in _cgroup(process).split("/"),
            "pid_file": lambda path: _pid_in(path, pids) == process["pid"],
            "any": lambda some: any(each.matches(process, pids) for each in some),
            "all": lambda some: all(each.matches(process, pids) for each in some),
            "not_": lambda other: not other.matches(process, pids),
        }
        given = ((name, getattr(self, name)) for name in checks)
        return all(checks[name](value) for name, value in given if value is not None)


def _executable(process: Mapping[str, Any]) -> str:
    return process["exe"] or next(iter(process["cmdline"]), "")


def _cgroup(process: dict[str, Any]) -> str:
    """Read the cgroup (v2) of a process, once; "" if it has ended meanwhile."""
    if "cgroup" not in process:
        try:
            text = Path(f"/proc/{process['pid']}/cgroup").read_text(encoding="utf-8", errors="replace")
        except OSError:
            text = ""
        process["cgroup"] = next((line[3:] for line in text.splitlines() if line.startswith("0::")), "")
    return str(process["cgroup"])


def _is_below(path: str, ancestor: str) -> bool:
    ancestor = "/" + ancestor.strip("/")
    return path == ancestor or path.startswith(ancestor.rstrip("/") + "/")


def _pid_in(path: str, pids: dict[str, int | None]) -> int | None:
    """Read a pid file, once; None where there is none yet, or something else is in it."""
    if path not in pids:
        try:
            pids[path] = int(Path(path).read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            pids[path] = None
    return pids[path]


def find(
    processes: Iterable[dict[str, Any]],
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
    rows, pids = {each["pid"]: each for each in processes}, dict[str, int | None]()
    taken = {pid for pid in roots if pid in rows}
    if selector is not None:
        taken |= {pid for pid, each in rows.items() if pid not in ours and selector.matches(each, pids)}
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
