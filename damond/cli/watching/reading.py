"""Keeps what the view shows up to date: from the stream all the time, by asking now and then."""

import time
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from damond.cli.watching.asking import ASK_EVERY_S, Asking, ask_after_s
from damond.cli.watching.contexts import STALE_S, Contexts
from damond.cli.watching.shown import Shown
from damond.cli.watching.view import View
from damond.client import subscribe
from damond.errors import DamondError

_MAX_REMEMBERED: Final = 8
"""Contexts of which the past is kept after another one is shown: up to 24 MiB each, usually a tenth of that."""


class Reading:
    """One service.

    Args:
        directory: Its runtime directory.

    Attributes:
        contexts: All that is known of its contexts.

    Raises:
        UnreachableError: Nobody serves there.
    """

    def __init__(self, directory: Path) -> None:
        self._asking = Asking(directory)
        self._mailbox = subscribe(runtime_dir=directory).mailbox()
        self._remembered: OrderedDict[str, Shown] = OrderedDict()
        self._last_message_s = time.monotonic()
        self.contexts = Contexts(self._mailbox.arrived_s)

    @property
    def unreadable(self) -> int:
        """Messages that could not be understood."""
        return self._mailbox.unreadable

    def choose(self, view: View, name: str) -> None:
        """Show a context. What it published before is to be fetched: :meth:`fetch_past`."""
        shown = self._remembered.pop(name, None) or Shown(name)
        self._remembered[name] = shown
        if len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)[1].close()
        shown.expect_past()
        self._mailbox.follow(name)
        view.choose(shown)

    async def fetch_past(self, shown: Shown) -> None:
        """Fetch what the service still keeps of a context; without an answer it begins with what comes."""
        try:
            shown.add_past(await self._asking.past(shown.name, shown.last))
        except DamondError:  # the service says no more, which is told by asking for its status
            shown.add_past([])

    def collect(self, shown: Shown | None) -> None:
        """Take what has come over the stream; of the context that is shown, work it in."""
        if self._mailbox.collect():
            self._last_message_s = time.monotonic()
        for event in self._mailbox.events():
            self.contexts.take_event(event)
        if shown is None:
            return
        snapshots = self._mailbox.snapshots(shown.name)
        for each in snapshots:
            self.contexts.row(shown.name).take(each)
        shown.add(snapshots)
        shown.digest()

    def read_others(self, shown: Shown | None) -> None:
        """Decode the newest snapshot of all contexts that are not shown."""
        for name, row in self.contexts.rows.items():
            if shown is None or name != shown.name:
                for each in self._mailbox.snapshots(name):
                    row.take(each)

    async def ask(self, shown: Shown | None) -> float:
        """Ask how all contexts are; return the time after which to ask again. Seconds."""
        try:
            status = await self._asking.status()
        except DamondError:
            self.contexts.gone = time.monotonic() - self._last_message_s > STALE_S
            return ASK_EVERY_S
        self.contexts.take_status(status)
        for name in [each.name for each in self.contexts.rows.values() if each.state == "removed"]:
            if shown is None or name != shown.name:
                del self.contexts.rows[name]
                self._mailbox.forget(name)
        return ask_after_s(len(status["contexts"]))

    def first(self, wanted: str | None) -> str | None:
        """Choose what to show first: what is wanted, else the first that runs, else the first."""
        rows = sorted(self.contexts.rows.values(), key=lambda row: (row.state != "running", row.name))
        return wanted or next((each.name for each in rows), None)

    def close(self) -> None:
        """Close the connection."""
        self._mailbox.close()
        for each in self._remembered.values():
            each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
