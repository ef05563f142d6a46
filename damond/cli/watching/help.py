"""What keys and numbers mean."""

from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from damond.cli.watching.asking import ASK_EVERY_S
from damond.cli.watching.pace import MAX_CPU_SHARE

_CPU: Final = f"{100 * MAX_CPU_SHARE:.0f} %"

_HELP: Final = f"""\
KEYS                                        (up, down scroll; any other key goes back)

  q, Ctrl-C     quit; contexts run on
  up down n p   previous, next context (PgUp, PgDn, Home, End in a long list)
  Tab           the next table: contexts, regions; keys for tables go to the one whose title is reversed
  s r           sort by the next column; turn the order around
  1 2 3 4 5     overview; all facts of all contexts; heat map; regions; idle time and working set
  space         pause the picture (the context runs on, and nothing is lost); again: go on
  + -           longer, shorter time per column of the heat map
  a             all addresses that are monitored, or the hottest only
  z Z           zoom the heat map to the region at the cursor, then further in; out again
  t             the next target of a context that has several
  e E           write the heat map, the screen, to a file in the current directory (PNG; SVG without matplotlib)

NUMBERS

  WSS           working set: bytes of the regions with any access in the newest window (one aggregation).
                p50, p95: half, 95 % of the windows in the time shown had no more.
  rate          share of the samples of a window that found the region accessed
  age           time for which that has been about the same: aggregations times the aggregation interval
  idle time     age + 1 of regions without access: no more than the time for which the worker has watched
  CPU           of the context's worker, 100 % = one CPU
  missed        snapshots lost on the way: the picture has a gap
  skipped       snapshots passed over on purpose: of contexts that are not shown only the newest is read,
                once a second
  mapping       where /proc/PID/maps can be read; what is not mapped is left out then, in the panels at the
                right. The list of contexts has the numbers as they were published.

STATES

  running       snapshots come in time            late        they do not, says the service
  paused        sampling rests                    stale       none for three windows and 2 s
  restarting    the worker died; it is tried again with growing delays (back-off)
  failed        given up, or could not begin      no data     no snapshot since this view began

The states of all contexts are asked for every {ASK_EVERY_S:g} s, or less often. This view takes {_CPU} of a CPU at
most: where a picture costs more, there are fewer.
"""


class Help(Screen[None]):
    """Text that can be scrolled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark,escape,q,space,enter", "app.pop_screen"),
        Binding("up,k", "scroll(-1)"),
        Binding("down,j", "scroll(1)"),
        Binding("pageup", "scroll(-10)"),
        Binding("pagedown", "scroll(10)"),
    ]

    def compose(self) -> ComposeResult:
        """Make the text; called by Textual."""
        with VerticalScroll():
            yield Static(_HELP, markup=False)

    def action_scroll(self, by: int) -> None:
        """Scroll by so many lines."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)
