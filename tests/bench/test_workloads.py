"""The 49 shapes, as options of the synthetic primitive."""

import pytest

from damond.bench import shapes, virtual
from damond.bench.setting import Setting
from damond.bench.workloads import WORKLOADS
from damond.units import PAGE_SIZE


def test_there_are_49() -> None:
    """As many as were published, each under a name of its own."""
    assert len({each.name for each in WORKLOADS}) == len(WORKLOADS) == 49


@pytest.mark.parametrize("scale", [1, shapes.GROWN])
def test_the_primitive_takes_them(scale: int) -> None:
    """Every shape is memory with accesses, of its pages times the scale."""
    for each in WORKLOADS:
        memory = virtual.truth_of(virtual.memory(each.options(scale), Setting.kernel(), 1))
        assert sum(area.size for area in memory.areas) == sum(each.pages) * scale * PAGE_SIZE
        assert memory.tracks
