import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import AddrRange
from damond.report import areas
from damond.report.areas import Fold
from damond.report.profile import Profile


def _profile(*rows: tuple[int, int, float]) -> Profile:
    start, end, heat = (list(column) for column in zip(*rows, strict=True))
    return Profile(np.array(start, np.uint64), np.array(end, np.uint64), np.array(heat), np.ones(len(rows)))


@dataclass(frozen=True)
class Case:
    id: str
    rows: list[tuple[int, int, float]]
    drawn: list[tuple[int, int]]


WHOLE = [
    Case("neighbours are one area", [(0, 100, 1.0), (100, 200, 0.0)], [(0, 200)]),
    Case("a wide gap is folded", [(0, 100, 0.0), (1000, 1100, 0.0)], [(0, 100), (1000, 1100)]),
    Case("a narrow gap is drawn", [(0, 100, 0.0), (104, 200, 0.0)], [(0, 200)]),
]

HOTTEST = [
    Case("nothing accessed: everything", [(0, 100, 0.0), (1000, 1100, 0.0)], [(0, 100), (1000, 1100)]),
    Case("hot with a margin", [(0, 1000, 0.0), (1000, 1800, 1.0), (1800, 9000, 0.0)], [(900, 1900)]),
    Case("no margin beyond what is monitored", [(1000, 1800, 1.0), (1800, 9000, 0.0)], [(1000, 1900)]),
    Case("hardly warm is not hot", [(0, 80, 0.05), (80, 160, 1.0), (160, 900, 0.05)], [(70, 170)]),
    Case("near places are one", [(0, 100, 1.0), (100, 200, 0.0), (200, 300, 1.0)], [(0, 300)]),
    Case("no wide gap within an area", [(0, 100, 1.0), (150, 250, 1.0)], [(0, 100), (150, 250)]),
    Case("far places are two", [(0, 80, 1.0), (80, 4000, 0.0), (4000, 4080, 1.0)], [(0, 90), (3990, 4080)]),
]


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.id)
def test_whole(case: Case) -> None:
    """Everything that was monitored is drawn, wide gaps are not."""
    assert areas.whole(_profile(*case.rows)) == [AddrRange(*each) for each in case.drawn]


@pytest.mark.parametrize("case", HOTTEST, ids=lambda case: case.id)
def test_hottest(case: Case) -> None:
    """What was hot at its best time is drawn, with a margin."""
    assert areas.hottest(_profile(*case.rows)) == [AddrRange(*each) for each in case.drawn]


def test_hottest_draws_the_most_accessed_of_many_places() -> None:
    """With more hot places than can be drawn, the largest are."""
    hot = [(index * 10_000, index * 10_000 + 80 * (index + 1), 1.0) for index in range(areas.MAX_HOT_AREAS + 2)]
    drawn = areas.hottest(_profile(*hot))
    assert [area.start for area in drawn] == [row[0] for row in hot[2:]]


def test_a_memory_in_shreds_is_still_a_picture() -> None:
    """Of a thousand gaps the widest are folded, and everything is drawn."""
    rows, at = [], 0
    for index in range(1000):
        rows.append((at, at + 10, 0.0))
        at += 1000 + index
    drawn = areas.whole(_profile(*rows))
    assert len(drawn) == areas.MAX_AREAS
    assert (drawn[0].start, drawn[-1].end) == (0, rows[-1][1])


def test_folds_say_what_is_left_out() -> None:
    """Before, between and behind: how much address space, and how much of it was monitored."""
    peak = _profile((0, 100, 0.0), (100, 200, 1.0), (200, 300, 0.0), (900, 1000, 1.0))
    assert areas.folds(peak, [AddrRange(100, 200), AddrRange(900, 1000)]) == (
        Fold(100, 100),
        Fold(700, 100),
        Fold(0, 0),
    )


@given(total=st.integers(0, 200), sizes=st.lists(st.integers(1, 2**46), min_size=1, max_size=20))
def test_distribute_gives_each_a_row_and_all_rows_away(total: int, sizes: list[int]) -> None:
    """Each gets a row at least; else all rows are given away, and a larger one never gets fewer."""
    rows = areas.distribute(total, sizes)
    assert sum(rows) == max(total, len(sizes))
    assert min(rows) >= 1
    by_size = sorted(zip(sizes, rows, strict=True))
    assert all(small[1] <= large[1] for small, large in itertools.pairwise(by_size) if small[0] < large[0])
