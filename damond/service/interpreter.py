"""A fresh interpreter for a part of the service in a process of its own."""

import logging
import os
import sys
from pathlib import Path


def command(module: str, *args: str) -> list[str]:
    """Give the command line that runs a module.

    ``-P``: modules come from where this process has them, not from whatever directory it happens to be run in, where
    anybody may have put a file of the right name; the launcher is root.
    """
    return [sys.executable, "-P", "-m", module, *args]


def environment() -> dict[str, str]:
    """Give its environment: paths and log level as they are here, and no threads of a BLAS that nobody calls."""
    return {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, (path or _here() for path in sys.path))),
        "DAMOND_LOG_LEVEL": logging.getLevelName(logging.getLogger("damond").getEffectiveLevel()),
    }


def _here() -> str:
    """Give the working directory, for an interactive session that imports from there; "" if it is gone."""
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return ""
