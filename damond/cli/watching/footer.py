"""The keys, as many as there is room for."""

from collections.abc import Iterator
from typing import Final

from rich.text import Text

from damond.cli.watching.panel import BOLD, Panel

KEYS: Final = (
    ("q", "quit"),
    ("?", "help"),
    ("space", "pause"),
    ("n p", "context"),
    ("+ -", "time"),
    ("z Z", "zoom"),
    ("1-5", "panels"),
    ("s", "sort"),
    ("Tab", "next table"),
    ("a", "all/hottest"),
    ("e", "export"),
    ("t", "target"),
    ("r", "reverse"),
)
"""Keys and what they do, the most wanted first."""


class Footer(Panel):
    """One line."""

    def lines(self, width: int, height: int) -> Iterator[Text]:  # noqa: ARG002 - one line
        """Make the line; called by the panel."""
        line = Text()
        for key, words in KEYS:
            if line.cell_len + len(key) + 1 + len(words) > width:
                break
            line.append(key, BOLD).append(f" {words}  ")
        line.rstrip()
        yield line
