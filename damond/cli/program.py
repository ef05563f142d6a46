"""The command that ``damond monitor -- COMMAND`` starts."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import IO, Any, Final, Self

from damond.errors import DamondError, NoSuchProcessError, UsageError
from damond.service.child import tie_to_parent

_COMMAND_GRACE_S: Final = 5.0
_SEEN_ENDED_S: Final = 0.1
"""A worker sees the end of a process up to so long before it can be waited for."""


class Program:
    """A command, or none: started on entry, ended on exit.

    Args:
        line: The command and its arguments; empty is none.
        hidden: Keep its output for the end: there is a picture on the terminal.
        to_stderr: Send what it prints to standard error: standard output is for the results.

    Attributes:
        status: Its exit status as a shell reports it; 0 if it was ended by us.
    """

    def __init__(self, line: Sequence[str], *, hidden: bool, to_stderr: bool) -> None:
        self._line = line
        self._hidden = hidden
        self._to_stderr = to_stderr
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self.status = 0

    @property
    def pid(self) -> int | None:
        """Its pid; None if there is no command."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> Self:
        if self._line:
            self._output = tempfile.TemporaryFile() if self._hidden else None
            out: Any = self._output or (sys.stderr.fileno() if self._to_stderr else None)
            try:
                self._process = subprocess.Popen(
                    self._line,
                    stdin=subprocess.DEVNULL if self._hidden else None,
                    stdout=out,
                    stderr=self._output,
                    preexec_fn=tie_to_parent,  # noqa: PLW1509 - it takes no lock
                )
            except OSError as error:
                raise UsageError(
                    f"{self._line[0]}: can't be started: {error.strerror}", hint="name an executable"
                ) from error
        return self

    def ended_too_soon(self) -> DamondError | None:
        """Say that the command has ended before anybody could look at it; None if it has not, or there is none."""
        try:
            status = self._process.wait(_SEEN_ENDED_S) if self._process is not None else None
        except subprocess.TimeoutExpired:
            status = None
        if status is None:
            return None
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"its exit status is {status}"
        return NoSuchProcessError(
            f"the command {self._line[0]!r} ended before it could be monitored: {how}",
            hint="it must run for a second or so: the worker takes that long to start",
        )

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.status = self._end(self._process)
        if self._output is not None:
            self._output.seek(0)
            sys.stderr.buffer.write(self._output.read())
            sys.stderr.flush()
            self._output.close()

    @staticmethod
    def _end(process: "subprocess.Popen[bytes]") -> int:
        """Return the exit status of a command that ended by itself; end one that still runs."""
        try:
            return _shell_status(process.wait(_SEEN_ENDED_S))
        except subprocess.TimeoutExpired:
            process.terminate()
        try:
            process.wait(_COMMAND_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return 0


def _shell_status(status: int) -> int:
    return 128 - status if status < 0 else status
