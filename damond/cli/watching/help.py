"""What keys and numbers mean."""

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import Static

from damond.cli.watching.asking import ASK_EVERY_S
from damond.cli.watching.pace import MAX_CPU_SHARE

_CPU: Final = f"{100 * MAX_CPU_SHARE:.0f} %"

HELP: Final = f"""\
KEYS                      (up and down scroll here; any other key goes back)

 q Ctrl-C      quit; the contexts run on
 n p up down   next, previous context (PgUp, PgDn, Home, End in a long list)
 Tab           the other table: contexts, regions. Keys for tables go to the
               one whose title is highlighted.
 s r           sort by the next column; turn the order around
 1 2 3 4 5     overview; contexts with all columns; heat map; regions; idle
               times and working set
 space         pause the picture; the context runs on, and nothing is lost
 + -           more, less time per column of the heat map
 a             all addresses that are monitored, or the hottest
 z Z           zoom the heat map to the region at the cursor, then further in;
               out again
 t             next target of a context that has several
 e E           write the heat map (PNG, with matplotlib), the screen (SVG)
               into a file in the current directory

NUMBERS

 WSS           working set: bytes of regions with any access in the newest
               window, which is one aggregation. p50, p95: half, 95 % of the
               windows in the time shown had no more.
 rate          share of a window's samples that found the region accessed.
               In the heat map a cell is the average over its time and its
               addresses. / no snapshot covers the time; ~ not monitored, or
               not mapped; --- addresses that are left out.
 age           for how long that has been about the same: aggregations times
               the aggregation interval
 samples       behind rate and age; pages are looked at one a sample and region, so
               few samples in a large region may have overlooked small heat;
               ? as rate: nobody has looked yet
 budget        what the context may cost, and how much longer its intervals
               are for that
 idle time     age + 1 of regions without access; no more than the time for
               which the worker has watched
 CPU           of the context's worker; 100 % is one CPU
 missed        snapshots lost on the way
 skipped       snapshots passed over on purpose: of contexts that are not
               shown only the newest is read, once a second
 mapping       where /proc/PID/maps can be read. What is not mapped is left
               out of the panels at the right then; the list of contexts has
               the numbers as they were published.

STATES

 running       snapshots come in time
 late          they do not, says the service
 stale         none for three windows and 2 s
 paused        sampling rests
 waiting       for a process that it is to monitor
 restarting    the worker died; it is tried again after growing delays
 failed        given up, or could not begin
 no data       no snapshot since this view began

The states of contexts are asked for every {ASK_EVERY_S:g} s, or less often. This view
takes {_CPU} of a CPU at most: where pictures cost more, there are fewer.
"""


class Help(ModalScreen[None]):
    """Text that can be scrolled."""

    DEFAULT_CSS: ClassVar[str] = "Help { background: ansi_default; } Help VerticalScroll { scrollbar-size: 0 0; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll(-1)"),
        Binding("down,j", "scroll(1)"),
        Binding("pageup", "scroll(-10)"),
        Binding("pagedown", "scroll(10)"),
    ]

    def compose(self) -> ComposeResult:
        """Make the text; called by Textual."""
        with VerticalScroll(can_focus=False):
            yield Static(HELP, markup=False)

    def __init__(self) -> None:
        super().__init__()
        self._is_left = False

    def action_scroll(self, by: int) -> None:
        """Scroll by so many lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def on_key(self, event: Key) -> None:
        """Go back, but for the keys that scroll; called by Textual."""
        if event.key not in self.active_bindings:
            event.stop()
            if not self._is_left:  # a second key may come before the first has taken effect
                self._is_left = True
                self.dismiss()
