"""Which kernel the tests need, decided once: a skip says how to run them, and so does the summary."""

import os
from pathlib import Path

import pytest

from damond_accessbits.idle import BITMAP
from tests.kernel.guest import in_guest
from tests.kernel.kernels import HOW, KINDS, missing

_BY_GUEST = f"in a guest kernel: {HOW}"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this kernel can't do."""
    if in_guest():  # whose physical memory is in pieces later on, too many to be found in time by anybody
        items.sort(key=lambda item: "physical" not in item.name)
    has_page_idle = os.access(Path("/", BITMAP), os.R_OK | os.W_OK)
    has_thp = has_page_idle and Path("/sys/kernel/mm/transparent_hugepage/enabled").exists()
    for item in items:
        if item.get_closest_marker("kernel") and not has_page_idle:
            item.add_marker(pytest.mark.skip(reason=f"no page_idle here for this user; {_BY_GUEST}"))
        if item.get_closest_marker("thp") and not has_thp:
            item.add_marker(pytest.mark.skip(reason=f"no page_idle with huge pages here; {_BY_GUEST}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it at the end where no guest kernel was at hand: a few skips among a thousand dots say nothing."""
    absent = [] if in_guest() else [why for kind in KINDS.values() if (why := missing(kind))]
    if absent:
        terminalreporter.section("not tested on a real kernel", sep="=", yellow=True)
        for why in absent:
            terminalreporter.line(why)
