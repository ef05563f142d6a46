"""Pictures of pieces of memory for files, picture by matplotlib (extra ``report``): each piece is a bar."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from damond.cli.report.based_on import seconds_words
from damond.cli.report.chart import eighth_of, round_up
from damond.cli.report.figures import UNKNOWN, figure
from damond.cli.words import address, percent, shortened
from damond.report.coverage import Coverage
from damond.report.measures.diff import Change, Diff
from damond.report.measures.temperature import Piece
from damond.report.recency import TIMES_NS
from damond.units import format_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_COLOURS: Final = 9
"""Mappings that get a colour, the largest; more can't be told apart."""

_NAME_LENGTH: Final = 24
_NR_STEPS: Final = 8
_HOTTER, _COLDER = "#c43a4b", "#3a6ea5"
_PERCENT: Final = 100
_NEAR: Final = 0.7
"""A mark that is nearer to the top would lie under its label."""

_UNSEEN_HATCH: Final = "///"
_EDGED: Final = 1 / 200
"""A bar that is a smaller part of the picture has no edge: there would be nothing left of it."""

_ROOM: Final = 1.35
"""Of the longest bar, for what is written beside it."""


def hottest(heading: str, coverage: Coverage, pieces: Sequence[Piece]) -> "Figure":
    """Draw how much memory is how hot: a bar per piece, as wide as its size, as high as its heat.

    Args:
        heading: What it is.
        coverage: What it is based on.
        pieces: All pieces, the hottest first.
    """
    picture = figure(heading, coverage)
    axis = picture.subplots()
    _skyline(axis, pieces, [_PERCENT * each.heat for each in pieces])
    axis.set_ylim(0, 1.02 * _PERCENT)
    axis.set_ylabel("accessed in % of samples")
    axis.set_xlabel("bytes, the hottest first")
    if any(each.name or each.is_unseen for each in pieces):
        picture.legend(loc="outside upper right", fontsize=8, ncols=2)
    return picture


def coldest(heading: str, coverage: Coverage, pieces: Sequence[Piece]) -> "Figure":
    """Draw how much memory is idle for how long: a bar per piece, as wide as its size.

    Args:
        heading: What it is.
        coverage: What it is based on.
        pieces: All pieces, the coldest first.
    """
    span_ns = max(coverage.to_ns - coverage.from_ns, 1)
    marks = [each for each in TIMES_NS if each < span_ns]
    least_ns = min([span_ns / _PERCENT, *marks]) / 2
    picture = figure(heading, coverage)
    axis = picture.subplots()
    idle_ns = [span_ns if each.idle_ns is None else max(each.idle_ns, least_ns) for each in pieces]
    axis.set_yscale("log")
    _skyline(axis, pieces, idle_ns, bottom=least_ns)
    marks = [each for each in marks if each < _NEAR * span_ns]
    labels = ["in use", *(seconds_words(each) for each in marks), f"all the time\n({seconds_words(span_ns)})"]
    axis.set_yticks([least_ns, *marks, span_ns], labels, fontsize=8)
    axis.minorticks_off()
    axis.set_ylim(least_ns, span_ns * 1.1)
    axis.set_ylabel("time since the last access")
    axis.set_xlabel("bytes, the coldest first")
    if any(each.name or each.is_unseen for each in pieces):
        picture.legend(loc="outside upper right", fontsize=8, ncols=2)
    return picture


