"""Every error that damond raises on purpose.

Each says what happened (the message), what to do next (``hint``), what a program
may rely on (``code``: a stable word that crosses the control socket; messages may
change, codes may not), the errno that the kernel would return where it has one,
and the exit status of the process (sysexits.h).
"""

import difflib
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final


class DamondError(Exception):
    """Root of all errors raised on purpose.

    Attributes:
        code: A stable word for programs.
        errno: What the kernel's DAMON would return, or None.
        exit_code: The exit status of a command that ends with this error (sysexits.h).
        message: What happened.
        hint: What to do next.
    """

    code: str = "error"
    errno: int | None = None
    exit_code: int = os.EX_SOFTWARE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


_NAME_LEN: Final = 80
"""Characters of a name that are worth a comparison, and a place in a message: names come from outside."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Name the known word that is nearest to ``name``, for a hint: "did you mean ...?"."""
    words = sorted(known)
    match = difflib.get_close_matches(name, words, n=1) if len(name) <= _NAME_LEN else []
    if match:
        return f"did you mean {match[0]!r}?"
    return f"known: {', '.join(words)}" if words else "none is known"


class UsageError(DamondError):
    """A command or a call was given arguments that make no sense together."""

    code = "usage"
    errno = errno.EINVAL
    exit_code = os.EX_USAGE


class InvalidUnitError(DamondError, ValueError):
    """What was given is no interval or no size."""

    code = "invalid_unit"
    errno = errno.EINVAL
    exit_code = os.EX_USAGE

    def __init__(self, text: object, reason: str, *, hint: str) -> None:
        super().__init__(f"{text!r} {reason}", hint=hint)


class InvalidAttrsError(DamondError, ValueError):
    """One of the monitoring attributes is impossible by itself or beside another.

    Attributes:
        field: The name of the attribute.
    """

    code = "invalid_attrs"
    errno = errno.EINVAL
    exit_code = os.EX_USAGE
    field = ""

    def __init__(self, field: str, value: object, reason: str, *, hint: str = "") -> None:
        super().__init__(f"{field} = {value}: {reason}", hint=hint or f"change {field}, or what it contradicts")
        self.field = field


class InvalidRegionError(DamondError, ValueError):
    """An address range is empty, negative, unsorted or overlaps its neighbour."""

    code = "invalid_region"
    errno = errno.EINVAL
    exit_code = os.EX_DATAERR


class InvalidNameError(DamondError, ValueError):
    """A context name that can't be part of a stream topic."""

    code = "invalid_name"
    errno = errno.EINVAL
    exit_code = os.EX_USAGE


class ContextExistsError(DamondError):
    """A context of that name is there already."""

    code = "context_exists"
    errno = errno.EBUSY
    exit_code = os.EX_USAGE


