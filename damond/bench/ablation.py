"""What each mechanism is worth alone, and what is lost without it."""

import statistics
from collections.abc import Iterator, Mapping
from typing import Any, Final

from damond.bench import shapes, telescope
from damond.bench.progress import Tell, counted, untold
from damond.bench.result import Column, Result
from damond.bench.setting import Setting
from damond.bench.workloads import WORKLOADS
from damond.core import Budget, IntervalsGoal

_EVERY: Final = {1: 6, shapes.GROWN: 12}
"""Of the shapes, every sixth is looked at, and every twelfth grown to 16 MiB a page: all take 15 minutes more."""

_EVERY_QUICK: Final = 30
"""The same where it has to be quick; of the footprints only the least and the greatest then."""

COLUMNS: Final = (
    Column("setting", "setting"),
    *(Column(each.name, f"F1 {each.name}", ".3f") for each in telescope.FOOTPRINTS),
    Column("telescope_pages_per_s", "pages/s", ",.0f"),
    Column("shapes", "shapes", ".3f"),
    Column("grown_shapes", "grown", ".3f"),
    Column("grown_map", "its map", ".3f"),
    Column("shapes_pages_per_s", "pages/s", ",.0f"),
)

REMARKS: Final = (
    "F1 (of precision and recall) at 5,000 accesses per ms, as in telescope; pages/s behind it: the most of the four.",
    "shapes: mean accuracy of every sixth; grown: of every twelfth with pages of 16 MiB; its map: by page and second.",
    "Of a grown page each 4 KiB are touched on their own, so that a block sees more than there is of one.",
)


def settings() -> list[tuple[str, Setting]]:
    """Name the settings that are compared."""
    kernel, shipped = Setting.kernel(), Setting.shipped()
    return [
        ("kernel's defaults", kernel),
        ("  + tuned as in Linux 6.15", kernel.but(goal=IntervalsGoal())),
        ("  + tuned as here", kernel.but(goal=shipped.goal)),
        ("  + blocks of 64 pages", kernel.but(block=64)),
        ("  + initial regions, strict", kernel.but(initial_nr_regions=500, strict_min_nr_regions=True)),
        ("  + policy fraction", kernel.but(policy="fraction")),
        ("  + policy budget", kernel.but(policy="budget")),
        ("  + 20,000 pages/s", kernel.but(budget=shipped.budget)),
        ("shipped", shipped),
        ("  - tuned", shipped.but(goal=None)),
        ("  - policy (kernel's)", shipped.but(policy="kernel")),
        ("  - initial regions, strict", shipped.but(initial_nr_regions=0, strict_min_nr_regions=False)),
        ("  - bound of pages/s", shipped.but(budget=None)),
        ("  + blocks of 8 pages", shipped.but(block=8)),
        ("  + blocks of 64 pages", shipped.but(block=64)),
        ("  at 1 % of one CPU", shipped.but(budget=Budget(max_cpu=0.01))),
    ]


def judge(setting: Setting, seed: int, *, quick: bool) -> dict[str, Any]:
    """Try one setting on everything."""
    footprints = telescope.FOOTPRINTS[:: len(telescope.FOOTPRINTS) - 1 if quick else 1]
    published = telescope.as_published(setting)
    found = {each.name: telescope.judge(each, telescope.RATES[0], published, seed) for each in footprints}
    small, grown = (
        [shapes.judge(each, setting, seed, scale) for each in WORKLOADS[:: _EVERY_QUICK if quick else every]]
        for scale, every in _EVERY.items()
    )
    return {
        **{name: _f1(row) for name, row in found.items()},
        "telescope_pages_per_s": max(row["pages_per_s"] for row in found.values()),
        "shapes": statistics.fmean(row["accuracy"] for row in small),
        "shapes_pages_per_s": statistics.fmean(row["pages_per_s"] for row in small),
        "grown_shapes": statistics.fmean(row["accuracy"] for row in grown),
        "grown_map": statistics.fmean(row["map_accuracy"] for row in grown),
    }


def _f1(row: Mapping[str, Any]) -> float:
    precision, recall = row["precision"] or 0.0, row["recall"]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def measure(
    setting: Setting,  # noqa: ARG001 - compares its own
    seed: int,
    *,
    quick: bool = False,
    tell: Tell = untold,
) -> Iterator[Result]:
    """Compare the kernel's defaults with one mechanism each, and what is shipped without one each."""
    named = counted(settings(), tell, lambda each: each[0].strip())
    rows = [{"setting": name, **judge(each, seed, quick=quick)} for name, each in named]
    yield Result(part="ablation", title="What each mechanism is worth", columns=COLUMNS, rows=rows, remarks=REMARKS)