def _skyline(axis: "Axes", pieces: Sequence[Piece], heights: Sequence[float], *, bottom: float = 0.0) -> None:
    """Set bars side by side, coloured by what is mapped there; what is unseen is hatched."""
    left = np.concatenate([[0], np.cumsum([each.size for each in pieces])])
    total, colours = int(left[-1]), _colours(pieces)
    named: set[str] = set()
    for start, piece, height in zip(left.tolist(), pieces, heights, strict=False):
        name = piece.name if piece.name in colours else ""
        label = (shortened(name, _NAME_LENGTH) if name else "other" if any(colours) else "memory") + (
            ": too little looked at" if piece.is_unseen else ""
        )
        axis.bar(
            start, height - bottom, piece.size, bottom, align="edge", facecolor=colours.get(name, UNKNOWN),
            edgecolor="white", lw=0.3 if piece.size > _EDGED * total else 0.0,
            hatch=_UNSEEN_HATCH if piece.is_unseen else None, label=label if label not in named else None,
        )  # fmt: skip
        named.add(label)
    axis.set_xlim(0, max(total, 1))
    step = 2 * eighth_of(round_up(max(total, 1)))
    marks = np.arange(0, total + 1, step)
    axis.set_xticks(marks.tolist(), [format_size(int(each)) for each in marks], fontsize=8)
    axis.grid(visible=True, axis="y", lw=0.3)


def _colours(pieces: Sequence[Piece]) -> dict[str, str]:
    """Give the largest mappings a colour each; where no names are known all are of one."""
    sizes: Counter[str] = Counter()
    for each in pieces:
        sizes[each.name] += each.size
    if set(sizes) <= {""}:
        return {"": "C0"}
    known = [name for name, _ in sizes.most_common() if name]
    return {name: f"C{number}" for number, name in enumerate(known[:_MAX_COLOURS])}


def changes(heading: str, found: Diff, shown: int) -> "Figure":
    """Draw what became hotter to the right and what became colder to the left, in the order of addresses.

    Args:
        heading: What it is.
        found: What was compared.
        shown: So many changes at most, the greatest.
    """
    picture = figure(heading, found.before.coverage, found.after.coverage)
    axis = picture.subplots()
    rows = sorted(found.changes[:shown], key=lambda each: (each.target_id or 0, each.start or 0, each.name))[::-1]
    several = len({each.target_id for each in rows}) > 1
    amounts = [each.hot_bytes for each in rows]
    axis.barh(range(len(rows)), amounts, color=[_HOTTER if each > 0 else _COLDER for each in amounts])
    axis.set_yticks(range(len(rows)), [_label(each, several=several) for each in rows], family="monospace", fontsize=8)
    for row, each in enumerate(rows):
        words = f" {_heat(each.before)} to {_heat(each.after)} "
        axis.text(each.hot_bytes, row, words, va="center", ha="left" if each.hot_bytes > 0 else "right", fontsize=8)
    _hot_bytes_axis(axis, max([abs(each) for each in amounts], default=0))
    if not rows:
        axis.text(0.5, 0.5, "nothing became hotter or colder", ha="center", transform=axis.transAxes)
    rest = len(found.changes) - len(rows)
    axis.set_xlabel(
        "colder < change of hot bytes: size times the share of samples that found an access > hotter"
        + (f"\n{rest} smaller ones not drawn" if rest else "")
    )
    return picture


def _hot_bytes_axis(axis: "Axes", greatest: int) -> None:
    top = round_up(max(greatest, 1))
    marks = [each * 2 * eighth_of(top) for each in range(-_NR_STEPS, _NR_STEPS + 1)]
    marks = [each for each in marks if abs(each) <= top]
    labels = [f"{'+' if each > 0 else '-' if each < 0 else ''}{format_size(int(abs(each)))}" for each in marks]
    axis.set_xticks(marks, labels, fontsize=8)
    axis.set_xlim(-_ROOM * top, _ROOM * top)
    axis.axvline(0, color="0.3", lw=0.8)
    axis.grid(visible=True, axis="x", lw=0.3)


def _label(change: Change, *, several: bool) -> str:
    parts: list[Any] = [shortened(change.name, _NAME_LENGTH)] if change.name else []
    parts += [address(change.start)] if change.start is not None else []
    parts += [f"target {change.target_id}"] if several and change.target_id is not None else []
    return "  ".join([*parts, f"{format_size(change.size):>8}"])


def _heat(heat: float | None) -> str:
    return "not there" if heat is None else percent(heat)
