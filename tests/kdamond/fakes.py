"""A tree of plain files that reacts to writes as the kernel's DAMON and tracefs do."""

import errno
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from damond_accessbits import Root
from damond_kdamond.files import Files
from damond_kdamond.owner import KDAMONDS, Owner
from damond_kdamond.trace import AGGREGATED, INSTANCES, TRACING, TUNED
from tests.kdamond.recording import RECORDED

THREAD = 4242
"""Pid of the kdamond's thread in this tree."""

PID_NS = "pid:[4026531836]"

_CONTEXT = {
    "avail_operations": "vaddr\nfvaddr\npaddr",
    "operations": "vaddr",
    "pause": "N",
    "monitoring_attrs/intervals/sample_us": "5000",
    "monitoring_attrs/intervals/aggr_us": "100000",
    "monitoring_attrs/intervals/update_us": "60000000",
    "monitoring_attrs/intervals/intervals_goal/access_bp": "0",
    "monitoring_attrs/intervals/intervals_goal/aggrs": "0",
    "monitoring_attrs/intervals/intervals_goal/min_sample_us": "0",
    "monitoring_attrs/intervals/intervals_goal/max_sample_us": "0",
    "monitoring_attrs/nr_regions/min": "10",
    "monitoring_attrs/nr_regions/max": "1000",
    "targets/nr_targets": "0",
    "schemes/nr_schemes": "0",
}
_SCHEME = {
    "action": "stat",
    "access_pattern/sz/min": "0",
    "access_pattern/sz/max": "0",
    "access_pattern/nr_accesses/max": "0",
    "access_pattern/age/max": "0",
    "watermarks/metric": "none",
    "watermarks/interval_us": "0",
    "watermarks/high": "0",
    "watermarks/mid": "0",
    "watermarks/low": "0",
    "tried_regions/total_bytes": "0",
}
_NUMBERED = {
    "nr_contexts": _CONTEXT,
    "nr_targets": {"pid_target": "0", "regions/nr_regions": "0"},
    "nr_schemes": _SCHEME,
    "nr_regions": {"start": "0", "end": "0"},
    "nr_kdamonds": {"state": "off", "pid": "-1", "contexts/nr_contexts": "0"},
}


