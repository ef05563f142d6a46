"""Shapes of accesses: the measure of accuracy, and what it says of what is shipped."""

import numpy as np
import pytest

from damond.bench import shapes
from damond.bench.setting import Setting
from damond.bench.workloads import WORKLOADS

KNOWN = np.array([0.0, 9.0, 99.0])


def test_accuracy_is_one_where_all_is_right() -> None:
    """1 - mean of |G - D| / (G + D + 1); what was not sampled is not judged."""
    assert shapes.accuracy(KNOWN, KNOWN) == 1
    assert shapes.accuracy(KNOWN, np.array([0.0, 9.0, np.nan])) == 1
    assert shapes.accuracy(np.array([9.0]), np.array([0.0])) == pytest.approx(0.1)


def test_correlation_is_that_of_uneven_truth() -> None:
    """Even truth has none; evenness found in uneven truth is 0."""
    assert shapes.correlation(KNOWN, 3 * KNOWN) == pytest.approx(1)
    assert shapes.correlation(KNOWN, -KNOWN) == pytest.approx(-1)
    assert shapes.correlation(np.full(3, 7.0), KNOWN) is None
    assert shapes.correlation(KNOWN, np.full(3, 7.0)) == 0


@pytest.mark.parametrize("scale", [1, shapes.GROWN], ids=["a few pages", "pages of 16 MiB"])
def test_what_is_shipped_sees_shapes(scale: int) -> None:
    """Of every seventh shape: .90 and r = .85 on average, none below .70."""
    rows = [shapes.judge(each, Setting.shipped(), seed=3, scale=scale) for each in WORKLOADS[::7]]
    figures = shapes.figures(rows)
    assert (figures["mean_accuracy"] or 0) >= 0.90
    assert (figures["least_accuracy"] or 0) >= 0.70
    assert (figures["mean_r"] or 0) >= 0.85


def test_for_no_more_checks_than_the_kernels() -> None:
    """What is shipped looks at as many pages as the kernel's policy at 5 ms / 100 ms, within 2 %."""
    shipped, kernel = (
        shapes.figures([shapes.judge(each, setting, seed=3) for each in WORKLOADS[::7]])["mean_pages_per_s"] or 0
        for setting in (Setting.shipped(), Setting.kernel())
    )
    assert 0 < shipped <= 1.02 * kernel
