"""The smallest hot area that is said to be found: is it?"""

import pytest

from damond.bench import confidence
from damond.core import AddrRange

GIB = 1 << 30
NAME = "shipped, 1 % of one CPU"
SETTING = confidence.settings()[NAME]


@pytest.mark.parametrize("size", [GIB, 1024 * GIB], ids=["1 GiB", "1 TiB"])
def test_areas_of_that_size_are_found(size: int) -> None:
    """About 95 % are, wherever they come up: of 30 no fewer than 26, which chance allows in 98 of 100 rows."""
    row = confidence.judge(size, NAME, SETTING, seed=3, nr_trials=30)
    assert row["found"] >= 26 / 30
    assert row["median_s"] < 60
    assert [each.text(row) for each in confidence.COLUMNS if each.text(row) == "-"] == []


def test_much_smaller_ones_are_not() -> None:
    """A twentieth of that size is mostly missed: what is said is not said out of caution alone."""
    before = confidence.said(GIB, SETTING, 3)
    assert before is not None
    tiny = before.smallest_bytes // 20 // 4096 * 4096
    places = [GIB // 4 + each * 7 * (1 << 20) for each in range(20)]
    areas = [AddrRange(each, each + tiny) for each in places]
    found = [confidence.found_after_s(GIB, area, SETTING, trial) for trial, area in enumerate(areas)]
    assert sum(each is not None for each in found) <= 10


def test_it_grows_with_memory() -> None:
    """A thousand times the memory at the same cost: areas hundreds of times as large."""
    least, greatest = (confidence.said(size, SETTING, 3) for size in (GIB, 1024 * GIB))
    assert least is not None
    assert greatest is not None
    assert 300 < greatest.smallest_bytes / least.smallest_bytes < 3000


def test_what_can_not_be_placed_is_said() -> None:
    """In memory of a few pages there is no room for it, and the row says so."""
    row = confidence.judge(64 * 4096, NAME, SETTING, seed=3, nr_trials=1)
    assert row["smallest_found"] == "too large to place" or row["found"] == 1
    assert confidence.COLUMNS[0].text(row) == "256 KiB"
