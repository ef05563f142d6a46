import numpy as np
import pytest

from damond.cli.report.chart import Chart, Level, round_up
from damond.report.timeline import Series
from damond.units import format_size

S = 1_000_000_000
MIB = 1 << 20


def series(*values: float, high: float = 0.0) -> Series:
    """Make a series of steps of a minute."""
    mean = np.array(values, np.float64)
    edges = np.arange(len(values) + 1) * 60 * S
    return Series(edges, mean, mean, np.where(np.isnan(mean), np.nan, np.maximum(mean, high)))


def drawn(chart: Chart, width: int = 31) -> list[str]:
    return [line.plain for line in chart.lines(width, colours=False)]


def test_height_is_the_value() -> None:
    """Columns are as high as their values; the labels say how high that is."""
    lines = drawn(Chart(name="in use", series=series(*[8 * MIB] * 10, *[4 * MIB] * 10), words=format_size))
    columns = [line[10:] for line in lines[:10]]
    assert [row.count("#") for row in columns] == [10] * 5 + [20] * 5
    assert lines[0].startswith("    8 MiB")
    assert lines[5].startswith("    4 MiB")


def test_what_is_not_known_is_no_zero() -> None:
    """A gap is hatched, nothing in use is empty, and little is not nothing."""
    lines = drawn(
        Chart(
            name="in use", series=series(*[8 * MIB] * 5, *[np.nan] * 5, *[0.0] * 5, *[0.1 * MIB] * 5), words=format_size
        )
    )
    bottom = lines[9][10:]
    assert bottom == "#" * 5 + "/" * 5 + " " * 5 + "." * 5


def test_a_level_is_drawn_unless_it_is_far_above() -> None:
    """RSS near to the working set is a line; RSS far above would squeeze it flat, and is told instead."""
    near = drawn(
        Chart(
            name="in use",
            series=series(*[4 * MIB] * 20),
            words=format_size,
            levels=[Level("RSS", series(*[8 * MIB] * 20))],
        ),
        80,
    )
    assert near[0][10:].strip("- ") == ""
    far = drawn(
        Chart(
            name="in use",
            series=series(*[4 * MIB] * 20),
            words=format_size,
            levels=[Level("RSS", series(*[800 * MIB] * 20))],
        ),
        80,
    )
    assert "RSS, 800 MiB at the end, lies far above" in far[-1]
    assert far[0].startswith("    4 MiB")


def test_columns_join_steps_and_keep_the_greatest() -> None:
    """More steps than columns: the average, and above it the greatest."""
    values = [1.0, 7.0] * 60
    lines = drawn(Chart(name="in use", series=series(*[each * MIB for each in values]), words=format_size), 40)
    column = "".join(line[10] for line in lines[:10])
    assert column.strip() == ":" * column.count(":") + "#" * column.count("#")
    assert column.count("#") == pytest.approx(5, abs=1)


@pytest.mark.parametrize(("value", "top"), [(0, 1), (1, 1), (7, 7), (8, 8), (9, 10), (1000, 1024), (1025, 1280)])
def test_scales_end_at_values_that_can_be_read(value: float, top: float) -> None:
    """The end of a scale is a multiple of an eighth of a power of two, and not far above."""
    assert round_up(value) == top
