import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Snapshot
from damond.record import Block
from damond.report.raster import Raster, recorded
from damond.report.windows import Windows

Make = Callable[..., Snapshot]
Run = list[tuple[int, int, list[tuple[int, int, int]]]]
"""Windows: begin, end, and regions: start, end, nr_accesses."""


@st.composite
def runs(draw: st.DrawFn) -> Run:
    """Windows of any length with pauses, each with disjoint regions: start, end, nr_accesses."""
    found, at = [], 0
    for _ in range(draw(st.integers(1, 6))):
        at += draw(st.integers(0, 30))
        end = at + draw(st.integers(1, 50))
        bounds = sorted(draw(st.sets(st.integers(0, 200), min_size=2, max_size=12)))
        rows = [(lo, hi, draw(st.integers(0, 20))) for lo, hi in itertools.pairwise(bounds)]
        found.append((at, end, [row for row in rows if draw(st.integers(0, 4)) or row is rows[0]]))
        at = end
    return found


def windows_of(snapshots: list[Snapshot]) -> Windows:
    return Windows.of(Block.of(snapshots))


def brute_force(run: Run, times: list[int], edges: list[int]) -> np.ndarray:
    """Sum heat byte by byte and nanosecond by nanosecond, each an overlap of ranges."""
    table = np.zeros((len(times) - 1, len(edges) - 1))
    for begin, end, rows in run:
        for t in range(len(times) - 1):
            ns = max(0, min(end, times[t + 1]) - max(begin, times[t]))
            for start, behind, hits in rows:
                for c in range(len(edges) - 1):
                    table[t, c] += ns * max(0, min(behind, edges[c + 1]) - max(start, edges[c])) * hits / 20
    return table


@given(
    run=runs(),
    times=st.sets(st.integers(0, 400), min_size=2, max_size=9),
    edges=st.sets(st.integers(0, 220), min_size=2, max_size=12),
)
def test_every_cell_is_what_overlaps_it(snapshot_of: Make, run: Run, times: set[int], edges: set[int]) -> None:
    """Each cell is the sum over regions and windows of heat times the bytes and the time both have in common."""
    at, addrs = sorted(times), sorted(edges)
    windows = windows_of([snapshot_of(rows, begin, end) for begin, end, rows in run])
    raster = Raster(np.array(at), np.array(addrs, np.uint64))
    raster.add(windows, windows.targets[1])
    expected = brute_force(run, at, addrs)
    assert raster.accessed == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert ((raster.accessed > 0) == (expected > 0)).all()


@given(run=runs(), nr_times=st.integers(1, 40), nr_addrs=st.integers(1, 40))
def test_size_times_heat_is_conserved(
    snapshot_of: Make,
    run: Run,
    nr_times: int,
    nr_addrs: int,
) -> None:
    """However fine the cells: what they add up to is size times heat times time of all regions."""
    windows = windows_of([snapshot_of(rows, begin, end) for begin, end, rows in run])
    times = np.unique(np.linspace(run[0][0], run[-1][1], nr_times + 1).astype(np.int64))
    raster = Raster(times, np.unique(np.linspace(0, 200, nr_addrs + 1).astype(np.uint64)))
    raster.add(windows, windows.targets[1])
    exact = sum(
        (end - begin) * (behind - start) * hits / 20 for begin, end, rows in run for start, behind, hits in rows
    )
    assert raster.accessed.sum() == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert raster.total == pytest.approx(exact, rel=1e-9, abs=1e-9)
    assert np.nanmax(raster.heat) <= 1 + 1e-9


def test_large_addresses_lose_no_page(snapshot_of: Make) -> None:
    """At the top of 57 bits of addresses a single page is found beside terabytes."""
    base, page = 1 << 56, 4096
    rows = [(base, base + (1 << 42), 0), (base + (1 << 42), base + (1 << 42) + page, 20)]
    windows = windows_of([snapshot_of(rows)])
    edges = np.array([base, base + (1 << 42), base + (1 << 42) + page], np.uint64)
    raster = Raster(np.array([0, 100]), edges)
    raster.add(windows, windows.targets[1])
    assert raster.heat.tolist() == [[0.0, 1.0]]


def test_rows_without_a_window_are_told(snapshot_of: Make) -> None:
    """A row counts as recorded as soon as any window lies in it, if only in part."""
    windows = windows_of([snapshot_of([(0, 100, 1)], 0, 25), snapshot_of([(0, 100, 1)], 80, 95)])
    assert recorded(windows, np.arange(0, 101, 10)).tolist() == [True] * 3 + [False] * 5 + [True] * 2
