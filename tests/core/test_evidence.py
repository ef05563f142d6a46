"""How many samples stand behind a region, whatever happens in the course of an aggregation: never too many."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from damond.core import AddrRange, Attrs, Context, Target
from damond.core.adaptation import age, convert_results, cut, merge, set_ranges
from damond.core.policies.budget import BudgetPolicy
from damond.core.regions import MISSED_ALL, Region, Regions
from damond.units import Usec

PAGE = 4096
MIB = 1 << 20
ATTRS = Attrs()
FEW = replace(ATTRS, aggr_interval=Usec(25_000))
SLOW = Attrs(sample_interval=Usec(50_000), aggr_interval=Usec(1_000_000))


def regions(*rows: dict[str, int]) -> Regions:
    """Make regions of ten pages, side by side."""
    return Regions([Region(10 * n * PAGE, 10 * (n + 1) * PAGE, **row) for n, row in enumerate(rows)])


def test_a_count_that_is_rounded_away_is_no_evidence() -> None:
    """One access of 20 samples is none of 5: nothing stands behind that, neither of this aggregation nor of before."""
    found = regions(
        {"nr_samples": 400, "nr_accesses": 3},
        {"nr_samples": 400, "last_nr_accesses": 1},
        {"nr_samples": 400, "nr_accesses": 4, "last_nr_accesses": 8},
        {"nr_samples": 400},
    )
    convert_results(found, ATTRS, FEW, 12)
    assert found.nr_accesses.tolist() == [0, 0, 1, 0]
    assert found.nr_samples.tolist() == [0, 0, 400, 400]
    # Twelve samples count as three now: of the first region as none, of the others as the twelve that they were.
    assert (3 - found.nr_missed).tolist() == [0, 12, 12, 12]


def test_short_samples_count_for_less() -> None:
    """400 samples of 5 ms have seen what 40 of 50 ms have; what long ones have seen short ones have as well."""
    found = regions({"nr_samples": 400}, {"nr_samples": 405, "nr_missed": 3})
    convert_results(found, ATTRS, SLOW, 13)
    assert found.evidence.tolist() == [40, 40]
    assert (13 - found.nr_missed).tolist() == [1, 1]
    convert_results(found, SLOW, ATTRS, 0)
    assert found.evidence.tolist() == [400, 405]
    long = regions({"nr_samples": 40})
    convert_results(long, SLOW, ATTRS, 0)
    assert long.evidence.tolist() == [40]


def test_intervals_that_swing_take_nothing_away() -> None:
    """However often intervals become a little longer and shorter again, samples are what they were."""
    other = Attrs(sample_interval=Usec(5_450), aggr_interval=Usec(109_000))
    found = regions({"nr_samples": 2000}, {"nr_samples": 1})
    for _ in range(50):
        convert_results(found, ATTRS, other)
        assert found.evidence.tolist() == [1834, 0]
        convert_results(found, other, ATTRS)
    assert found.evidence.tolist() == [2000, 1]


def test_evidence_goes_with_the_memory() -> None:
    """Cut and joined again, and looked at in between, memory has the evidence that it had, and what is new."""
    found = regions({"nr_samples": 2000})
    convert_results(found, ATTRS, SLOW)
    cut(found, np.array([0, 0]), np.array([PAGE, 6 * PAGE], np.uint64))
    assert found.evidence.tolist() == [20, 100, 80]
    age(found, 2, 20)
    assert found.evidence.tolist() == [40, 120, 100]
    merge(found, 2, 1 << 30)
    assert found.evidence.tolist() == [240]
    convert_results(found, SLOW, ATTRS)
    assert found.evidence.tolist() == [2040]


def test_what_is_new_stays_new() -> None:
    """Of what has come in the course of an aggregation nothing is known, whatever is changed and cut."""
    found = regions({"nr_missed": MISSED_ALL})
    convert_results(found, ATTRS, SLOW, 13)
    cut(found, np.array([0]), np.array([PAGE], np.uint64), 13)
    assert found.nr_missed.tolist() == [MISSED_ALL, MISSED_ALL]


def test_pieces_share_the_samples_of_the_aggregation_under_way() -> None:
    """Of 18 samples of ten pages a piece of three has five, and each that comes counts for each piece."""
    found = regions({"nr_missed": 2}, {})
    cut(found, np.array([0]), np.array([3 * PAGE], np.uint64), 20)
    assert (20 - found.nr_missed).tolist() == [5, 12, 20]
    assert (21 - found.nr_missed).tolist() == [6, 13, 21]


def test_pieces_of_an_aggregation_that_counts_for_nothing() -> None:
    """40 samples of 100 count as none of two; ten pieces have four each, and not forty."""
    many, two = replace(ATTRS, aggr_interval=Usec(500_000)), replace(ATTRS, aggr_interval=Usec(10_000))
    found = regions({})
    convert_results(found, many, two, 40)
    assert (0 - found.nr_missed).tolist() == [40]
    cut(found, np.zeros(9, np.intp), np.arange(1, 10).astype(np.uint64) * np.uint64(PAGE), 0)
    assert (0 - found.nr_missed).tolist() == [4] * 10


def test_what_is_left_of_a_region_has_its_share() -> None:
    """A region that is cut to a tenth of its size by an update keeps a tenth of the samples of this aggregation."""
    found = regions({"nr_samples": 400})
    set_ranges(found, [AddrRange(0, PAGE)], window_samples=19)
    assert found.nr_samples.tolist() == [40]
    assert (19 - found.nr_missed).tolist() == [1]


def test_an_unfinished_aggregation_has_its_own_samples(monitor: Any, recorder: Any, context: Any) -> None:
    """What was hot until now, and is not found in the one sample that there is, is not known to be cold."""
    run = monitor(recorder(lambda ctx, _: ctx.passed_samples < 400), context([(0, MIB)]), samples=401)
    whole, part = run.snapshots[-2:]
    assert (whole.partial, part.partial) == (False, True)
    assert whole.targets[0].nr_samples.min() >= 59
    assert set(part.targets[0].nr_samples.tolist()) == {part.max_nr_accesses} == {1}
    assert part.cold_bytes == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_was_cut_in_the_middle_claims_no_more_than_was_done(monitor: Any, recorder: Any, seed: int) -> None:
    """With a strict least number of regions that a tune makes greater, pieces have no more samples than were made."""
    many = replace(ATTRS, min_nr_regions=100, max_nr_regions=400)
    target = Target(0)
    target.set_ranges([(0, 64 * MIB)])
    ctx = Context(attrs=ATTRS, targets=[target], strict_min_nr_regions=True, rng=np.random.default_rng(seed))
    run = monitor(recorder(), ctx, samples=20, tune={15: many})
    (first, *_) = run.snapshots
    assert first.nr_regions == 100
    assert int(first.targets[0].nr_samples.sum()) <= first.checks
    assert int(first.targets[0].nr_samples.min()) >= 4


def test_an_aggregation_of_a_thousand_days(monitor: Any, recorder: Any, context: Any) -> None:
    """Attributes that make more samples of an aggregation than 31 bits hold can be asked for in its midst."""
    days = 1000 * 86_400_000_000
    long = Attrs(sample_interval=Usec(5_000), aggr_interval=Usec(days), primitive_update_interval=Usec(days))
    run = monitor(recorder(), context([(0, MIB)]), samples=30, tune={6: long})
    assert run.snapshots[-1].max_nr_accesses > 2**31


def test_policy_budget_without_targets() -> None:
    """There may be none for a while, where the primitive can't tell: nothing is cut then."""
    ctx = Context(attrs=ATTRS, targets=[])
    BudgetPolicy().split(ctx)
    assert ctx.nr_regions == 0
