"""Runs one command inside a guest kernel: user-mode Linux, or an emulated machine.

usage: python -m tests.kernel.guest [--kind uml|x86] [--cpus N] [--mem SIZE] [--timeout S] [--append WORDS] [--first]
                                    -- COMMAND

The command sees the host's files under an overlay that is thrown away, in the caller's working directory, with PATH
and what begins with DAMOND_ of its environment, and it is root. Output and exit status come back; 125 says that the
guest itself failed, 124 that the time was up. To hand files back, write them below the directory that
DAMOND_GUEST_JOB names: it is the host's own.
"""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.kernel.kernels import HERE, KINDS, UML, Kind, find, missing

FAILED: Final = 125
TIMED_OUT: Final = 124
SKIPPED: Final = 69

_KEPT: Final = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "TERM")
_STEP_S: Final = 0.1
_FIRST: Final = -15
"""Nice value: 28 times the weight of an ordinary process."""

_GRACE_S: Final = 10
"""The guest ends itself when its time is up; the launcher ends it where it does not, this much later."""

_CPU: Final = "max,avx2=off"
"""Without AVX2: by it, NumPy 2.4's argsort puts a few of 16,000 rows in wrong places (QEMU 7.2, not on real CPUs)."""

_9P: Final = "rootflags=trans=virtio,version=9p2000.L,msize=512000,cache=loose"
_INIT: Final = HERE / "guest_init.sh"


@dataclass(frozen=True, slots=True)
class Guest:
    """A guest that is to run.

    Attributes:
        kind: Which kernel.
        cpus: CPUs it has. With one, user-mode Linux is bound to one of the host's: its threads hand over to each
            other at every system call, in 4 us on the same CPU and in up to 60 us between two.
        mem: Its memory, as the kernels take it.
        timeout_s: When it is ended.
        append: More words for its command line.
        first: Whether it runs before everything else on the host, if that is allowed: for what is judged by time.
    """

    kind: Kind = UML
    cpus: int = 1
    mem: str = "2G"
    timeout_s: float = 180
    append: str = ""
    first: bool = False

    def run(self, command: Sequence[str]) -> int:
        """Run a command in it; pass on what it prints, as it comes, and return its exit status."""
        with tempfile.TemporaryDirectory(prefix="damond-guest-") as directory:
            job = Path(directory)
            (job / "run").write_text(self._script(command, job))
            for name in ("out", "err", "console"):
                (job / name).touch()
            bound = {max(os.sched_getaffinity(0))} if self.kind is UML and self.cpus == 1 else os.sched_getaffinity(0)
            with (job / "console").open("ab") as console, only_on(bound):
                process = subprocess.Popen(
                    self._command(job),
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=console,
                    start_new_session=True,
                )
            if self.first:
                put_first(process.pid)
            in_time = self._follow(process, job)
            return _status(job, in_time=in_time)

    def _script(self, command: Sequence[str], job: Path) -> str:
        kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.startswith("DAMOND_")}
        kept["DAMOND_GUEST_JOB"] = str(job)
        exports = [f"export {name}={shlex.quote(value)}" for name, value in kept.items()]
        return "\n".join([*exports, f"cd {shlex.quote(str(Path.cwd()))}", f"exec {shlex.join(command)}", ""])

    def _command(self, job: Path) -> list[str]:
        words = f"damond_guest={self.kind.name} damond_seconds={self.timeout_s:.0f} {self.append}"
        tail = f"quiet panic=-1 {words} init=/bin/sh -- {_INIT}"
        if self.kind is UML:
            return [
                str(find(self.kind)), f"mem={self.mem}", f"ncpus={self.cpus}", f"damond_job={job}",
                "rootfstype=hostfs", "rootflags=/", "ro", "seccomp=auto", "con=null", "con0=null,fd:2", *tail.split(),
            ]  # fmt: skip
        # 9p crosses mounts: the host's own /sys lies below the guest's root, so that "readonly" is what protects it.
        return [
            self.kind.program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", _CPU, "-smp", str(self.cpus), "-m", self.mem,
            "-serial", "stdio", "-device", "virtio-rng-pci",
            "-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=host,mount_tag=host",
            "-fsdev", f"local,id=job,path={job},security_model=none,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=job,mount_tag=job",
            "-kernel", str(find(self.kind)),
            "-append", f"console=ttyS0 root=host rootfstype=9p ro damond_job={job} {_9P} {tail}",
        ]  # fmt: skip

    def _follow(self, process: "subprocess.Popen[bytes]", job: Path) -> bool:
        """Pass on output until the guest has ended; end it, and return False, when its time is up."""
        end = time.monotonic() + self.timeout_s + _GRACE_S
        done = False
        try:
            with (job / "out").open("rb") as out, (job / "err").open("rb") as err:
                while not done:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(_STEP_S)
                    done = process.returncode is not None or time.monotonic() > end
                    for source, sink in ((out, sys.stdout.buffer), (err, sys.stderr.buffer)):
                        shutil.copyfileobj(source, sink)
                        sink.flush()
        finally:
            # The group is the guest's own: user-mode Linux keeps a process for every address space in it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return time.monotonic() <= end


def _status(job: Path, *, in_time: bool) -> int:
    """Return the exit status of the command; where it has none, say what the guest said last."""
    if (job / "rc").exists():
        return int((job / "rc").read_text())
    if not in_time or (job / "timeout").exists():
        print("guest: its time was up", file=sys.stderr)
        return TIMED_OUT
    print(f"guest: it failed\n{(job / 'console').read_text(errors='replace')[-4000:]}", file=sys.stderr)
    return FAILED


@contextmanager
def only_on(cpus: set[int]) -> Iterator[None]:
    """Run on some CPUs only, and have what is started meanwhile stay there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def put_first(pid: int) -> None:
    """Let a process that leads a session, and what it will start, run before others; a user who may not, waits."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, _FIRST)
        # A session is scheduled as one, and a priority counts within it only (sched_autogroup, sched(7)).
        with suppress(FileNotFoundError):
            Path(f"/proc/{pid}/autogroup").write_text(f"{_FIRST}\n")


def in_guest() -> bool:
    """Say whether this is a guest kernel, which is thrown away afterwards; the words are on its command line."""
    words = Path("/proc/cmdline").read_text().split()
    return any(word.startswith(("damond_guest=", "job=")) or word == "root=root9p" for word in words)


def main() -> int:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, default=UML.name)
    parser.add_argument("--cpus", type=int, default=1)
    parser.add_argument("--mem", default="2G")
    parser.add_argument("--timeout", type=float, default=180)
    parser.add_argument("--append", default="", help="more words for the kernel's command line")
    parser.add_argument("--first", action="store_true", help="run it before everything else on the host")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    kind = KINDS[args.kind]
    if why := missing(kind):
        print(f"guest: {why}", file=sys.stderr)
        return SKIPPED
    return Guest(kind, args.cpus, args.mem, args.timeout, args.append, args.first).run(args.command)


if __name__ == "__main__":
    sys.exit(main())
