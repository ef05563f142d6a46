"""Percentiles of numbers that count for different lengths of time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from damond.report.windows import Floats


def percentiles(values: NDArray[np.float64] | NDArray[np.int64], weights: Floats, wanted: Sequence[float]) -> list[int]:
    """Read percentiles off: the least value that so many per cent of the weight do not exceed (inverted CDF).

    0 is the least value, 100 the greatest. Every result is one of the values, none lies between two.

    Args:
        values: At least one.
        weights: How much each counts, e.g. the length of its window; above 0.
        wanted: Percentiles, 0 to 100.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    # As shares of the sum as it was added up: 100 % is reached by the last value and not missed by a rounding.
    rows = np.searchsorted(reached, [reached[-1] * each / 100 for each in wanted])
    return [int(each) for each in values[order[np.minimum(rows, len(order) - 1)]]]
