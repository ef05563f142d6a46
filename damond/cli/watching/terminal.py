"""What the terminal can do."""

import curses
import os
import sys
from functools import cache

_NO_BLOCKS = ("linux",)
"""Terminals whose usual fonts lack most of the block elements: the console of Linux."""


def has_screen() -> bool:
    """Say whether there is a screen to draw on and a keyboard: Textual reads from the one end and writes to another."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(each.isatty() for each in streams) and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


@cache
def has_colours() -> bool:
    """Say whether terminfo knows colours of it; of a terminal that it does not know, colours are hoped for."""
    try:
        curses.setupterm(fd=sys.stdout.fileno())
        return curses.tigetnum("colors") > 0
    except (curses.error, OSError):
        return True


def has_blocks() -> bool:
    """Say whether it shows block characters."""
    encoding = (sys.stderr.encoding or "").lower().replace("-", "")
    return encoding == "utf8" and has_colours() and os.environ.get("TERM") not in _NO_BLOCKS