class FakeKernel(Files):
    """The files, and what the kernel does when one is written.

    Attributes:
        commands: Every word that was written to ``state``.
        refuse: A word for ``state`` -> errno to answer with.
        missing: Names that this kernel does not have (``intervals_goal``, ``tried_regions``, ...).
        tried: What ``tried_regions`` shows after an update: start, end, nr_accesses, age.
        tuned_us: What ``update_tuned_intervals`` says.
        on_commit: What the kernel does once it has taken a commit, before it answers.
    """

    def __init__(self, base: Path, *, tracefs: bool = True, missing: Sequence[str] = ()) -> None:
        super().__init__(Root(str(base)))
        self.base = base
        self.commands: list[str] = []
        self.refuse: dict[str, int] = {}
        self.missing = missing
        self.tried: list[tuple[int, int, int, int]] = []
        self.tuned_us: tuple[int, int] | None = None
        self.on_commit: Callable[[], object] = lambda: None
        self.text(f"{KDAMONDS}/nr_kdamonds", "0")
        self.text(f"proc/self/ns/{PID_NS}", "")
        (base / "proc/self/ns/pid").symlink_to(PID_NS)
        self.process(os.getpid())
        self.text("proc/2/stat", "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0")
        if tracefs:
            self._tracefs()

    def _tracefs(self) -> None:
        recorded = RECORDED / "linux-7.2"
        self.text(f"{TRACING}/events/header_page", (recorded / "header_page.txt").read_text())
        self.text(f"{AGGREGATED}/format", (recorded / "format.txt").read_text())
        self.text(f"{TUNED}/format", (recorded / "tuned_format.txt").read_text())
        (self.base / INSTANCES).mkdir()

    def text(self, relative: str, content: str) -> None:
        path = self.base / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def has(self, relative: str) -> str:
        return (self.base / relative).read_text().strip()

    def process(self, pid: int, *, state: str = "S", starttime: int = 777) -> None:
        """Make the files of a process with three ranges of memory."""
        maps = "".join(f"{n}0000000-{n}0100000 rw-p 00000000 00:00 0\n" for n in (1, 4, 7))
        self.text(f"proc/{pid}/maps", maps)
        self.text(f"proc/{pid}/stat", f"{pid} (a) b) {state} 1 1 1 0 -1 0 0 0 0 0 20 30 0 0 20 0 1 0 {starttime} 0 0")

    def myself(self) -> Owner:
        return Owner.myself(self.root)

    @property
    def nr_kdamonds(self) -> int:
        return int(self.has(f"{KDAMONDS}/nr_kdamonds"))

    @property
    def instances(self) -> list[str]:
        return sorted(each.name for each in (self.base / INSTANCES).iterdir())

    def somebody_elses(self, *, state: str = "off") -> None:
        """Let somebody else have made a kdamond."""
        Files.write(self, f"{KDAMONDS}/nr_kdamonds", 0)
        self._write(f"{KDAMONDS}/nr_kdamonds", "1\n")
        self._write(f"{KDAMONDS}/0/contexts/nr_contexts", "1\n")
        self._write(f"{KDAMONDS}/0/contexts/0/schemes/nr_schemes", "1\n")
        self._store("state", f"{KDAMONDS}/0", state)

    def _write(self, relative: str, text: str) -> None:
        directory, _, name = relative.rpartition("/")
        word = text.strip()
        if name == "state":
            self._command(directory, word)
            return
        if name == "nr_kdamonds" and any(self._states() & {"on"}):
            raise OSError(errno.EBUSY, "Device or resource busy", relative)
        super()._write(relative, text)
        if name in _NUMBERED:
            self._number(directory, int(word), _NUMBERED[name])

    def _states(self) -> set[str]:
        return {each.read_text().strip() for each in (self.base / KDAMONDS).glob("*/state")}

    def _number(self, directory: str, count: int, content: dict[str, str]) -> None:
        for each in (self.base / directory).iterdir():
            if each.name.isdigit():
                shutil.rmtree(each)
        for number in range(count):
            for name, value in content.items():
                if not set(name.split("/")) & set(self.missing):
                    self.text(f"{directory}/{number}/{name}", value)

    def _command(self, kdamond: str, word: str) -> None:
        self.commands.append(word)
        if word in self.refuse:
            raise OSError(self.refuse[word], os.strerror(self.refuse[word]))
        on = self.has(f"{kdamond}/state") == "on"
        if on == (word == "on"):
            raise OSError(errno.EBUSY if on else errno.EPERM, "not in this state")
        if word == "commit" and not self._targets_are_there(kdamond):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if word in ("on", "off"):
            self._store("state", kdamond, word)
            self._store("pid", kdamond, str(THREAD) if word == "on" else "-1")
        elif word == "commit":
            self.on_commit()
        elif word == "update_schemes_tried_regions":
            self._show_tried(f"{kdamond}/contexts/0/schemes/0/tried_regions")
        elif word == "update_tuned_intervals" and self.tuned_us is not None:
            for name, value in zip(("sample_us", "aggr_us"), self.tuned_us, strict=True):
                self.text(f"{kdamond}/contexts/0/monitoring_attrs/intervals/{name}", str(value))

    def _targets_are_there(self, kdamond: str) -> bool:
        """Say whether the pid of each target is somebody's: of one that was reaped it is not any more."""
        pids = [each.read_text().strip() for each in (self.base / kdamond).glob("contexts/0/targets/*/pid_target")]
        return all((self.base / f"proc/{pid}").exists() for pid in pids if pid != "0")

    def reap(self, pid: int) -> None:
        """Take a process that has ended out of /proc."""
        shutil.rmtree(self.base / f"proc/{pid}")

    def _store(self, name: str, kdamond: str, value: str) -> None:
        (self.base / kdamond / name).write_text(value + "\n")

    def _show_tried(self, directory: str) -> None:
        self._number(directory, 0, {})
        for number, values in enumerate(self.tried):
            for name, value in zip(("start", "end", "nr_accesses", "age"), values, strict=True):
                self.text(f"{directory}/{number}/{name}", f"{value}\n")

    def ends_by_itself(self) -> None:
        """Let the kdamond end, as it does when no target is left."""
        self._store("state", f"{KDAMONDS}/0", "off")
        self._store("pid", f"{KDAMONDS}/0", "-1")

    def mkdir(self, relative: str) -> None:
        super().mkdir(relative)
        for name in ("trace_clock", "buffer_size_kb", "per_cpu/cpu0/trace_pipe_raw", "per_cpu/cpu1/trace_pipe_raw"):
            self.text(f"{relative}/{name}", "")
        for event in (AGGREGATED, TUNED):
            self.text(f"{relative}/{event.removeprefix(TRACING + '/')}/enable", "0")

    def rmdir(self, relative: str) -> None:
        shutil.rmtree(self.base / relative)

    def trace(self, pages: Sequence[bytes], cpu: int = 0) -> None:
        """Append pages to what one CPU's buffer holds."""
        (instance,) = self.instances
        with (self.base / INSTANCES / instance / f"per_cpu/cpu{cpu}/trace_pipe_raw").open("ab") as raw:
            raw.write(b"".join(pages))
