"""Which kernel the tests need, decided once: a skip says how to run them."""

import os
from pathlib import Path

import pytest

from damond_accessbits.idle import BITMAP

_BY_GUEST = "the tests of test_guest.py run them in a guest kernel (DAMOND_KERNEL names the directory with 'guest')"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this kernel can't do."""
    has_page_idle = os.access(Path("/", BITMAP), os.R_OK | os.W_OK)
    has_thp = has_page_idle and Path("/sys/kernel/mm/transparent_hugepage/enabled").exists()
    for item in items:
        if item.get_closest_marker("kernel") and not has_page_idle:
            item.add_marker(pytest.mark.skip(reason=f"no page_idle here for this user; {_BY_GUEST}"))
        if item.get_closest_marker("thp") and not has_thp:
            item.add_marker(pytest.mark.skip(reason=f"no page_idle with huge pages here; {_BY_GUEST}"))
