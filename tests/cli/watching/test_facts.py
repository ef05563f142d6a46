"""What is told of a context beside its picture."""

import pytest

from damond.cli.watching.facts import _bound, _effect
from damond.core import BudgetUse


@pytest.mark.parametrize(
    ("budget", "bound", "effect"),
    [
        (None, "", []),
        (BudgetUse(max_cpu=0.01, stretched=1.0), " (budget 1 %)", []),
        (BudgetUse(max_checks_per_s=1500, stretched=1.0), " (budget 1,500 checks/s)", []),
        (
            BudgetUse(max_cpu=0.0023, max_checks_per_s=500, stretched=4.2),
            " (budget 0.23 % and 500 checks/s)",
            ["budget makes samples 4.2 times rarer"],
        ),
        (BudgetUse(stretched=1.0), "", []),
    ],
)
def test_a_budget_in_words(budget: BudgetUse | None, bound: str, effect: list[str]) -> None:
    """What it is, beside the CPU time; what it does, only where it does something, and short: 53 columns are left."""
    assert _bound(budget) == bound
    assert _effect(budget) == effect
    assert len(f"CPU 100.0 %{bound}") <= 53
