"""Working sets: how near ``damond bench wss`` finds what is shipped."""

import pytest

from damond.bench import wss
from damond.bench.setting import Setting

MIB = 1 << 20


@pytest.mark.parametrize("size", [MIB, MIB * MIB], ids=["1 MiB", "1 TiB"])
def test_a_steady_one_is_found_at_any_size(size: int) -> None:
    """Median and 75th percentile are within 10 %; the kernel's own test allows 20 %."""
    row = wss.judge(wss.PATTERNS[0], size, Setting.shipped(), seed=3)
    assert abs(row["error_p50"]) <= 0.1
    assert abs(row["error_p75"]) <= 0.1


@pytest.mark.parametrize("pattern", wss.PATTERNS, ids=lambda each: each.name)
def test_moving_ones_are_found(pattern: wss.Pattern) -> None:
    """All patterns are within the 20 % that the kernel's own test allows."""
    row = wss.judge(pattern, pattern.sizes[1], Setting.shipped(), seed=3)
    assert abs(row["error_p50"]) <= 0.2
    assert abs(row["error_p75"]) <= 0.2


def test_the_truth_of_a_burst() -> None:
    """All of it for 2 s of 20, a tenth of it otherwise."""
    (burst,) = (each for each in wss.PATTERNS if each.name.startswith("burst"))
    assert [burst.in_use(second * 1_000_000) for second in (0, 1, 2, 19, 20)] == [1.0, 1.0, 0.1, 0.1, 1.0]


def test_percentiles_are_of_time() -> None:
    """A long window counts for more than a short one."""
    assert wss.percentile_in_time([5.0, 1.0], [1, 9], 75) == 1.0
    assert wss.percentile_in_time([5.0, 1.0], [9, 1], 50) == 5.0
    assert wss.percentile_in_time([3.0], [1], 75) == 3.0
