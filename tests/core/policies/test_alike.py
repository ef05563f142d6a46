"""Telling counts apart that differ by more than chance."""

import numpy as np
import pytest

from damond.core import Region, Regions
from damond.core.policies.alike import Alike, borders

PAGE = 4096


def regions_of(*rows: tuple[int, int]) -> Regions:
    """Make regions side by side: pages, nr_accesses."""
    made, at = [], 0
    for pages, nr in rows:
        made.append(Region(at, at + pages * PAGE, nr, last_nr_accesses=nr))
        at += pages * PAGE
    return Regions(made)


def found(regions: Regions) -> list[tuple[int, int]]:
    return [(int(size) // PAGE, int(nr)) for size, nr in zip(regions.size, regions.nr_accesses, strict=True)]


@pytest.mark.parametrize(
    ("left", "right", "differ"),
    [
        pytest.param(10, 12, False, id="half of 20, two apart: chance is 2.2 each"),
        pytest.param(8, 14, False, id="six apart: within two deviations of the difference"),
        pytest.param(6, 14, True, id="eight apart"),
        pytest.param(20, 18, False, id="next to always: by the threshold"),
        pytest.param(20, 15, True, id="always and three in four"),
        pytest.param(0, 1, True, id="none and one"),
        pytest.param(1, 3, False, id="little and little"),
        pytest.param(0, 0, False, id="none and none"),
    ],
)
def test_differ(left: int, right: int, differ: bool) -> None:
    """Counts of 20 samples at two deviations: what differs by chance is alike, no access is unlike any."""
    alike = Alike(20, 2, 2.0)
    counts = [np.array([each], np.uint32) for each in (left, right)]
    assert alike.differ(*counts).tolist() == alike.differ(*counts[::-1]).tolist() == [differ]


def test_equal_memory_is_seldom_told_apart() -> None:
    """At two deviations about one comparison in twenty of the same thing is wrong; by the kernel's tenth it is most."""
    rng = np.random.default_rng(1)
    left, right = (rng.binomial(20, 0.5, 10_000).astype(np.uint32) for _ in range(2))
    assert Alike(20, 2, 2.0).differ(left, right).mean() < 0.06
    assert Alike(20, 2, 0.0).differ(left, right).mean() > 0.4


def test_merge_averages_exactly() -> None:
    """Nine regions of 1 and 2 accesses by turns are 1.5 on average: rounded once, and not down at each step."""
    regions = regions_of(*[(1, 1), (1, 2)] * 5)
    Alike(20, 2, 0.0).merge(regions, 1 << 40)
    assert found(regions) == [(10, 2)]


def test_merge_keeps_idle_memory_apart() -> None:
    """One access in a small region beside idle memory is not averaged away, unless there is no room for it."""
    rows = [(100, 0), (1, 1), (100, 0)]
    regions = regions_of(*rows)
    Alike(20, 2, 2.0).merge(regions, 1 << 40)
    assert found(regions) == rows
    Alike(20, 2, 2.0, split_idle=False).merge(regions, 1 << 40)
    assert found(regions) == [(201, 0)]


def test_merge_respects_gaps_and_size() -> None:
    """Only what is contiguous and fits together is joined."""
    regions = Regions([Region(0, PAGE), Region(PAGE, 3 * PAGE), Region(4 * PAGE, 5 * PAGE), Region(5 * PAGE, 6 * PAGE)])
    Alike(20, 2, 2.0).merge(regions, 2 * PAGE)
    assert [(r.start // PAGE, r.end // PAGE) for r in regions] == [(0, 1), (1, 3), (4, 6)]


def test_borders() -> None:
    """A border is where neighbours without a gap differ."""
    regions = Regions(
        Region(start * PAGE, end * PAGE, last_nr_accesses=nr)
        for start, end, nr in [(0, 4, 0), (4, 6, 12), (6, 9, 11), (10, 12, 0)]
    )
    assert borders(regions, Alike(20, 2, 2.0)).tolist() == [0]


def test_counts_above_the_samples_do_no_harm() -> None:
    """Counts kept from a longer aggregation may be higher than there are samples now."""
    counts = np.array([30, 9], np.uint32)
    alike = Alike(5, 0, 2.0)
    assert alike.differ(counts[:1], counts[1:]).tolist() == [True]
    regions = regions_of((1, 30), (1, 9))
    alike.merge(regions, 1 << 40)
    assert len(regions) == 2
