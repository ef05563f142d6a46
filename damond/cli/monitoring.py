"""One monitoring of ``damond monitor``, from its start to its picture."""

import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import click
import psutil

from damond.cli import output, own
from damond.cli.heat_picture import RunPicture
from damond.cli.interrupts import Interrupts
from damond.cli.live import View, can_draw, open_view
from damond.cli.maps import MapsReader
from damond.cli.notes import Notes
from damond.core import Snapshot
from damond.core.mappings import NOTHING_MAPPED, MapsByTarget, cut
from damond.errors import DamondError, from_code
from damond.plugin import Registry
from damond.report.accumulator import Accumulator
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec
from damond.stream import wire
from damond.stream.subscriber import Subscriber

_CONNECT_S: Final = 2.0
"""For the connection to our own supervisor."""


class Monitoring:
    """A context in a supervisor of its own, shown while it runs.

    Args:
        spec: What to monitor.
        title: What that is, for people.
        interrupts: Tells when the user wants it to end.
        as_json: Print the snapshots for programs, and no picture.
        span_us: Stop after this long; None is never. Microseconds.
        whole: Draw all addresses at the end.
    """

    def __init__(
        self,
        spec: ContextSpec,
        title: str,
        interrupts: Interrupts,
        *,
        as_json: bool,
        span_us: int | None,
        whole: bool,
    ) -> None:
        self._spec = spec
        self._title = title
        self._as_json = as_json
        self._span_us = span_us
        self._whole = whole
        self._console = output.console()
        self._live = not as_json and can_draw(self._console)
        self._notes = Notes(output.console(stderr=True), spec.name)
        self._seen = Accumulator()
        self._maps: MapsByTarget = NOTHING_MAPPED
        self._rss_bytes = 0
        self._interrupts = interrupts

    def run(self, registry: Registry) -> None:
        """Monitor until the target ends, the time is over or the user interrupts; show what was seen.

        Raises:
            DamondError: Why the context could not start, or failed.
        """
        with self._notes:
            failure = self._monitor(registry)
        if not self._as_json:
            picture = RunPicture(self._seen, self._whole, self._rss_bytes or None, self._maps)
            self._console.print(picture)
        if failure is not None:
            raise failure

    def _monitor(self, registry: Registry) -> DamondError | None:
        with (
            EmbeddedSupervisor(registry, on_stderr=self._notes.feed) as supervisor,
            Subscriber(supervisor.endpoints.stream, [self._spec.name], ("snapshot", "event")) as subscriber,
        ):
            subscriber.wait_connected(_CONNECT_S)  # nothing of what the worker says first is missed
            self._start(supervisor)
            messages = own.messages(supervisor, subscriber, self._spec.name, self._span_us, self._interrupts)
            if self._as_json:
                return self._follow(messages, _print_json)
            with MapsReader() as reader, open_view(self._console, title=self._title) as view:
                return self._show(messages, reader, view)

    def _start(self, supervisor: EmbeddedSupervisor) -> None:
        try:
            supervisor.start([self._spec])
        except DamondError:
            self._notes.forget()
            raise
        if not self._live:
            self._notes.print_held()

    def _show(self, messages: Iterator[wire.Message | None], reader: MapsReader, view: View) -> DamondError | None:
        processes = [psutil.Process(each.id) for each in self._spec.targets if psutil.pid_exists(each.id)]

        def show(snapshot: Snapshot) -> None:
            self._maps = reader.read(snapshot)
            self._seen.add(cut(snapshot, self._maps))
            self._rss_bytes = _rss(processes) or self._rss_bytes
            view.show(snapshot, self._maps)

        return self._follow(messages, show)

    def _follow(self, messages: Iterator[wire.Message | None], show: Callable[[Snapshot], None]) -> DamondError | None:
        """Show snapshots; return the error if the context failed."""
        for message in messages:
            if isinstance(message, Snapshot):
                show(message)
            elif isinstance(message, wire.Event) and message.event == "failed":
                return from_code(message.details["code"], message.reason, message.details["hint"])
            elif isinstance(message, wire.Event) and message.event == "attrs_changed" and message.reason != "paced":
                self._notes.add_changes(message)
        return None


def _print_json(snapshot: Snapshot) -> None:
    """Print a snapshot with the keys of the wire; what was lost, because nobody read fast enough, is said elsewhere."""
    origin = snapshot.origin
    if origin is not None and origin.missed:
        click.echo(f"damond: note: {origin.missed} snapshots were lost here: read faster", err=True)
    output.print_line(wire.to_map(snapshot, origin.host if origin is not None else socket.gethostname()))


def _rss(processes: Sequence[psutil.Process]) -> int:
    """Sum up the resident memory of the processes that are left. Bytes."""
    total = 0
    for each in processes:
        try:
            total += each.memory_info().rss
        except psutil.Error:
            continue
    return total
