"""The ready-made scripts."""

import numpy as np
import pytest

from damond.core import AddrRange
from damond_synthetic import SyntheticOptions
from damond_synthetic.presets import DEFAULT_PRESET, LEAST_PAGES, PRESETS

SECOND = 1_000_000
SIZES = [LEAST_PAGES * 4096, 2**30, 2**30 + 4096 * 17, 5 * 2**40, 2**47]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("preset", PRESETS)
def test_presets_fit_any_area(preset: str, size: int) -> None:
    """Every preset is possible in an area of any size, and something is hot and something cold in it."""
    memory = SyntheticOptions(preset=preset, size=size).memory()
    hot = [memory.at(time * SECOND, 5_000).hot_ranges(at_least=0.5) for time in range(0, 20, 3)]
    assert any(hot)
    assert all(sum(each.size for each in ranges) < size for ranges in hot)


@pytest.mark.parametrize("preset", sorted(set(PRESETS) - {"zipf"}))
def test_presets_look_the_same_at_any_size(preset: str) -> None:
    """What is hot is the same part of a greater memory (but for zipf, whose head is a few pages)."""
    parts = []
    for size in (2**30, 2**40):
        moment = SyntheticOptions(preset=preset, size=size).memory().at(7 * SECOND, 5_000)
        parts.append([(each.start / size, each.end / size) for each in moment.hot_ranges(0.5)])
    assert np.array(parts[0]) == pytest.approx(np.array(parts[1]), abs=1e-3)


def test_default_preset() -> None:
    """Without options there is something to see: constant, warm, moving and pulsing memory."""
    default, named = SyntheticOptions().memory(), SyntheticOptions(preset=DEFAULT_PRESET).memory()
    seen = {
        tuple(memory.at(time * SECOND, 5_000).hot_ranges(0.5))
        for time in range(0, 20, 2)
        for memory in (default, named)
    }
    assert len(seen) == 10
    constant = set.intersection(*(set(ranges) for ranges in seen))
    assert len(constant) == 2
    assert {len(ranges) for ranges in seen} == {3, 4}


def test_stairs_climb() -> None:
    """A tenth of the memory is hot, the next one every two seconds, from the bottom to the top."""
    size = 100 * 2**20
    memory = SyntheticOptions(preset="stairs", size=size).memory()
    seen = [memory.at(time * SECOND, 5_000).hot_ranges(0.5) for time in range(0, 22, 2)]
    step = 10 * 2**20
    assert seen == [[AddrRange(at % 10 * step, (at % 10 + 1) * step)] for at in range(11)]
