"""The policy ``fraction``: the kernel's, but splitting never stops."""

from typing import ClassVar

import numpy as np

from damond.core import adaptation
from damond.core.context import Context
from damond.core.policies.kernel import KernelPolicy


class FractionPolicy(KernelPolicy):
    """Above half of the greatest number of regions, cut as many as there is room for, by turns.

    Where the kernel cuts nothing any more (up to Linux 7.2), a large region that changes inside is never seen again.
    Here one in every ``max / (max - nr)`` regions is cut in two, another one each time; useless cuts are undone by the
    next merge.
    """

    name: ClassVar[str] = "fraction"

    _turn = 0

    def split(self, ctx: Context) -> None:
        """Cut all regions while there is room for that, else every so many."""
        count, most = ctx.nr_regions, ctx.region_budget
        if count <= most // 2:
            super().split(ctx)
            return
        if count >= most:
            return
        every = -(-most // (most - count))
        self._turn += 1
        position = self._turn
        for target in ctx.targets:
            chosen = np.arange(position % every, len(target.regions), every)
            position -= len(target.regions)
            adaptation.split(target.regions, 2, ctx.rng, ctx.min_region_sz, chosen)
