"""The recorder of the service: a subscriber in a process of its own, which keeps what the stream tells.

``python -m damond.service.recorder SETTINGS``. It tells on standard output how it is (a JSON object per line and
second, ``state``) and why it gives up (``failed``); the end of its standard input is its own.
"""

import json
import logging
import os
import select
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from damond.client import Client, subscribe
from damond.errors import DamondError
from damond.record import Recorder, Retention
from damond.service import logs
from damond.stream import wire
from damond.stream.subscriber import Subscriber

_log = logging.getLogger(__name__)

_TELL_EVERY_S: Final = 1.0
_POLL_S: Final = 0.2
_LAST_MESSAGES_S: Final = 1.0
"""How long it listens at the end, as long as something comes."""

_UMASK: Final = 0o027
"""Members of the service's group may read the record."""


def run(directory: Path, path: Path, contexts: list[str], retention: Retention) -> None:
    """Record until standard input ends.

    Args:
        directory: Runtime directory of the service.
        path: The record.
        contexts: Names; none means all.
        retention: What is to be kept.

    Raises:
        DamondError: The record can't be written, or the stream not be read.
    """
    with (
        Recorder(path, retention) as recorder,
        subscribe(*contexts, kinds=wire.KINDS, runtime_dir=directory).open() as subscriber,
    ):
        with Client(directory) as client:
            recorder.add(list(client.catch_up(recorder.last, contexts, from_start=True)))
        tell_s = 0.0
        while not select.select([0], (), (), 0.0)[0]:
            message = subscriber.receive(_POLL_S)
            if message is not None:
                recorder.add([message])
            if time.monotonic() >= tell_s:
                tell_s = time.monotonic() + _TELL_EVERY_S
                _tell("state", **_plain(recorder))
        recorder.add(_last(subscriber))


def _last(subscriber: Subscriber) -> list[wire.Message]:
    """Take in what was published before the end."""
    found = []
    deadline_s = time.monotonic() + _LAST_MESSAGES_S
    while (left_s := deadline_s - time.monotonic()) > 0 and (message := subscriber.receive(min(left_s, _POLL_S))):
        found.append(message)
    return found


def _plain(recorder: Recorder) -> dict[str, Any]:
    state = asdict(recorder.state)
    return {**state, "path": str(state["path"])}


def _tell(kind: str, **rest: Any) -> None:
    line = json.dumps({"kind": kind, **rest}) + "\n"
    try:
        os.write(1, line.encode("ascii"))
    except (BlockingIOError, BrokenPipeError):
        _log.debug("the supervisor does not listen")


def main() -> int:
    """Record as the command line says; return the exit status."""
    logs.configure(os.environ.get("DAMOND_LOG_LEVEL", "WARNING"))
    # A terminal's Ctrl-C and a service manager's SIGTERM are for the supervisor, which then closes our input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.umask(_UMASK)
    os.set_blocking(1, False)  # a supervisor that is stopped keeps nobody waiting
    settings = json.loads(sys.argv[1])
    retention = Retention(settings["max_age_us"], settings["max_sz_bytes"])
    try:
        run(Path(settings["runtime_dir"]), Path(settings["path"]), settings["contexts"], retention)
    except DamondError as error:
        _tell("failed", code=error.code, message=error.message, hint=error.hint)
        return error.exit_code
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