class UnknownNameError(DamondError, LookupError):
    """A name that is not known: the hint carries the nearest known one.

    The code is ``unknown_`` and what the name stands for, e.g. ``unknown_primitive``.
    """

    errno = errno.EINVAL
    exit_code = os.EX_USAGE

    def __init__(self, what: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        suggestion = nearest(name, known)
        shown = name if len(name) <= _NAME_LEN else f"{name[:_NAME_LEN]}..."
        super().__init__(f"unknown {what} {shown!r}", hint=f"{suggestion}; {hint}" if hint else suggestion)
        self.code = f"unknown_{what.replace(' ', '_')}"


class InvalidOptionError(DamondError, ValueError):
    """An option of a primitive has a value that the primitive can't take."""

    code = "invalid_option"
    errno = errno.EINVAL
    exit_code = os.EX_USAGE


class NoSuchProcessError(DamondError, LookupError):
    """There is no process with that pid (any more)."""

    code = "no_such_process"
    errno = errno.ESRCH
    exit_code = os.EX_NOINPUT


class ProcessAccessError(DamondError):
    """The process belongs to somebody else, and this one has no privilege to look at it."""

    code = "process_access"
    errno = errno.EPERM
    exit_code = os.EX_NOPERM


class SourceUnavailableError(DamondError):
    """What a primitive reads "accessed" from does not work on this machine.

    Attributes:
        source: The name of the access-bit source or of the primitive.
    """

    code = "source_unavailable"
    errno = errno.EOPNOTSUPP
    exit_code = os.EX_UNAVAILABLE
    source = ""

    def __init__(self, source: str, message: str, *, hint: str) -> None:
        super().__init__(f"{source}: {message}", hint=hint)
        self.source = source


class KdamondRunningError(DamondError):
    """The kernel's own DAMON runs: both would ruin each other's results on the same pages."""

    code = "kdamond_running"
    errno = errno.EBUSY
    exit_code = os.EX_UNAVAILABLE


class PluginError(DamondError):
    """A plugin is broken, was written for another version, or takes a name that is taken."""

    code = "plugin"
    exit_code = os.EX_CONFIG


class ConfigError(DamondError):
    """A configuration that can't be used; every problem is listed.

    Attributes:
        problems: One line each.
    """

    code = "config"
    errno = errno.EINVAL
    exit_code = os.EX_CONFIG
    problems: tuple[str, ...] = ()

    def __init__(self, message: str, problems: Sequence[str] = (), *, hint: str = "") -> None:
        rows = [f"  - {problem}".replace("\n", "\n    ") for problem in problems]
        super().__init__("\n".join([message, *rows]), hint=hint)
        self.problems = tuple(problems)


class RuntimeDirError(DamondError):
    """The runtime directory can't be written or is not private."""

    code = "runtime_dir"
    exit_code = os.EX_CANTCREAT


class AlreadyServedError(DamondError):
    """Another supervisor serves on this runtime directory."""

    code = "already_served"
    errno = errno.EBUSY
    exit_code = os.EX_TEMPFAIL


class UnreachableError(DamondError):
    """No supervisor answers."""

    code = "unreachable"
    exit_code = os.EX_UNAVAILABLE


class NotPermittedError(DamondError):
    """Whoever asks may read but not steer, or was not let in at all."""

    code = "not_permitted"
    errno = errno.EPERM
    exit_code = os.EX_NOPERM


class BusyError(DamondError):
    """Something runs that must not run at the same time."""

    code = "busy"
    errno = errno.EBUSY
    exit_code = os.EX_TEMPFAIL


class NotRunningError(DamondError):
    """A context is to be stopped that does not run."""

    code = "not_running"
    errno = errno.EPERM
    exit_code = os.EX_UNAVAILABLE


class WorkerFailedError(DamondError):
    """A worker ended before it was ready, or hung."""

    code = "worker_failed"
    exit_code = os.EX_SOFTWARE


class ServiceFailedError(DamondError):
    """A part of the service that it can't go on without has failed."""

    code = "service_failed"
    exit_code = os.EX_SOFTWARE


class ProtocolError(DamondError, ValueError):
    """A message that can't be understood: malformed, oversized, of another version."""

    code = "protocol"
    errno = errno.EPROTO
    exit_code = os.EX_PROTOCOL


class RecordError(DamondError):
    """A record can't be read or written: missing, foreign, damaged, of a newer version."""

    code = "record"
    errno = errno.EINVAL
    exit_code = os.EX_DATAERR


class NothingRecordedError(DamondError, LookupError):
    """There is nothing to report on: no snapshot, or none in the span that was asked for."""

    code = "nothing_recorded"
    exit_code = os.EX_NOINPUT


class RecordFullError(RecordError):
    """Nothing can be written to a record at the moment: the disk is full or fails."""

    code = "record_full"
    errno = errno.ENOSPC
    exit_code = os.EX_IOERR


class RecordBusyError(RecordError):
    """Another process writes to the record."""

    code = "record_busy"
    errno = errno.EBUSY
    exit_code = os.EX_TEMPFAIL


class RemoteError(DamondError):
    """An error of a code that this version does not know, as the supervisor reported it."""

    def __init__(self, message: str, *, hint: str = "", code: str = "error") -> None:
        super().__init__(message, hint=hint)
        self.code = code


def _subclasses(cls: type[DamondError]) -> Iterator[type[DamondError]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def from_code(code: str, message: str, hint: str) -> DamondError:
    """Rebuild an error that crossed a process boundary: the same class where the code has one."""
    classes = {cls.code: cls for cls in _subclasses(DamondError) if "code" in vars(cls)}
    cls = UnknownNameError if code.startswith("unknown_") else classes.get(code)
    if cls is None:
        return RemoteError(message, hint=hint, code=code)
    error = cls.__new__(cls)
    DamondError.__init__(error, message, hint=hint)
    error.code = code
    return error
