"""``damond record``: keep what the stream tells in a file."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import click

from damond.cli import options, output, own
from damond.cli.interrupts import Interrupts
from damond.cli.live import can_draw
from damond.cli.notes import Notes
from damond.cli.program import Program
from damond.cli.recording import Recording
from damond.client import Client, check_reachable, subscribe
from damond.core.context import check_name
from damond.errors import DamondError, NotPermittedError, UnknownNameError, UnreachableError, UsageError, from_code
from damond.plugin import Registry
from damond.record import Retention
from damond.service.embedded import EmbeddedSupervisor
from damond.stream import wire
from damond.stream.endpoints import serving_runtime_dir
from damond.stream.subscriber import Subscriber
from damond.units import USEC_PER_SEC

_GONE = "the service is gone; waiting for it to come back (Ctrl-C ends)"
_SILENT_S = 2.0
"""Silence after which it is worth a look whether the service is still there. Seconds."""


class _RecordCommand(own.Command):
    targets = "[NAME... | PID... | -- COMMAND [ARG]...]"


@click.command("record", cls=_RecordCommand)
@click.argument("what", nargs=-1, metavar="NAME | PID")
@click.option(
    "-o", "--output", "path", type=click.Path(path_type=Path, dir_okay=False),
    help="The record; one that is there is continued.  [default: NAME-YYYYMMDD-HHMMSS.damond]",
)  # fmt: skip
@own.asked
@click.option("--max-age", type=options.Interval(), help="Keep nothing that is older, e.g. 7d.")
@click.option("--max-size", type=options.Size(), help="Keep the newest that fits, at least 16MiB.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, and no progress.")
@options.runtime_dir
@click.pass_context
def command(
    ctx: click.Context,
    what: tuple[str, ...],
    path: Path | None,
    asked: own.Asked,
    max_age: int | None,
    max_size: int | None,
    runtime_dir: Path | None,
    *,
    as_json: bool,
) -> int:
    """Record contexts of the running service by NAME (none: all of them), a process by PID, or a COMMAND.

    A process or command is monitored as by 'damond monitor', until it ends. The service is recorded as long as you
    like: if it goes away, it is waited for. Ctrl-C ends the recording. The record can be looked at while it grows, and
    is whole whatever ends this command.
    """
    line: list[str] = ctx.meta.get("damond.command", [])
    retention = Retention.checked(max_age, max_size)
    pids = [int(each) for each in what if each.isdecimal()]
    names = [check_name(each) for each in what if not each.isdecimal()]
    if names and (pids or line):
        raise UsageError("contexts of the service, and processes", hint="record them one by one")
    registry = Registry()
    if pids or line or not asked.is_plain:
        if names:
            raise UsageError(
                "attributes of a running service are its own", hint="damond tune NAME changes them; leave them out here"
            )
        asked.check(registry, pids, line)
        name = own.name_of(line, f"pid-{pids[0]}" if pids else asked.primitive)
        with Recording(path or _default(name), retention, as_json=as_json) as recording:
            return _record_own(recording, registry, asked, name, pids, line)
    directory = runtime_dir or serving_runtime_dir()
    _check_names(directory, names)
    with Recording(
        path or _default(names[0] if len(names) == 1 else "damond"), retention, as_json=as_json
    ) as recording:
        _record_service(recording, directory, names, asked.span_us)
    return 0


def _default(name: str) -> Path:
    return Path(f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.damond")


def _check_names(directory: Path, names: Sequence[str]) -> None:
    with Client(directory) as client:
        known = [each["name"] for each in client.contexts()]
    for name in names:
        if name not in known:
            raise UnknownNameError("context", name, known)
    if not known:
        raise UsageError("the service has no contexts", hint="damond record PID, or damond record -- COMMAND ARG...")


def _record_own(
    recording: Recording, registry: Registry, asked: own.Asked, name: str, pids: Sequence[int], line: Sequence[str]
) -> int:
    """Monitor in a supervisor of our own; return the exit status of the command."""
    interrupts = Interrupts()
    notes = Notes(output.console(stderr=True), name)
    with Program(line, hidden=can_draw(output.console()), to_stderr=True) as program:
        spec = asked.spec(name, (program.pid,) if program.pid is not None else pids)
        with (
            notes,
            EmbeddedSupervisor(registry, on_stderr=notes.feed) as supervisor,
            Subscriber(supervisor.endpoints.stream, [name], wire.KINDS) as subscriber,
        ):
            try:
                supervisor.start([spec])
            except DamondError:
                notes.forget()
                raise
            failure = None
            for message in own.messages(supervisor, subscriber, name, asked.span_us, interrupts):
                recording.take(message)
                if isinstance(message, wire.Event) and message.event == "attrs_changed" and message.reason != "paced":
                    notes.add_changes(message)
                if isinstance(message, wire.Event) and message.event == "failed":
                    failure = from_code(message.details["code"], message.reason, message.details["hint"])
        if failure is not None:
            raise failure
    return program.status


def _record_service(recording: Recording, directory: Path, names: Sequence[str], span_us: int | None) -> None:
    """Follow a running service until it is time to end."""
    interrupts = Interrupts()
    deadline_s = time.monotonic() + (span_us / USEC_PER_SEC if span_us else float("inf"))
    subscription = subscribe(*names, kinds=wire.KINDS, runtime_dir=directory)
    heard_s = time.monotonic()
    with subscription.open() as subscriber:
        with Client(directory) as client:
            for missed in client.catch_up(recording.last, names):
                recording.take(missed)
        while not interrupts.seen and (now_s := time.monotonic()) < deadline_s:
            message = subscriber.receive(min(own.POLL_S, deadline_s - now_s))
            recording.take(message)
            if message is not None:
                heard_s = now_s
                recording.remark("")
            elif now_s - heard_s >= _SILENT_S:
                recording.remark("" if _is_reachable(directory) else _GONE)


def _is_reachable(directory: Path) -> bool:
    with contextlib.suppress(UnreachableError, NotPermittedError):
        check_reachable(directory / "stream")
        return True
    return False
