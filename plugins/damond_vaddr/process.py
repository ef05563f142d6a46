"""A process that is monitored, and never another one that got its pid later."""

import errno
import os
import select
from typing import Final

from damond.core import AddrRange
from damond.errors import DamondError, NoSuchProcessError, ProcessAccessError
from damond_accessbits import Root
from damond_vaddr.ranges import parse_maps

GONE: Final = frozenset({errno.ESRCH, errno.EIO, errno.ENOENT})
"""What files below /proc/PID return once the process, or just its memory, is gone."""

_PF_KTHREAD: Final = 0x00200000
"""Flag of kernel threads in field 9 of /proc/PID/stat (include/linux/sched.h, Linux 6.12)."""

_READ_SZ: Final = 1 << 16


class Process:
    """One target: a pidfd that tells when it has ended, and its directory below /proc.

    Both stay tied to the process that had the pid when they were opened; a pid that is used again opens nothing.

    Attributes:
        pid: The pid.
        lost_memory: Its files show nothing any more: it has called execve(2), or is about to end.

    Raises:
        NoSuchProcessError: There is no such process, or nothing in it to monitor.
        ProcessAccessError: It belongs to somebody else.
    """

    def __init__(self, root: Root, pid: int) -> None:
        self.pid = pid
        self.lost_memory = False
        self._ended = False
        self._thread = ""
        self._maps = b""
        self._files: dict[str, int] = {}
        try:
            self._pidfd = os.pidfd_open(pid)
        except (OSError, OverflowError) as error:
            raise _no_process(pid, error) from error
        try:
            self._dir = root.open(f"proc/{pid}", os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            os.close(self._pidfd)
            raise _no_process(pid, error) from error
        self._poll = select.poll()
        self._poll.register(self._pidfd, select.POLLIN)
        try:
            self._check_memory()
        except DamondError:
            self.close()
            raise

    def _check_memory(self) -> None:
        """Raise unless there is an address space that we may look at."""
        try:
            mappings = self.mappings()
        except PermissionError as error:
            raise ProcessAccessError(
                f"process {self.pid} belongs to another user, or is protected from tracing",
                hint="run as root or as its user; CAP_SYS_PTRACE is what it takes",
            ) from error
        if self.ended():
            raise NoSuchProcessError(
                f"process {self.pid} has ended (it is a zombie until its parent waits for it)",
                hint="name a process that runs",
            )
        if not mappings:
            kind = "a kernel thread" if self._is_kernel_thread() else "without memory at the moment"
            raise NoSuchProcessError(
                f"process {self.pid} is {kind}: it has no address space to monitor",
                hint="name a process of user space; the primitive physical covers what the kernel uses",
            )

    def _is_kernel_thread(self) -> bool:
        fields = self.read("stat").rpartition(b")")[2].split()
        return len(fields) > 6 and bool(int(fields[6]) & _PF_KTHREAD)  # noqa: PLR2004 - field 9; two are before ")"

    def ended(self) -> bool:
        """Say whether all its threads have ended; a zombie has, though its pid is still taken.

        5.15 takes a zombie for valid until it is reaped (damon_va_target_valid); it can't access memory any more.
        """
        self._ended = self._ended or bool(self._poll.poll(0))
        return self._ended

    def mappings(self) -> list[AddrRange]:
        """Return what is mapped, in address order; nothing while the process has no memory.

        Raises:
            PermissionError: We may not look.
        """
        return parse_maps(self._read_maps())

    def changed_mappings(self) -> list[AddrRange] | None:
        """Return the same, or None if it is what it was at the last look: nothing is to be done then.

        Raises:
            PermissionError: We may not look.
        """
        before, now = self._maps, self._read_maps()
        return None if now == before else parse_maps(now)

    def forget_mappings(self) -> None:
        """Let the next look at the mappings be the first one."""
        self._maps = b""

    def _read_maps(self) -> bytes:
        data = self.read("maps")
        if not data and not self.ended():
            data = self._by_another_thread()
        self._maps = data
        return data

    def _by_another_thread(self) -> bytes:
        """Turn to a thread that still shows the memory: once the first one has ended, it shows none."""
        self.reopen()  # what is open still shows the thread that has ended
        for name in self._threads():
            self._thread = f"task/{name}/"
            if data := self.read("maps"):
                return data
        self._thread = ""
        return b""

    def _threads(self) -> list[str]:
        try:
            fd = os.open("task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._dir)
        except OSError as error:
            if error.errno in GONE:
                return []
            raise
        try:
            return os.listdir(fd)  # noqa: PTH208 - an open directory has no path
        except OSError as error:
            if error.errno in GONE:
                return []
            raise
        finally:
            os.close(fd)

    def read(self, name: str) -> bytes:
        """Return the content of one of its files; b"" once it has none."""
        try:
            fd = self._open(name, os.O_RDONLY)
        except OSError as error:
            if error.errno in GONE:
                return b""
            raise
        try:
            pieces = []
            while piece := os.read(fd, _READ_SZ):
                pieces.append(piece)
        except OSError as error:
            if error.errno not in GONE:
                raise
        finally:
            os.close(fd)
        return b"".join(pieces)

    def write(self, name: str, data: bytes) -> None:
        """Write to one of its files, which stays open."""
        os.pwrite(self.file(name, os.O_WRONLY), data, 0)

    def file(self, name: str, flags: int = os.O_RDONLY) -> int:
        """Open one of its files once and keep it open; return the descriptor."""
        fd = self._files.get(name)
        if fd is None:
            fd = self._files[name] = self._open(name, flags)
        return fd

    def reopen(self) -> None:
        """Close the files that are open: after execve(2) they still show the memory of before."""
        self.lost_memory = False
        while self._files:
            os.close(self._files.popitem()[1])

    def _open(self, name: str, flags: int) -> int:
        return os.open(self._thread + name, flags | os.O_CLOEXEC, dir_fd=self._dir)

    def close(self) -> None:
        """Close everything."""
        self.reopen()
        os.close(self._dir)
        os.close(self._pidfd)


def _no_process(pid: int, error: OSError | OverflowError) -> DamondError:
    """Say why a process can't be taken hold of.

    Raises:
        OSError: The reason has nothing to do with the process (too many open files).
    """
    if isinstance(error, OverflowError):
        error = ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    number = error.errno
    if number in (errno.EACCES, errno.EPERM):
        return ProcessAccessError(f"process {pid} is not for this user", hint="run as root or as its user")
    if number == errno.ENOSYS:
        return DamondError("this kernel has no pidfd_open(2)", hint="vaddr needs Linux 5.3 or later")
    if pid > 0 and (number == errno.EINVAL or (number == errno.ENOENT and not error.filename)):
        # pidfd_open(2) takes no thread but the first: EINVAL (seen on 6.12), later ENOENT (seen on 6.18).
        return NoSuchProcessError(f"{pid} is a thread, not a process", hint=f"see Tgid in /proc/{pid}/status")
    if number not in (errno.ESRCH, errno.ENOENT, errno.EINVAL):
        raise error
    return NoSuchProcessError(f"there is no process {pid}", hint="it may have ended; 'ps' lists those that run")
