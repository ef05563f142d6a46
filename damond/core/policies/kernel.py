"""The policy ``kernel``: regions adapt as in Linux."""

from typing import ClassVar

from damond.core import adaptation
from damond.core.context import Context
from damond.core.policy import Policy


class KernelPolicy(Policy):
    """Join what differs by at most a tenth of the highest count; cut everything in two as long as there is room.

    kdamond_merge_regions (Linux 6.11) and kdamond_split_regions (Linux 5.15); :mod:`damond.core.adaptation` names the
    few departures.
    """

    name: ClassVar[str] = "kernel"

    def start(self, ctx: Context) -> None:
        """Begin without a memory of how many regions there were."""
        self._splitter = adaptation.Splitter(ctx.rng, ctx.min_region_sz)

    def merge(self, ctx: Context, max_nr_accesses: int, sz_limit: int) -> None:
        """Age and merge, by the same threshold."""
        threshold = max_nr_accesses // 10
        for target in ctx.targets:
            adaptation.age(target.regions, threshold, ctx.window_samples)
        adaptation.merge_targets(ctx.targets, threshold, sz_limit, ctx.region_budget, ctx.attrs.samples_per_aggr)

    def split(self, ctx: Context) -> None:
        """Cut every region in two, or in three where the last cut changed nothing; nothing above half of the limit."""
        self._splitter.split(ctx.targets, ctx.region_budget)
