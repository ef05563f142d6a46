"""A fresh interpreter for a part of the service in a process of its own."""

import logging
import os
import sys


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
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),  # noqa: PTH109 - a text is needed
        "DAMOND_LOG_LEVEL": logging.getLevelName(logging.getLogger("damond").getEffectiveLevel()),
    }
