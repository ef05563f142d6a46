"""The contract of an adaptation policy: how regions are merged and split, so that checks go where they tell most."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from damond.core.primitive import NoOptions

if TYPE_CHECKING:  # a context is what a policy works on
    from damond.core.context import Context


class Policy(ABC):
    """How the regions of a context adapt to what was found.

    One instance serves one context. A region costs one check per sample, so the number of regions is the cost, and
    where they are small is where the picture is sharp. The loop calls :meth:`start` once; after each aggregation it
    calls :meth:`merge`, publishes the regions, sets ``nr_accesses`` to 0 and calls :meth:`split`. None may lose an
    address, move the bounds of a target's memory, or leave more than ``ctx.region_budget`` regions as long as fewer
    are possible.

    The functions of :mod:`damond.core.adaptation` keep counters and ages right, and are what to build on.

    Attributes:
        name: What the configuration calls the policy; unique on a machine.
        Options: A frozen dataclass with the options; see :mod:`damond.plugin.options`.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions

    def __init__(self, options: Any = None) -> None:
        self.options = self.Options() if options is None else options

    def start(self, ctx: Context) -> None:
        """Begin; the regions are there, as the primitive made them."""

    @abstractmethod
    def merge(self, ctx: Context, max_nr_accesses: int, sz_limit: int) -> None:
        """Age the regions by ``nr_accesses`` and ``last_nr_accesses``, and join neighbours that are alike.

        What is left is published: nr_accesses has to be that of the whole joined region, an average by size.

        Args:
            ctx: The context. ``ctx.window_samples`` samples were taken.
            max_nr_accesses: The highest ``nr_accesses`` of all regions.
            sz_limit: Bytes that no region may grow above.
        """

    @abstractmethod
    def split(self, ctx: Context) -> None:
        """Cut regions in which there may be differences. ``last_nr_accesses`` is what was just published."""
