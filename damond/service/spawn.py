"""The process of the launcher: how it is started, and waited for."""

import asyncio
import json
import logging
import os
import subprocess
from typing import Any, Final

from damond.errors import WorkerFailedError
from damond.service import interpreter
from damond.service.link import Link

_log = logging.getLogger(__name__)

_END_LIMIT_S: Final = 10.0
"""How long the launcher may take to end, before it is sent SIGKILL: twice what it gives the workers (launcher.py)."""


def spawn(link: Link, settings: dict[str, Any]) -> "subprocess.Popen[bytes]":
    """Start the launcher: a fresh interpreter, so that workers share nothing with this process but their links."""
    os.set_inheritable(link.fileno(), True)  # noqa: FBT003 - the standard library's signature
    return subprocess.Popen(
        interpreter.command("damond.service.launcher", str(link.fileno()), json.dumps(settings)),
        stdin=subprocess.DEVNULL,
        pass_fds=[link.fileno()],
        env=interpreter.environment(),  # threads of a BLAS would cost every worker megabytes, and make forking unsafe
        start_new_session=True,
    )


async def wait_ended(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the end of the launcher without a thread: an interpreter that shuts down takes no new ones.

    Raises:
        WorkerFailedError: It does not end, and is root's while this process is not any more.
    """
    ended = asyncio.Event()
    fd = os.pidfd_open(process.pid)
    asyncio.get_running_loop().add_reader(fd, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), _END_LIMIT_S)
    except TimeoutError:
        _log.error("the launcher does not end; sending SIGKILL")
        _kill(process)
        await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
    process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        process.kill()
    except PermissionError as error:
        process.returncode = -1  # nobody waits for it here any more
        raise WorkerFailedError(
            f"the launcher of the workers (pid {process.pid}) is stopped, and only root can end it",
            hint=f"kill -CONT {process.pid}: then it ends its workers and itself",
        ) from error
