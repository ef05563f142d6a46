"""One monitoring of ``damond monitor``, from its start to its picture."""

import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import psutil

from damond.cli import output
from damond.cli.heat_picture import RunPicture
from damond.cli.live import View, can_draw, open_view
from damond.cli.maps import MapsReader
from damond.cli.notes import Notes
from damond.core import Snapshot
from damond.errors import DamondError, from_code
from damond.plugin import Registry
from damond.report.accumulator import Accumulator
from damond.report.mappings import NOTHING_MAPPED, MapsByTarget, cut
from damond.service.embedded import EmbeddedSupervisor
from damond.service.spec import ContextSpec
from damond.stream import wire
from damond.stream.subscriber import Subscriber
from damond.units import USEC_PER_SEC, format_interval

_POLL_S: Final = 0.2
"""How soon a Ctrl-C is seen."""
_LAST_MESSAGES_S: Final = 2.0


class Monitoring:
    """A context in a supervisor of its own, shown while it runs.

    Args:
        spec: What to monitor.
        title: What that is, for people.
        as_json: Print the snapshots for programs, and no picture.
        span_us: Stop after this long; None is never. Microseconds.
        whole: Draw all addresses at the end.
    """

    def __init__(self, spec: ContextSpec, title: str, *, as_json: bool, span_us: int | None, whole: bool) -> None:
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
        self._interrupted = False

    def run(self, registry: Registry) -> None:
        """Monitor until the target ends, the time is over or the user interrupts; show what was seen.

        Raises:
            DamondError: Why the context could not start, or failed.
        """
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._interrupt)
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
            self._start(supervisor)
            messages = self._messages(supervisor, subscriber)
            if self._as_json:
                host = socket.gethostname()
                return self._follow(messages, lambda snapshot: output.print_line(wire.to_map(snapshot, host)))
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

    def _interrupt(self, *_: object) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True

    def _messages(self, supervisor: EmbeddedSupervisor, subscriber: Subscriber) -> Iterator[wire.Message]:
        """Yield messages until the context has ended; stop it when it is time to."""
        deadline_s = time.monotonic() + (self._span_us / USEC_PER_SEC if self._span_us else float("inf"))
        end_s: float | None = None
        while True:
            now_s = time.monotonic()
            if end_s is None and (self._interrupted or now_s >= deadline_s):
                if supervisor.nr_running:
                    supervisor.stop([self._spec.name])
                end_s = now_s + _LAST_MESSAGES_S
            if end_s is not None and now_s >= end_s:
                return
            message = subscriber.receive(min(_POLL_S, max(0.0, deadline_s - now_s)) if end_s is None else _POLL_S)
            if message is not None:
                yield message
            if isinstance(message, wire.Event) and message.event in ("stopped", "failed"):
                return

    def _show(self, messages: Iterator[wire.Message], reader: MapsReader, view: View) -> DamondError | None:
        processes = [psutil.Process(each.id) for each in self._spec.targets if psutil.pid_exists(each.id)]

        def show(snapshot: Snapshot) -> None:
            self._maps = reader.read(snapshot)
            self._seen.add(cut(snapshot, self._maps))
            self._rss_bytes = _rss(processes) or self._rss_bytes
            view.show(snapshot, self._maps)

        return self._follow(messages, show)

    def _follow(self, messages: Iterator[wire.Message], show: Callable[[Snapshot], None]) -> DamondError | None:
        """Show snapshots; return the error if the context failed."""
        for message in messages:
            if isinstance(message, Snapshot):
                show(message)
            elif isinstance(message, wire.Event) and message.event == "failed":
                return from_code(message.details["code"], message.reason, message.details["hint"])
            elif isinstance(message, wire.Event) and message.event == "attrs_changed" and message.reason != "paced":
                self._note_changed(message)
        return None

    def _note_changed(self, event: wire.Event) -> None:
        for name, (asked, real) in event.details["changed"].items():
            words = [format_interval(each) if name.endswith("interval") else str(each) for each in (asked, real)]
            self._notes.add(f"{name} is {words[1]} instead of {words[0]}: {event.reason}")


def _rss(processes: Sequence[psutil.Process]) -> int:
    """Sum up the resident memory of the processes that are left. Bytes."""
    total = 0
    for each in processes:
        try:
            total += each.memory_info().rss
        except psutil.Error:
            continue
    return total
