"""Interval auto-tuning: intervals by how much of all accesses is to be seen (mm/damon/core.c, Linux 6.15).

A check finds an access only if the page was touched within the sampling interval. Too short an interval finds nothing
on memory that is large or seldom touched, and costs the more; too long a one finds everything touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from damond.core.attrs import Attrs
from damond.core.target import Target
from damond.errors import InvalidAttrsError
from damond.units import Usec

_BP: Final = 10_000

_LAST_INPUT: Final = 100_000_000
"""What damon_get_intervals_adaptation_bp() begins with: 10,000 times 1/10,000."""

_AT_ONCE_US: Final = 2_000_000
"""From this aggregation interval on, counts are looked at before it ends: somebody would wait for it."""

_LOOKS: Final = 4
"""Looks at the counts of such an aggregation, the last one at its end."""

_FORGETTING: Final = 0.9
"""What an aggregation leaves of the highest score before: twice the goal is forgotten after 7 of them."""

_FORGETTING_AT_REST: Final = 0.998
"""What 100 ms leave of it while next to nothing is seen, which may be a rest: twice the goal is forgotten in 35 s. F1
of 1 MiB that is hot for 1 s of every 10 s: 0.99; with 0.98 0.74, with intervals that stay at 5 ms / 100 ms 0.78."""

_REST_UNIT_US: Final = 100_000

_AT_REST: Final = 4
"""Next to nothing is this part of the goal: a quarter."""

_PASSING: Final = 8
"""A rest within so many aggregations: work is shorter than they are, and shows in full only in some of them. Without
this the others lengthened intervals, the more so the longer they got."""

_LEAST_PART: Final = 40
"""What is saturated counts fully from this part of ``access_bp`` on: 0.1 % of memory at 4 %."""


@dataclass(frozen=True, slots=True)
class IntervalsGoal:
    """How much is to be seen of all accesses that could be (``struct damon_intervals_goal``, Linux 6.15).

    The first four are the kernel's, with the values that its documentation recommends.

    Attributes:
        access_bp: Observed accesses as a share of the greatest possible number: sum of size * nr_accesses to sum of
            size * samples. 1/10,000.
        aggrs: Aggregations from one adjustment to the next.
        min_sample_us: Least sampling interval. Microseconds.
        max_sample_us: Greatest sampling interval. Microseconds.
        saturation_bp: Ours; 0 leaves all to the kernel's rule. The goal is reached, too, where memory that is accessed
            at all is seen accessed in that share of its samples: a longer interval would show hardly more of it, and
            blur what moves. Besides, intervals are shortened as soon as twice the goal is seen (those of seconds
            before their aggregation ends), and lengthened only after a while below it. 1/10,000.

    Raises:
        ValueError: A value is impossible.
    """

    access_bp: int = 400
    aggrs: int = 3
    min_sample_us: int = 5_000
    max_sample_us: int = 10_000_000
    saturation_bp: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.access_bp <= _BP:
            raise ValueError(f"access_bp = {self.access_bp}: must be from 1 to {_BP} (400 is 4 %)")
        if self.aggrs < 1:
            raise ValueError(f"aggrs = {self.aggrs}: must be at least 1")
        if not 1 <= self.min_sample_us <= self.max_sample_us:
            raise ValueError(
                f"min_sample_us = {self.min_sample_us}, max_sample_us = {self.max_sample_us}: need 1 <= min <= max"
            )
        if not 0 <= self.saturation_bp <= _BP:
            raise ValueError(f"saturation_bp = {self.saturation_bp}: must be from 0 (off) to {_BP} (5000 is 50 %)")

    def check(self, attrs: Attrs) -> None:
        """Raise if tuning could not begin at these intervals: the kernel would say EINVAL (damon_set_attrs).

        Raises:
            InvalidAttrsError: It could not.
        """
        if not self.min_sample_us <= attrs.sample_interval <= self.max_sample_us:
            raise InvalidAttrsError(
                "sample_interval",
                f"{attrs.sample_interval} us",
                f"intervals_goal tunes from {self.min_sample_us} us to {self.max_sample_us} us",
                hint="begin within these bounds, or change them",
            )

    def fit(self, sample_us: int) -> Usec:
        """Bring a sampling interval into the bounds. Microseconds."""
        return Usec(max(self.min_sample_us, min(sample_us, self.max_sample_us)))


def next_input(last: int, score: int) -> int:
    """Say what to try next, so that the score becomes 10,000 (damon_feed_loop_next_input, Linux 6.8).

    Below the goal more is tried, by as much as is missing: twice as much at a score of 0; from 20,000 on the least.
    """
    if score == _BP:
        return last
    if score >= 2 * _BP:
        return _BP
    compensation = last * abs(score - _BP) // _BP
    return max(last - compensation, _BP) if score > _BP else last + compensation


def adaptation_bp(score: int) -> int:
    """Say by how much to multiply intervals: from a half to two (damon_get_intervals_adaptation_bp). 1/10,000."""
    bp = next_input(_LAST_INPUT, score) // _BP
    return _BP // 2 + bp // 2 if bp <= _BP else bp


class Tuner:
    """Looks at what aggregations have counted, and says what the sampling interval should be.

    Args:
        goal: What is to be reached.
    """

    def __init__(self, goal: IntervalsGoal) -> None:
        self.goal = goal
        self._aggrs = 0
        self._peak = 0.0
        self._since_rest = _PASSING

    def score(self, targets: Sequence[Target], nr_samples: int) -> int:
        """Say how much of the goal is reached. 10,000 is the goal, more is beyond (damon_get_intervals_score).

        Args:
            targets: With what was counted.
            nr_samples: In how many samples.
        """
        size = np.concatenate([np.zeros(0), *(target.regions.size.astype(np.float64) for target in targets)])
        nr_accesses = np.concatenate([np.zeros(0), *(target.regions.nr_accesses for target in targets)])
        events = size * nr_accesses
        observed, greatest = int(events.sum()), int(size.sum()) * nr_samples
        score = observed * _BP // (greatest * self.goal.access_bp // _BP or 1)
        if self.goal.saturation_bp and observed:
            seen_bp = float(events @ nr_accesses) / observed / nr_samples * _BP
            matters = min(1.0, score * _LEAST_PART / _BP)
            score = max(score, int(matters * seen_bp / self.goal.saturation_bp * _BP))
        return score

    def aggregated(self, targets: Sequence[Target], attrs: Attrs) -> Usec | None:
        """Say which sampling interval is due after an aggregation, before its counts are reset; None: no change is due.

        kdamond_tune_intervals, Linux 6.15. Microseconds.
        """
        self._aggrs += 1
        if self.goal.saturation_bp:
            return self._with_memory(self.score(targets, attrs.samples_per_aggr), attrs)
        if self._aggrs < self.goal.aggrs:
            return None
        self._aggrs = 0
        return self._next(self.score(targets, attrs.samples_per_aggr), attrs)

    def _with_memory(self, score: int, attrs: Attrs) -> Usec | None:
        """Shorten as soon as twice the goal is seen, and lengthen only once what was seen before is long past.

        By the kernel's rule a program that works for a second and rests for another finds its intervals long where
        it works and short where it rests.
        """
        self._since_rest = 0 if score * _AT_REST < _BP else self._since_rest + 1
        at_rest = max(_FORGETTING, _FORGETTING_AT_REST ** (attrs.aggr_interval / _REST_UNIT_US))
        left = at_rest if self._since_rest < _PASSING else _FORGETTING
        self._peak = max(min(score, 2 * _BP), self._peak * left)
        if self._aggrs < self.goal.aggrs and score < 2 * _BP:
            return None
        self._aggrs = 0
        return self._next(score if score > _BP else min(int(self._peak), _BP), attrs)

    def sampled(self, targets: Sequence[Target], nr_samples: int, attrs: Attrs) -> Usec | None:
        """Say whether a long interval is to be halved within its aggregation: twice the goal is seen already.

        Args:
            targets: With what was counted so far.
            nr_samples: In how many samples.
            attrs: Those in force.
        """
        quarter = max(1, attrs.samples_per_aggr // _LOOKS)
        if not self.goal.saturation_bp or attrs.aggr_interval < _AT_ONCE_US or nr_samples % quarter:
            return None
        if nr_samples >= attrs.samples_per_aggr or self.score(targets, nr_samples) < 2 * _BP:
            return None
        self._aggrs = 0
        return self._next(2 * _BP, attrs)

    def _next(self, score: int, attrs: Attrs) -> Usec:
        return self.goal.fit(attrs.sample_interval * adaptation_bp(score) // _BP)
