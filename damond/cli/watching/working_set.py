"""The working set over the time that the heat map shows, and where it lies most of the time."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from rich.text import Text

from damond.cli.ramp import CHARACTERS, NO_DATA
from damond.cli.watching.heat import margin
from damond.cli.watching.panel import DIM, TITLE, Panel
from damond.cli.watching.view import View
from damond.cli.words import seconds
from damond.report.profile import Floats
from damond.units import format_size

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"

_LONG_NS: Final = 10 * 10**9
"""Spans from here on are told in whole seconds."""

_PERCENTILES: Final = (50, 95)


class WorkingSet(Panel):
    """A number per window, as bars."""

    def __init__(self, view: View) -> None:
        super().__init__(view, "working-set")

    def lines(self, width: int, height: int) -> Iterator[Text]:
        """Make the lines; called by the panel."""
        view, moment = self.view, self.view.moment
        if moment is None or view.shown is None:
            return
        left = margin(view, width)
        last, columns = -(-moment.end_ns // view.column_ns), max(width - left, 1)
        edges_ns = np.arange(last - columns, last + 1, dtype=np.int64) * view.column_ns
        windows = view.shown.working_sets.between(int(edges_ns[0]), moment.end_ns)
        if not len(windows):
            return
        p50, p95 = np.percentile(windows.accessed, _PERCENTILES, method="inverted_cdf").tolist()
        most, known_ns = int(windows.accessed.max()), int(windows.end_ns[-1] - windows.start_ns[0])
        numbers = {"now": int(windows.accessed[-1]), "p50": p50, "p95": p95}
        words = ", ".join(f"{name} {format_size(value)}" for name, value in numbers.items())
        yield Text(f"WSS {words} in {seconds(round(known_ns, -9 if known_ns > _LONG_NS else -8))}", TITLE)
        yield from self._bars(windows.means(edges_ns) / max(most, 1), most, left, height - 1)

    def _bars(self, shares: Floats, most: int, left: int, nr_lines: int) -> Iterator[Text]:
        """Draw bars of so many lines, from 0 to the greatest."""
        signs = _BLOCKS if self.view.blocks else CHARACTERS
        full = len(signs) - 1
        levels = np.ceil(np.nan_to_num(shares) * nr_lines * full).astype(int)
        for line in reversed(range(nr_lines)):
            label = format_size(most) if line == nr_lines - 1 else "0 B" if line == 0 else ""
            cells = [
                (NO_DATA if line == 0 else " ") if np.isnan(share) else signs[min(max(level - line * full, 0), full)]
                for share, level in zip(shares.tolist(), levels.tolist(), strict=True)
            ]
            yield Text(f"{label:>{left - 1}} ", DIM).append("".join(cells), "not dim")
