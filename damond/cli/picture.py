"""What snapshots look like in a terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.style import Style
from rich.text import Text

from damond.cli import ramp
from damond.cli.rows import Row, group
from damond.cli.words import address, clock, granularity_words, per_second, percent, share_of, shortened
from damond.core import Snapshot, TargetSnapshot
from damond.core.mappings import NOTHING_MAPPED, Mappings, MapsByTarget, cut
from damond.units import NSEC_PER_USEC, format_interval, format_percent, format_size, format_times

DIM: Final = Style(dim=True)
BOLD: Final = Style(bold=True)
WARNING: Final = Style(bold=True, color="yellow")

_ADDRESS_WIDTH: Final = 12
_SIZE_WIDTH: Final = 8
_PERCENT_WIDTH: Final = 5
_AGE_WIDTH: Final = 7
_SPACES: Final = 4
_HELD_BACK: Final = 1.1
"""From here on it is worth saying that a budget makes intervals longer."""

_MIN_LINES: Final = 3
"""Lines that one target needs at least, its headline included."""

_DEFAULT_LINES: Final = 24
_NAME_SHARE: Final = 5
"""A fifth of the width is for names of mappings."""

_MIN_NAME_WIDTH: Final = 14
"""Below, names are left out: an address says more."""


def name_width(width: int) -> int:
    """Say how many characters names of mappings may have in a picture of this width; 0 is no names."""
    return width // _NAME_SHARE if width >= _NAME_SHARE * _MIN_NAME_WIDTH else 0


def gap_words(mappings: Mappings | None) -> str:
    """Say what lies between regions: of a process it is known that nothing is mapped there."""
    return "not monitored" if mappings is None else "not mapped"


@dataclass(frozen=True, slots=True)
class LivePicture:
    """One snapshot: addresses downwards, one row per region or group of regions.

    It fits itself into whatever size the terminal has when it is drawn.

    Attributes:
        snapshot: What to draw.
        title: Who or what is monitored; the name of the context if empty.
        maps: What the targets have mapped, as far as that is known: holes in regions are not drawn.
        note: What the reader has to know at once, as a line of its own.
    """

    snapshot: Snapshot
    title: str = ""
    maps: MapsByTarget = field(default_factory=dict)
    note: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw; called by rich."""
        width, lines = options.max_width, options.height or _DEFAULT_LINES
        head = [Text(self.title or self.snapshot.context, BOLD, overflow="ellipsis", no_wrap=True)]
        head += [Text(self.note, WARNING)] if self.note else []
        head += flowed(facts(self.snapshot, self.maps), width)
        head.append(_columns_head(width, name_width(width) if self.maps else 0))
        for line in (*head, *self._body(width, lines - len(head), colours=ramp.has_colours(console))):
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line

    def _body(self, width: int, nr_lines: int, *, colours: bool) -> Iterator[Text]:
        memory = cut(self.snapshot, self.maps)
        targets = sorted(
            (each for each in memory.targets if len(each.start)),
            key=lambda each: -float((each.size.astype(float) * each.nr_accesses).sum()),
        )
        if not targets:
            yield Text("nothing is monitored yet", DIM)
            return
        shown = targets[: max(1, nr_lines // _MIN_LINES)] if len(targets) > 1 else targets
        free = nr_lines - (len(targets) > len(shown))
        for index, target in enumerate(shown):
            share = free // (len(shown) - index)
            unseen = unseen_regions(memory, target)
            lines = list(self._target(target, unseen, width, share, headline=len(targets) > 1, colours=colours))
            free -= len(lines)
            yield from lines
        if len(targets) > len(shown):
            yield Text(f"{len(targets) - len(shown)} more targets, less accessed", DIM)

    def _target(
        self,
        target: TargetSnapshot,
        unseen: NDArray[np.bool_] | None,
        width: int,
        nr_lines: int,
        *,
        headline: bool,
        colours: bool,
    ) -> Iterator[Text]:
        if headline:
            yield Text(f"{target_name(target.id, target.pid)}: {format_size(int(target.size.sum()))}", BOLD)
        mappings = self.maps.get(target.id)
        for row in group(target, self.snapshot.max_nr_accesses, max(nr_lines - headline, 1), unseen):
            label = Text(f"{address(row.start):<{_ADDRESS_WIDTH}} {format_size(row.size):>{_SIZE_WIDTH}} ")
            if names := name_width(width) if self.maps else 0:
                name = mappings.name(row.start, row.end) if mappings is not None else ""
                label.append(f"{shortened(name, names):<{names}} ")
            yield _row(label, row, self.snapshot.aggr_us, width, colours=colours)
            if row.gap_after:
                yield _separator(f"{format_size(row.gap_after)} {gap_words(mappings)}", width)


def target_name(target_id: int, pid: int | None) -> str:
    """Name a target: a process by its pid."""
    if pid is None:
        return f"target {target_id}"
    return f"pid {pid}" if pid == target_id else f"target {target_id}, pid {pid}"


def _columns_head(width: int, names: int) -> Text:
    text = f"{'address':<{_ADDRESS_WIDTH}} {'size':>{_SIZE_WIDTH}} "
    if names:
        text += f"{'mapping':<{names}} "
    heading = "accessed in % of samples"
    bar = max(width - len(text) - _AGE_WIDTH - 1, 1)
    heading = heading if len(heading) <= bar else "accessed"
    return Text(f"{text}{heading:<{bar}} {'age':>{_AGE_WIDTH}}", DIM)


def _row(text: Text, row: Row, aggr_us: int, width: int, *, colours: bool) -> Text:
    nr_cells = max(width - len(text) - _PERCENT_WIDTH - _AGE_WIDTH - _SPACES // 2, 1)
    text.append_text(bar(row.heat, nr_cells, colours=colours))
    # Nothing found is not nothing there, as long as too little has been looked at.
    heat = f"{percent(row.heat)}{'?' if row.unseen and not row.heat else ''}"
    text.append(f" {heat:>{_PERCENT_WIDTH}}")
    return text.append(f" {short_interval(row.age * aggr_us):>{_AGE_WIDTH}}")


def bar(heat: float, nr_cells: int, *, colours: bool) -> Text:
    """Draw heat as a bar: its length, its character and its colour all say how hot."""
    filled = ramp.step(heat, nr_cells + 1)
    text = ramp.row([heat] * filled, colours=colours)
    return text.append(" " * (nr_cells - filled), ramp.cell(0) if colours else "")


def _separator(words: str, width: int) -> Text:
    return Text(f" {words} ".center(width, "-"), DIM)


def short_interval(usec: float) -> str:
    """Write an age in no more than seven characters."""
    if usec <= 0:
        return "0 s"
    number, unit = format_interval(usec).split()
    value = float(number)
    text = f"{value:.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004 - three digits are enough
    return text if len(text) <= _AGE_WIDTH else f"{value:.2g} {unit}"


def working_set(snapshot: Snapshot, maps: MapsByTarget) -> str:
    """Say how much memory the regions with any access are, of how much."""
    memory = cut(snapshot, maps)
    accessed, total = memory.accessed_bytes, memory.total_bytes
    of = f"{format_size(total)}{' mapped' if maps else ''}"
    return f"working set {format_size(accessed)} of {of} ({percent(share_of(accessed, total))})"


def facts(snapshot: Snapshot, maps: MapsByTarget) -> list[str]:
    """Say under which circumstances a snapshot came about, and what it cost; what did not happen is not said."""
    span_ns = snapshot.end_ns - snapshot.start_ns
    return [
        working_set(snapshot, maps),
        f"{snapshot.primitive}: one check sees a {granularity_words(snapshot.granularity)}",
        f"sample {format_interval(snapshot.sample_us)}, aggregation {format_interval(snapshot.aggr_us)}",
        f"{snapshot.nr_regions} regions ({snapshot.min_nr_regions} to {snapshot.max_nr_regions})",
        f"{per_second(snapshot.checks, span_ns):,.0f} checks/s",
        f"CPU {share_of(snapshot.cpu_us * NSEC_PER_USEC, span_ns):.1%}".replace("%", " %"),
        *budget_words(snapshot),
        *confidence_words(snapshot, cut(snapshot, maps)),
        *([f"{snapshot.overruns} overruns"] if snapshot.overruns else []),
        *([f"unknown {percent(share_of(snapshot.unknown, snapshot.checks))}"] if snapshot.unknown else []),
    ]


def unseen_regions(snapshot: Snapshot, target: TargetSnapshot) -> NDArray[np.bool_] | None:
    """Say which regions show no access without being known to be cold; None where the writer did not say."""
    if not target.nr_samples.any():
        return None
    unseen: NDArray[np.bool_] = (target.nr_accesses == 0) & ~snapshot.cold(target)
    return unseen


def budget_words(snapshot: Snapshot) -> list[str]:
    """Say what the budget is, if it holds the context back."""
    used = snapshot.budget
    if used is None or (used.stretched < _HELD_BACK and used.max_nr_regions >= snapshot.max_nr_regions):
        return []
    bounds = [] if used.max_cpu is None else [f"{format_percent(used.max_cpu)} of a CPU"]
    bounds += [] if used.max_checks_per_s is None else [f"{used.max_checks_per_s:,.0f} checks/s"]
    held = f", samples {format_times(used.stretched)} times rarer" if used.stretched >= _HELD_BACK else ""
    held += f", {used.max_nr_regions} regions at most" if used.max_nr_regions < snapshot.max_nr_regions else ""
    return [f"budget {' and '.join(bounds)}{held}"]


def confidence_words(snapshot: Snapshot, memory: Snapshot) -> list[str]:
    """Say how much is not known to be cold yet, and from which size on a hot area would have been seen.

    Args:
        snapshot: As it was published.
        memory: Its part that is mapped.
    """
    words = []
    if memory.unseen_bytes and any(target.nr_samples.any() for target in memory.targets):
        words.append(f"cold {format_size(memory.cold_bytes)}, unseen (?) {format_size(memory.unseen_bytes)}")
    if snapshot.sampled_bytes and snapshot.smallest_found_bytes is not None:
        words.append(f"finds hot areas of {format_size(snapshot.smallest_found_bytes)} in a minute")
    return words


def flowed(words: Sequence[str], width: int) -> list[Text]:
    """Set facts into as few lines as hold them."""
    lines: list[str] = []
    for each in words:
        if lines and len(lines[-1]) + len(each) + 3 <= width:
            lines[-1] += f" | {each}"
        else:
            lines.append(each)
    return [Text(line) for line in lines]


def snapshot_line(snapshot: Snapshot, maps: MapsByTarget = NOTHING_MAPPED) -> str:
    """Say it in one line, for a file or a pipe."""
    span_ns = snapshot.end_ns - snapshot.start_ns
    return "  ".join(
        [
            clock(snapshot.end_ns),
            snapshot.context,
            working_set(snapshot, maps),
            f"{snapshot.nr_regions} regions",
            f"{per_second(snapshot.checks, span_ns):.0f} checks/s",
            f"cpu {100 * share_of(snapshot.cpu_us * NSEC_PER_USEC, span_ns):.1f} %",
            f"{snapshot.overruns} overruns",
            f"unknown {percent(share_of(snapshot.unknown, snapshot.checks))}",
            *(["partial"] if snapshot.partial else []),
        ]
    )
