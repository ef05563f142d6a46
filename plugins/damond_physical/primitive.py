"""The primitive: all memory as one target, a page frame or a block of them checked per region and sample."""

import logging
from dataclasses import dataclass

import numpy as np

from damond.core import AddrRange, Context, Primitive, Probe, Target
from damond.core.adaptation import set_ranges
from damond.errors import UsageError
from damond.plugin import option
from damond.units import PAGE_SIZE
from damond_accessbits import IdleFrames, Root, probe_page_idle, refuse_kdamonds
from damond_accessbits.blocks import AUTO, BlockSize, any_of, chosen_of, pages_of, parse_block
from damond_accessbits.probe import probe_warnings
from damond_physical.ram import parse_ranges, system_ram

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PhysicalOptions:
    """What the configuration of a context may say about the primitive."""

    ranges: tuple[AddrRange, ...] = option(
        default=(), help='ranges of addresses, such as "1MiB-2GiB"; all System RAM if empty', parse=parse_ranges
    )
    block: int | str = option(
        AUTO, help="page frames that one check looks at: 1, 2, 4, ... 64, or auto", parse=parse_block
    )
    allow_kdamond: bool = option(default=False, help="monitor although the kernel's own DAMON runs")


class Physical(Primitive):
    """Monitors physical memory; the one target has the id 0.

    Frames that nobody uses count as not accessed. Of frames on no LRU list (the kernel's own memory, hugetlbfs,
    holes) nothing is known; they are counted apart, in ``ctx.unknown``.
    """

    name = "physical"
    Options = PhysicalOptions

    def __init__(self, options: PhysicalOptions, root: Root = Root()) -> None:  # noqa: B008 - Root is frozen
        super().__init__(options)
        self._root = root
        self._frames: IdleFrames | None = None
        self._given_regions = False
        self._block = BlockSize(options.block)
        self._begin = self._chosen = np.zeros(0, np.intp)

    @classmethod
    def probe(cls, root: Root = Root()) -> Probe:  # noqa: B008 - Root is frozen
        """Try page_idle: there is no other source."""
        source = probe_page_idle(root, by_process=False)
        warnings = probe_warnings(root, page_idle=True) if source.works else ()
        return Probe(source.works, source.granularity, source.reason, source.hint, (source,), warnings)

    def init(self, ctx: Context) -> None:
        """Make the target and its regions."""
        # In this order: to stop somebody's kdamond is no help where there is no page_idle.
        self._frames = IdleFrames(self._root)
        if not self.options.allow_kdamond:
            refuse_kdamonds(self._root)
        if not ctx.targets:
            ctx.targets.append(Target(0))
        if [target.id for target in ctx.targets] != [0]:
            raise UsageError(
                f"physical has one target, of id 0; not {', '.join(str(target.id) for target in ctx.targets)}",
                hint="leave targets out; the option ranges limits what is monitored",
            )
        target = ctx.targets[0]
        self._given_regions = len(target.regions) > 0
        if not self._given_regions:
            target.set_ranges(ctx.initial_regions(self._ranges()))
        self._fit_block(ctx)

    def _fit_block(self, ctx: Context) -> None:
        """Choose the size of blocks, and publish it."""
        self._block.fit(ctx.targets[0].regions.total_sz)
        self.granularity = self._block.pages * PAGE_SIZE

    def update(self, ctx: Context) -> None:
        """Fit the regions to memory that was plugged in or out; drain pages that could not be marked."""
        if not self._given_regions and not self.options.ranges:
            set_ranges(ctx.targets[0].regions, self._ranges(), ctx.min_region_sz, ctx.window_samples)
        self._fit_block(ctx)
        if self._opened.drain():
            _log.debug("%s: pages waited for their LRU list: drained", ctx.name)

    def prepare_access_checks(self, ctx: Context) -> None:
        """Choose a frame or a block of them in every region, and mark them idle."""
        regions = ctx.targets[0].regions
        start, end = regions.pick_sampling_blocks(ctx.rng, self._block.pages, ctx.samples_left)
        frames, self._begin = pages_of(start, end)
        self._chosen = chosen_of(regions.sampling_addr, start, self._begin)
        self._opened.mark(frames, in_runs=self._block.pages > 1)

    def check_accesses(self, ctx: Context) -> int:
        """Count the regions of whose frames one is not idle any more."""
        regions, accessed = ctx.targets[0].regions, self._opened.accessed()
        regions.nr_accesses += any_of(accessed, self._begin)
        ctx.checks += len(accessed)
        unknown = self._opened.unknown
        ctx.unknown += int(np.count_nonzero(unknown))
        regions.miss(unknown[self._chosen])
        return regions.highest

    def cleanup(self, ctx: Context) -> None:  # noqa: ARG002 - the contract's
        """Close page_idle."""
        if self._frames is not None:
            self._frames.close()
            self._frames = None

    def _ranges(self) -> list[AddrRange]:
        return list(self.options.ranges) or system_ram(self._root)

    @property
    def _opened(self) -> IdleFrames:
        if self._frames is None:
            raise RuntimeError("init() comes first")
        return self._frames
