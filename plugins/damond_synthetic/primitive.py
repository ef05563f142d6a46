"""The primitive ``synthetic``: accesses by script, in virtual time."""

from typing import ClassVar

from damond.core import Attrs, Context, Primitive, Probe, Target
from damond.units import PAGE_SIZE
from damond_synthetic.lookahead import Lookahead
from damond_synthetic.options import SyntheticOptions


class Synthetic(Primitive):
    """Checks accesses of a memory that is not there: for tests, benchmarks and a first look at damond.

    Time is virtual: sample number n covers ``[n, n + 1)`` sampling intervals after the start, however long it really
    took; a new sampling interval counts from where time is then. Whether a page is accessed in a sample follows from
    the seed, the target, the page and n alone: results can be repeated, and two checks of one page in one sample
    agree. A check of a block finds an access if any of its pages has one. Every target is a copy of the memory with a
    chance of its own, as processes are that run the same program.

    Attributes:
        memory: The address space and what happens in it; ``memory.at()`` is the truth to compare results with.
    """

    name: ClassVar[str] = "synthetic"
    Options: ClassVar[type] = SyntheticOptions

    def __init__(self, options: SyntheticOptions | None = None) -> None:
        super().__init__(options or SyntheticOptions())
        self.memory = self.options.memory()
        self.granularity = self.options.block * PAGE_SIZE
        self._lookahead = Lookahead(self.memory, self.options.seed, self.options.block)
        self._since_samples = 0
        self._since_us = 0

    @classmethod
    def probe(cls) -> Probe:
        """Work everywhere: nothing of the machine is looked at."""
        return Probe(works=True, granularity=PAGE_SIZE, reason="scripted accesses, not those of this machine")

    def init(self, ctx: Context) -> None:
        """Cover the areas by regions; a context without targets gets one, of the id 0."""
        if not ctx.targets:
            ctx.targets.append(Target(0))
        ranges = ctx.initial_regions(self.memory.areas)
        for target in ctx.targets:
            if not len(target.regions):
                target.set_ranges(ranges)

    def prepare_access_checks(self, ctx: Context) -> None:
        """Choose a sampling address in every region; it stands for the block around it."""
        for target in ctx.targets:
            target.regions.pick_sampling_addrs(ctx.rng, ctx.samples_left)

    def time_us(self, ctx: Context) -> int:
        """Tell the virtual time at which the sample under way began. Microseconds."""
        return self._since_us + (ctx.passed_samples - self._since_samples) * ctx.attrs.sample_interval

    def tune(self, ctx: Context, attrs: Attrs) -> Attrs:
        """Take any attributes; what has been is not moved by a new sampling interval."""
        self._since_us, self._since_samples = self.time_us(ctx), ctx.passed_samples
        return attrs

    def check_accesses(self, ctx: Context) -> int:
        """Count the accesses that the script has to the sampled pages, or blocks of pages, within this sample.

        Counts take the place of the last sample's, which can't be written to within an aggregation: what a callback
        wants to change it replaces.
        """
        return self._lookahead.count(ctx, self.time_us(ctx))
