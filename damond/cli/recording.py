"""One recording of ``damond record``: what came, how much of it, and where it is."""

import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from rich.live import Live
from rich.text import Text

from damond.cli import output
from damond.cli.live import can_draw
from damond.cli.picture import WARNING
from damond.cli.words import share_of
from damond.core import Snapshot
from damond.record import Recorder, RecorderState, Retention
from damond.stream import wire
from damond.units import USEC_PER_SEC, format_interval, format_size

_REDRAW_EVERY_S: Final = 0.5
_MAX_NAMES: Final = 3


class Recording:
    """Hands messages to a recorder, and shows how far it is; a context manager.

    Leaving says what was recorded. A record in which there is nothing is not left behind.

    Args:
        path: The record.
        retention: What is to be kept of it.
        as_json: Say it for programs, and only at the end.
    """

    def __init__(self, path: Path, retention: Retention, *, as_json: bool) -> None:
        self._is_new = not path.exists()
        self._recorder = Recorder(path, retention)
        self._as_json = as_json
        console = output.console()
        self._live: Live | None = None
        if can_draw(console) and not as_json:
            self._live = Live(console=console, auto_refresh=False, transient=True)
        self._names: dict[str, None] = {}
        self._nr_lost = 0
        self._remark = ""
        self._begin_s = time.monotonic()
        self._next_s = 0.0

    def last(self, name: str, host: str) -> tuple[int, int] | None:
        """Tell epoch and seq of the newest snapshot of a context in the record; None if it has none."""
        return self._recorder.last(name, host)

    def take(self, message: wire.Message | None) -> None:
        """Record a message; None is that none came for a moment.

        Raises:
            RecordError: The record is broken.
        """
        if message is not None:
            self._recorder.add([message])
        if isinstance(message, Snapshot):
            self._names[message.context] = None
            self._nr_lost += message.origin.missed if message.origin is not None else 0
        if self._live is not None and time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _REDRAW_EVERY_S
            self._live.update(self._progress(), refresh=True)

    def remark(self, words: str) -> None:
        """Say something beside the progress; no words take it back."""
        self._remark = words

    def _progress(self) -> Text:
        state = self._recorder.state
        text = Text(f"recording {self._names_words()}: {self._counts(state)}", no_wrap=True, overflow="ellipsis")
        for words in (self._remark, state.trouble):
            if words:
                text.append(f"\n{words}", WARNING)
        return text

    def _names_words(self) -> str:
        names = list(self._names)
        if len(names) > _MAX_NAMES:
            return f"{len(names)} contexts"
        return ", ".join(names) or "nothing yet"

    def _counts(self, state: RecorderState) -> str:
        now_s = time.monotonic()
        if not state.nr_snapshots:
            self._begin_s = now_s  # to start takes a moment, too
        span = format_interval(max(1, round(now_s - self._begin_s)) * USEC_PER_SEC)
        lost = f", {self._nr_lost + state.nr_dropped} lost" if self._nr_lost + state.nr_dropped else ""
        return f"{state.nr_snapshots} snapshots in {span}{lost}, {format_size(state.sz_bytes)} in {state.path}"

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        self._recorder.close()
        state = self._recorder.state
        if state.nr_snapshots == 0 and self._is_new:
            state.path.unlink(missing_ok=True)
        if exc_type is None or state.nr_snapshots:
            self._tell(state)

    def _tell(self, state: RecorderState) -> None:
        if self._as_json:
            output.print_json(self._document(state))
        elif state.nr_snapshots == 0:
            output.console().print("nothing was recorded: no snapshot came", soft_wrap=True)
        else:
            console = output.console()
            console.print(f"recorded {self._names_words()}: {self._counts(state)}", soft_wrap=True)
            console.print(f"look at it: damond report heatmap {state.path}", soft_wrap=True)

    def _document(self, state: RecorderState) -> dict[str, Any]:
        return {
            "record": str(state.path) if state.nr_snapshots else None,
            "contexts": list(self._names),
            "nr_snapshots": state.nr_snapshots,
            "nr_lost": self._nr_lost,
            "nr_dropped": state.nr_dropped,
            "sz_bytes": state.sz_bytes,
            "bytes_per_snapshot": share_of(state.sz_bytes, state.nr_snapshots),
        }
