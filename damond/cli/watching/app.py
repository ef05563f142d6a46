"""The application: panels, keys, and when what is drawn."""

import asyncio
import datetime as dt
import signal
from pathlib import Path
from typing import ClassVar, Final

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.timer import Timer

from damond.cli import ramp
from damond.cli.watching import export
from damond.cli.watching.context_list import ContextList
from damond.cli.watching.heat import margin
from damond.cli.watching.help import Help
from damond.cli.watching.pace import Pace
from damond.cli.watching.panels import Panels
from damond.cli.watching.reading import Reading
from damond.cli.watching.rolling import Rolling
from damond.cli.watching.view import Shape, View

COLLECT_EVERY_S: Final = 0.1
"""How often to empty the socket: 1000 messages have room in it."""

_SETTLED_S: Final = 0.15
"""Time at one context after which its past is fetched: not for each that the cursor passes."""

_NOTICE_S: Final = 10.0

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class WatchApp(App[None]):
    """``damond watch`` on a terminal.

    Args:
        reading: The service.
        name: The context to begin with; None is any.
        blocks: The terminal shows block characters.
    """

    CSS: ClassVar[str] = "Screen { background: ansi_default; color: ansi_default; }"
    TITLE = "damond watch"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit"),
        Binding("ctrl+c", "quit", priority=True),
        Binding("ctrl+z", "suspend_process"),
        Binding("question_mark,h", "help"),
        Binding("space", "freeze"),
        Binding("n", "step(1)"),
        Binding("p", "step(-1)"),
        Binding("plus,equals_sign", "scale_time(1)"),
        Binding("minus", "scale_time(-1)"),
        Binding("a", "everything"),
        Binding("z", "zoom_in"),
        Binding("Z", "zoom_out"),
        Binding("t", "next_target"),
        Binding("s", "sort"),
        Binding("r", "reverse"),
        Binding("e", "export"),
        Binding("E", "export_screen"),
        *(Binding(str(number), f"shape({number})") for number in range(1, len(Shape) + 1)),
    ]

    def __init__(self, reading: Reading, name: str | None = None, *, blocks: bool = True) -> None:
        super().__init__(ansi_color=True)
        self.animation_level = "none"
        self.reading = reading
        self.view = View(reading.contexts, blocks=blocks)
        self.view.colours = not self.no_color and ramp.has_colours(self.console)
        self._wanted = name
        self._pace = Pace()
        self._panels = Panels(self.view, self._pace)
        self._settled: Timer | None = None
        self._forgetting: Timer | None = None

    def compose(self) -> ComposeResult:
        """Put the panels in; called by Textual."""
        yield self._panels

    def on_mount(self) -> None:
        """Begin to read; called by Textual."""
        loop = asyncio.get_running_loop()
        for signum in _ENDING:
            loop.add_signal_handler(signum, self.exit)
        self._panels.share_out(self.size)
        self.set_interval(COLLECT_EVERY_S, self._collect)
        self.run_worker(self._ask_on(), exit_on_error=True)

    async def _ask_on(self) -> None:
        while True:
            again_s = await self.reading.ask(self.view.shown)
            if self.view.shown is None and (name := self.reading.first(self._wanted)) is not None:
                self._panels.contexts.choose(name)
                self._choose(name)
            await asyncio.sleep(again_s)

    def _collect(self) -> None:
        self.reading.collect(self.view.shown)
        if self._pace.is_due():
            if self._panels.tables_are_due():
                self.reading.read_others(self.view.shown)
            self._panels.draw()

    def _redraw(self) -> None:
        """Draw everything: a key has changed what is shown."""
        self._panels.draw(everything=True)

    def on_resize(self, event: Resize) -> None:
        """Share out the screen anew; called by Textual."""
        self._panels.share_out(event.size)

    def on_context_list_chosen(self, message: ContextList.Chosen) -> None:
        """Show another context."""
        self._choose(message.name)

    def _choose(self, name: str) -> None:
        self.reading.choose(self.view, name)
        self._panels.regions.cursor = 0
        if self._settled is not None:
            self._settled.stop()
        self._settled = self.set_timer(_SETTLED_S, self._fetch_past)
        self._redraw()

    def _fetch_past(self) -> None:
        if self.view.shown is not None:
            self.run_worker(self.reading.fetch_past(self.view.shown), group="past", exit_on_error=True)

    def action_help(self) -> None:
        """Explain keys and numbers."""
        self.push_screen(Help())

    def action_freeze(self) -> None:
        """Keep the picture, or go on."""
        self.view.freeze()
        self._redraw()

    def action_step(self, by: int) -> None:
        """Show the next context, or the one before."""
        self._panels.contexts.action_move(by)

    def action_shape(self, number: int) -> None:
        """Choose panels."""
        self.view.shape = list(Shape)[number - 1]
        self._panels.share_out(self.size)

    def action_scale_time(self, steps: int) -> None:
        """Make columns longer or shorter."""
        self.view.scale_time(steps)
        self._redraw()

    def action_everything(self) -> None:
        """Draw all addresses, or the hottest."""
        self.view.everything, self.view.zoom = not self.view.everything, None
        self._redraw()

    def action_zoom_in(self) -> None:
        """Zoom to the region at the cursor, or further in."""
        region = self._panels.regions.at_cursor()
        if region is not None:
            self.view.zoom_in(region)
            self._redraw()

    def action_zoom_out(self) -> None:
        """Zoom out."""
        self.view.zoom_out()
        self._redraw()

    def action_next_target(self) -> None:
        """Show another target of the context."""
        self.view.next_target()
        self._redraw()

    def action_sort(self) -> None:
        """Sort the table that has the focus by the next column."""
        if isinstance(self.focused, Rolling):
            self.focused.sort()

    def action_reverse(self) -> None:
        """Turn the order of the table around that has the focus."""
        if isinstance(self.focused, Rolling):
            self.focused.reverse()

    async def action_export(self) -> None:
        """Write the heat map into a file."""
        columns = self._panels.heat.size.width
        picture = export.picture_of(self.view, max(columns - margin(self.view, columns), 1))
        if picture is None:
            self._tell("there is nothing to export yet")
        elif export.has_matplotlib():
            self.run_worker(self._write_png(picture), exit_on_error=True)
        else:
            self._write(
                ".svg", self.export_screenshot().encode(), " (a PNG takes matplotlib: pip install damond[report])"
            )

    async def _write_png(self, picture: export.Picture) -> None:
        self._tell("drawing ...")
        self._write(".png", await asyncio.to_thread(export.png, picture))

    def action_export_screen(self) -> None:
        """Write the screen into a file."""
        self._write(".svg", self.export_screenshot().encode())

    def _write(self, suffix: str, content: bytes, remark: str = "") -> None:
        name = self.view.shown.name if self.view.shown is not None else "watch"
        path = Path(export.file_name(name, suffix, dt.datetime.now().astimezone()))
        try:
            self._tell(f"written: {export.write_new(path, content)}{remark}")
        except OSError as error:
            self._tell(f"can't write {path}: {error.strerror}; start damond watch in a directory of yours")

    def _tell(self, notice: str) -> None:
        """Say something in the first line, for a while."""
        heading = self._panels.heading
        heading.notice = notice
        heading.draw()
        if self._forgetting is not None:
            self._forgetting.stop()
        self._forgetting = self.set_timer(_NOTICE_S, self._forget)

    def _forget(self) -> None:
        self._panels.heading.notice = ""
