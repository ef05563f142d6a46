"""Budgets as whole numbers, so that they take a few bytes per snapshot."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from damond.core import BudgetUse, Snapshot

_SCALES: Final = {
    "max_cpu": 10**9,
    "max_checks_per_s": 10**3,
    "cpu": 10**6,
    "wanted_cpu": 10**6,
    "wanted_checks_per_s": 1,
    "stretched": 10**3,
    "max_nr_regions": 1,
}
"""Field of :class:`damond.core.BudgetUse` -> what it is multiplied by and rounded: shares of a CPU to millionths,
checks to whole ones, bounds finer, so that they come back as they were written."""

_BOUNDS: Final = ("max_cpu", "max_checks_per_s")
"""None as 0: a bound is above 0, and at least 1 here."""

_MOST: Final = 2**63 - 1

_THERE: Final = "budget"
COLUMNS: Final = (_THERE, *(f"budget_{name}" for name in _SCALES))
"""Names of the columns: whether there is a budget, and its fields."""

Ints = NDArray[np.int64]


def to_columns(snapshots: Sequence[Snapshot]) -> dict[str, Ints]:
    """Put the budgets of snapshots into columns."""
    rows = [_row(each.budget) for each in snapshots]
    table = np.array(rows, np.int64).reshape(-1, len(COLUMNS))
    return dict(zip(COLUMNS, np.ascontiguousarray(table.T), strict=True))


def _row(budget: BudgetUse | None) -> list[int]:
    if budget is None:
        return [0] * len(COLUMNS)
    return [1, *(_scaled(name, getattr(budget, name)) for name in _SCALES)]


def _scaled(name: str, value: float | None) -> int:
    if value is None:
        return 0
    scaled = min(round(value * _SCALES[name]), _MOST)
    return max(scaled, 1) if name in _BOUNDS else scaled


def at(columns: Mapping[str, Ints], row: int) -> BudgetUse | None:
    """Read the budget of a snapshot; None if it had none."""
    if not columns[_THERE][row]:
        return None
    given: dict[str, Any] = {}
    for name, scale in _SCALES.items():
        scaled = int(columns[f"budget_{name}"][row])
        given[name] = scaled if scale == 1 else scaled / scale
        if name in _BOUNDS and not scaled:
            given[name] = None
    return BudgetUse(**given)


def floats(columns: Mapping[str, Ints], name: str) -> NDArray[np.float64]:
    """Return a field of all budgets, as a masked array: hidden where there is no budget, or no such bound."""
    scaled = columns[f"budget_{name}"]
    hidden = (columns[_THERE] == 0) | ((scaled == 0) if name in _BOUNDS else False)
    found: NDArray[np.float64] = np.ma.array(scaled / _SCALES[name], mask=hidden)
    return found
