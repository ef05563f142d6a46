"""What the kernel spends."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond.core import Attrs
from damond_kdamond.assembly import Aggregation
from damond_kdamond.cost import CheckCount, ThreadClock
from tests.kdamond.fakes import FakeKernel
from tests.kdamond.recording import rows_of

ATTRS = Attrs(min_nr_regions=10, max_nr_regions=100)


def of(*counts: int, size: int = 1 << 20) -> Aggregation:
    return Aggregation(1, {target: rows_of([size] * count, 1) for target, count in enumerate(counts)})


def test_first_aggregation() -> None:
    """Before the first result there are at least min_nr_regions."""
    assert CheckCount(ATTRS).checks(20) == 200


@pytest.mark.parametrize(
    ("results", "sampled"),
    [
        pytest.param([of(20)], 40, id="into two"),
        pytest.param([of(20), of(20)], 60, id="the same number twice: into three"),
        pytest.param([of(20), of(21)], 42, id="another number: into two"),
        pytest.param([of(40), of(40)], 80, id="three times as many would be too many"),
        pytest.param([of(50)], 100, id="half of the greatest number"),
        pytest.param([of(51)], 51, id="more than half: not at all"),
        pytest.param([of(20), of(51), of(20)], 60, id="what is not cut does not count as the number before"),
        pytest.param([of(5, 15)], 40, id="two targets"),
        pytest.param([of(20, size=8192)], 20, id="two pages are never cut"),
        pytest.param([of(20, size=12288)], 40, id="three pages are"),
    ],
)
def test_split(results: list[Aggregation], sampled: int) -> None:
    """After each result the kernel cuts regions by its rule."""
    count = CheckCount(ATTRS)
    for each in results:
        count.split(each, ATTRS)
    assert count.nr_sampled == sampled
    assert count.checks(20) == 20 * sampled


@given(number=st.integers(1, 400), times=st.integers(1, 3), greatest=st.integers(10, 300))
def test_never_more_than_allowed(number: int, times: int, greatest: int) -> None:
    """Cutting never makes more regions than there may be, nor fewer than there were."""
    count = CheckCount(ATTRS)
    for _ in range(times):
        count.split(of(number), replace(ATTRS, max_nr_regions=greatest))
    assert number <= count.nr_sampled <= max(number, greatest)


def test_schedstat(kernel: FakeKernel) -> None:
    """CPU time is read to the microsecond, and stays what it was once the thread is gone."""
    clock = ThreadClock(kernel.root, 9)
    assert clock.cpu_us() == 0
    kernel.text("proc/9/schedstat", "1234567 5 6\n")
    assert clock.cpu_us() == 1234
    (kernel.base / "proc/9/schedstat").unlink()
    assert clock.cpu_us() == 1234


def test_stat(kernel: FakeKernel) -> None:
    """Without schedstat it is read to the clock tick: user and system time."""
    kernel.process(9)
    assert ThreadClock(kernel.root, 9).cpu_us() == 500_000
