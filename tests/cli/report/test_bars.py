"""Pictures of pieces: what the bars are is what was measured."""

from typing import Any

import pytest

from damond.cli.report import bars
from damond.core import Snapshot
from damond.report.measures import diff, temperature
from damond.report.source import of_snapshots
from tests.report.synthetic import MIB, monitor


@pytest.fixture(scope="module")
def run() -> list[Snapshot]:
    """20 s of 128 MiB: 20 MiB are hot all the time, 20 MiB in the first half of 20 s."""
    pulsing = {"start": 80 * MIB, "size": 20 * MIB, "temporal": "square", "period": "20s"}
    tracks = [{"start": 40 * MIB, "size": 20 * MIB}, pulsing]
    return monitor({"size": 128 * MIB, "tracks": tracks}, 20, sample_interval=50_000).snapshots


def drawn(axis: Any) -> list[tuple[float, float, float]]:
    """List left edge, width and height of the bars."""
    return [(each.get_x(), each.get_width(), each.get_height()) for each in axis.patches]


def test_a_bar_is_as_wide_as_the_piece_and_as_high_as_its_heat(run: list[Snapshot]) -> None:
    """All memory lies side by side, the hottest first."""
    found = temperature.measure(of_snapshots(run))
    (axis,) = bars.hottest("hot", found.coverage, found.pieces).axes
    at = 0.0
    for (left, width, height), piece in zip(drawn(axis), found.pieces, strict=True):
        assert (left, width, height) == pytest.approx((at, piece.size, 100 * piece.heat))
        at += width
    assert at == 128 * MIB
    assert axis.get_xlim() == (0, 128 * MIB)


def test_the_coldest_are_the_highest_and_what_is_unseen_is_hatched(run: list[Snapshot]) -> None:
    """Time since the last access on a logarithmic axis, up to the whole span; the legend tells what is hatched."""
    found = temperature.measure(of_snapshots(run[:10]))
    picture = bars.coldest("cold", found.coverage, found.coldest())
    (axis,) = picture.axes
    tops = [each.get_y() + each.get_height() for each in axis.patches]
    assert tops == sorted(tops, reverse=True)
    assert tops[0] == found.coverage.to_ns - found.coverage.from_ns
    assert [bool(each.get_hatch()) for each in axis.patches] == [each.is_unseen for each in found.coldest()]
    assert "memory: too little looked at" in [each.get_text() for each in picture.legends[0].get_texts()]


def test_changes_go_to_both_sides(run: list[Snapshot]) -> None:
    """What became hotter lies to the right and what became colder to the left, by address from top to bottom."""
    found = diff.measure(of_snapshots(run[:100]), of_snapshots(run[100:]))
    (axis,) = bars.changes("diff", found, 3).axes
    shown = sorted(found.changes[:3], key=lambda each: -(each.start or 0))
    assert [width for _, width, _ in drawn(axis)] == [each.hot_bytes for each in shown]
    assert min(width for _, width, _ in drawn(axis)) < -5 * MIB
    assert axis.get_xlim()[0] == -axis.get_xlim()[1]


def test_no_change_at_all(run: list[Snapshot]) -> None:
    """It is said in words."""
    same = of_snapshots(run[50:60])
    (axis,) = bars.changes("diff", diff.measure(same, same), 3).axes
    assert [each.get_text() for each in axis.texts] == ["nothing became hotter or colder"]
