"""The log of the service."""

import logging
import os
import subprocess
import sys

import pytest

CODE = """
import logging
from damond.service import logs
logs.configure("INFO")
logging.getLogger("damond.x").info("web: running")
logging.getLogger("damond.x").debug("too much")
logging.getLogger("asyncio").info("not ours")
logging.getLogger("other").error("two\\nlines")
"""


def logged(journal_stream: str | None) -> str:
    env = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
    read, write = os.pipe()
    found = os.fstat(write)
    if journal_stream is not None:
        env["JOURNAL_STREAM"] = journal_stream.format(found)
    subprocess.run([sys.executable, "-c", CODE], stderr=write, env=env, check=True, timeout=60)
    os.close(write)
    with os.fdopen(read) as file:
        return file.read()


def test_journal_gets_priorities() -> None:
    """Where standard error is the journal's, each line has its priority, and no time: the journal has that."""
    assert logged("{0.st_dev}:{0.st_ino}") == "<6>INFO web: running\n<3>ERROR two\n<3>lines\n"


@pytest.mark.parametrize("given", [None, "", "1:2"], ids=["unset", "empty", "of another descriptor"])
def test_others_get_times(given: str | None) -> None:
    """Elsewhere, each record has its time and level, and no priority; an inherited variable fools nobody."""
    first, *rest = logged(given).splitlines()
    assert first.endswith(" INFO web: running")
    assert not first.startswith("<")
    assert logging.getLevelName(logging.ERROR) in rest[0]
