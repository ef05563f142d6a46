"""The log of the service: one line per change of life, for a terminal or for systemd's journal."""

import logging
import os
import sys
from typing import Final

_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""Levels as sd-daemon(3) writes them in front of a line."""


class _Formatter(logging.Formatter):
    """``LEVEL context: what happened``, in the journal with the priority of every line."""

    def __init__(self, *, to_journal: bool) -> None:
        super().__init__("%(levelname)s %(message)s" if to_journal else "%(asctime)s %(levelname)s %(message)s")
        self._to_journal = to_journal

    def format(self, record: logging.LogRecord) -> str:
        """Put a record into words."""
        text = super().format(record)
        if not self._to_journal:
            return text
        prefix = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in text.splitlines())


def writes_to_journal() -> bool:
    """Say whether standard error is the connection to the journal that systemd made (systemd.exec(5))."""
    given = os.environ.get("JOURNAL_STREAM", "")
    if not given:
        return False
    found = os.fstat(2)
    return given == f"{found.st_dev}:{found.st_ino}"


def configure(level: int | str) -> None:
    """Log to standard error: damond's own messages from a level on, those of others from warnings on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(to_journal=writes_to_journal()))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("damond").setLevel(level)
