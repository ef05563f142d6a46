"""The primitive: three regions of every process, one access check per region and sample."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from damond.core import Attrs, Context, Primitive, Probe, Target
from damond.core.attrs import SAMPLES_PER_AGGR
from damond.errors import DamondError, InvalidRegionError, NoSuchProcessError
from damond.plugin import option
from damond.units import Usec, format_interval
from damond_accessbits import Root, refuse_kdamonds
from damond_accessbits.blocks import AUTO, parse_block
from damond_accessbits.probe import REFERENCED_NOTE, probe_warnings
from damond_vaddr.process import Process
from damond_vaddr.ranges import apply_three_regions, three_regions
from damond_vaddr.sources import SOURCES, Source, choose_source, open_source, probe_sources

_log = logging.getLogger(__name__)

_UPDATE_US: Final = 1_000_000
"""damo's default; the kernel's is 60 s. Mappings come and go, and a look at them costs one read of maps."""

_REFERENCED_SAMPLE_US: Final = 100_000
"""No faster: a sample costs 6 ms per 256 MiB (see REFERENCED_NOTE), at this interval 6 % of a CPU."""


@dataclass(frozen=True, slots=True)
class VaddrOptions:
    """What the configuration of a context may say about the primitive."""

    source: str = option("auto", help="where accessed bits are read from", choices=("auto", *SOURCES))
    block: int | str = option(
        AUTO, help="pages that one check looks at, with page_idle: 1, 2, 4, ... 64, or auto", parse=parse_block
    )
    allow_kdamond: bool = option(default=False, help="monitor although the kernel's own DAMON runs")


class Vaddr(Primitive):
    """Monitors the virtual memory of processes; the id of a target is a pid."""

    name = "vaddr"
    Options = VaddrOptions
    auto_rank = 20
    process_targets = True

    def __init__(self, options: VaddrOptions, root: Root = Root()) -> None:  # noqa: B008 - Root is frozen
        super().__init__(options)
        self._root = root
        self._chosen = ""
        self._source: Source | None = None
        self._processes: dict[int, Process] = {}

    @classmethod
    def probe(cls, root: Root = Root()) -> Probe:  # noqa: B008 - Root is frozen
        """Try both sources."""
        sources = probe_sources(root)
        works = [each for each in sources if each.works]
        if not works:
            reason = "; ".join(f"{each.name}: {each.reason}" for each in sources)
            return Probe(works=False, reason=reason, hint=sources[0].hint, sources=sources)
        return Probe(
            works=True,
            granularity=works[0].granularity,
            reason=f"with source {works[0].name}: {works[0].reason}",
            hint="" if works[0] is sources[0] else sources[0].hint,
            sources=sources,
            warnings=probe_warnings(root, page_idle=works[0].name == "page_idle"),
        )

    @property
    def source(self) -> str:
        """Name of the access-bit source; chosen once, at the first look.

        Raises:
            SourceUnavailableError: None works here, or the one asked for does not.
        """
        if not self._chosen:
            self._chosen = choose_source(self.options.source, self._root, allow_kdamond=self.options.allow_kdamond)
        return self._chosen

    def attrs(self, given: Mapping[str, int]) -> Attrs:
        """Choose intervals that the source can keep; update every second where nothing else is said."""
        kept = {**given, **_stretched(given)} if self.source == "referenced" else given
        return Attrs.fitting(kept, primitive_update_interval=_UPDATE_US)

    def init(self, ctx: Context) -> None:
        """Take hold of the processes and cut the initial regions of those that have none yet."""
        if self.source == "page_idle" and not self.options.allow_kdamond:
            refuse_kdamonds(self._root, instead='source = "referenced" looks at whole mappings instead')
        self._source = open_source(self.source, self._root, self.options.block)
        if self.source == "referenced":
            self.least_sample_us = _REFERENCED_SAMPLE_US
            _log.warning("%s: source referenced %s", ctx.name, REFERENCED_NOTE)
        for target in ctx.targets:
            self._take(ctx, target)
        self._opened.refresh(ctx)
        self.granularity = self._opened.granularity

    def _take(self, ctx: Context, target: Target) -> None:
        """Take hold of one process, and cut its regions if it has none yet."""
        process = self._processes[target.id] = Process(self._root, target.id)
        target.pid = target.id
        if len(target.regions):  # the user's, which the first update fits to the mappings
            process.forget_mappings()
        else:
            _init_regions(ctx, target, process)

    def retarget(self, ctx: Context) -> None:
        """Take hold of new processes, and let go of those that are no targets any more."""
        wanted = {target.id for target in ctx.targets}
        for pid in self._processes.keys() - wanted:
            self._processes.pop(pid).close()
        for target in [each for each in ctx.targets if each.id not in self._processes]:
            try:
                self._take(ctx, target)
            except DamondError as error:
                # Processes come and go: one that can't be watched (any more) must not end the others' monitoring.
                level = logging.INFO if isinstance(error, NoSuchProcessError) else logging.WARNING
                _log.log(level, "%s: process %d is left out: %s", ctx.name, target.id, error)
                ctx.targets.remove(target)

    def update(self, ctx: Context) -> None:
        """Fit the regions to what is mapped now; a process without memory at the moment keeps its own.

        Where nothing has changed, nothing is done: on a slow context this was more than half of the cost. (After an
        execve(2) that maps the same at the same addresses, what was opened before shows nothing: see lost_memory.)
        """
        for target, process in self._live(ctx):
            _fit(ctx, target, process)
        self._opened.refresh(ctx)
        self.granularity = self._opened.granularity

    def prepare_access_checks(self, ctx: Context) -> None:
        """Choose a page in every region and make it look not accessed."""
        live = self._live(ctx)
        # Before the pass, not behind its back: it goes by the regions that it was prepared for.
        for target, process in live:
            if process.lost_memory:
                _fit(ctx, target, process, anew=True)
        self._opened.prepare(ctx, live)

    def check_accesses(self, ctx: Context) -> int:
        """Count accesses; see :meth:`damond.core.Primitive.check_accesses`."""
        self._opened.check(ctx)
        return max((each.regions.highest for each in ctx.targets), default=0)

    def reset_aggregated(self, ctx: Context) -> None:
        """Let go of the regions of processes that have ended: their last counts have been delivered."""
        self._opened.aggregated(ctx)
        self.granularity = self._opened.granularity
        for target in ctx.targets:
            if len(target.regions) and not self.target_valid(target):
                _log.info("%s: process %d has ended", ctx.name, target.id)
                target.set_ranges([])

    def target_valid(self, target: Target) -> bool:
        """Say whether the process runs; a zombie does not."""
        process = self._processes.get(target.id)
        return process is not None and not process.ended()

    def cleanup(self, ctx: Context) -> None:  # noqa: ARG002 - the contract's
        """Close everything."""
        if self._source is not None:
            self._source.close()
            self._source = None
        while self._processes:
            self._processes.popitem()[1].close()

    @property
    def _opened(self) -> Source:
        if self._source is None:
            raise RuntimeError("init() comes first")
        return self._source

    def _live(self, ctx: Context) -> list[tuple[Target, Process]]:
        return [(target, self._processes[target.id]) for target in ctx.targets if self.target_valid(target)]


def _init_regions(ctx: Context, target: Target, process: Process) -> None:
    """Cut three regions evenly; a process that has no three is left without, until an update finds some."""
    try:
        three = three_regions(process.mappings(), ctx.min_region_sz)
    except InvalidRegionError as error:
        _log.warning("%s: process %d: %s", ctx.name, process.pid, error)
        return
    target.set_ranges(ctx.initial_regions(three))


def _fit(ctx: Context, target: Target, process: Process, *, anew: bool = False) -> None:
    """Fit regions to mappings; without mappings (the end is near, or only the first thread has ended) all stays.

    Args:
        ctx: The context.
        target: The target.
        process: The process behind it.
        anew: Although the mappings are what they were.
    """
    try:
        mappings = process.mappings() if anew else process.changed_mappings()
        if mappings:
            process.reopen()
            three = three_regions(mappings, ctx.min_region_sz)
            apply_three_regions(target.regions, three, ctx.min_region_sz, ctx.window_samples)
    except (InvalidRegionError, PermissionError) as error:
        _log.debug("%s: process %d keeps its regions: %s", ctx.name, process.pid, error)


def _stretched(given: Mapping[str, int]) -> dict[str, int]:
    """Stretch intervals to what ``referenced`` can keep; the number of samples in an aggregation stays."""
    asked = given.get("sample_interval", _REFERENCED_SAMPLE_US)
    sample = max(asked, _REFERENCED_SAMPLE_US)
    aggr = given.get("aggr_interval", SAMPLES_PER_AGGR * asked)
    if "sample_interval" in given:
        Attrs(sample_interval=Usec(asked), aggr_interval=Usec(aggr))  # what contradicts itself is not stretched
        aggr = max(1, aggr // asked) * sample if sample > asked else aggr
    if sample > asked:
        _log.warning(
            "source referenced can't sample every %s: it is %s now, and aggregations are as much longer",
            format_interval(asked),
            format_interval(sample),
        )
    return {"sample_interval": sample, "aggr_interval": max(aggr, sample)}
