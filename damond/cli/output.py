"""Where commands print to."""

import json
import sys
from typing import Any

from rich.console import Console


def console(*, stderr: bool = False) -> Console:
    """Make the console of standard output (or error): plain text, nothing is highlighted by guessing."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def print_line(document: Any) -> None:
    """Print one JSON document as a line on standard output, at once."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def print_json(document: Any) -> None:
    """Print one JSON document on standard output."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
    sys.stdout.flush()
