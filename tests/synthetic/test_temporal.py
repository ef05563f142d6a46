"""How intensity changes over time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from damond_synthetic import temporal
from damond_synthetic.temporal import Wave

PERIOD = 1_000_000
WAVES: dict[str, tuple[Any, Any]] = {
    "const": (temporal.const(), np.ones_like),
    "sine": (temporal.sine(0.2), lambda part: 0.6 + 0.4 * np.sin(2 * np.pi * part)),
    "square": (temporal.square(0.3, 0.1), lambda part: np.where(part < 0.3, 1.0, 0.1)),
    "always on": (temporal.square(1.0, 0.0), np.ones_like),
    "never on": (temporal.square(0.0, 0.0), np.zeros_like),
    "ramp up": (temporal.ramp([0, 1]), lambda part: part),
    "ramp down": (temporal.ramp([1, 0.5]), lambda part: 1 - part / 2),
    "up and down": (temporal.ramp([0, 1, 0]), lambda part: 1 - np.abs(2 * part - 1)),
    "steps": (temporal.steps([0.1, 0.6, 0.3]), lambda part: np.array([0.1, 0.6, 0.3])[(part * 3).astype(int)]),
}


@pytest.mark.parametrize("name", WAVES)
@pytest.mark.parametrize("phase", [0.0, 0.25, 0.9])
def test_exposure_is_the_integral(name: str, phase: float) -> None:
    """What is integrated in closed form is what a fine sum over the factor gives, across periods too."""
    integral, factor = WAVES[name]
    wave = Wave(PERIOD, phase, integral)
    for start, end in ((0, 5_000), (123_456, 700_000), (950_000, 2_345_678)):
        times = np.linspace(start, end, 20_001)
        middle = (times[:-1] + times[1:]) / 2
        summed = factor((middle / PERIOD + phase) % 1).mean() * (end - start)
        assert wave.exposure_us(start, end) == pytest.approx(summed, rel=2e-3, abs=1e-3)


@given(
    name=st.sampled_from(sorted(WAVES)),
    start=st.integers(0, 10**12),
    first=st.integers(0, 3 * PERIOD),
    second=st.integers(0, 3 * PERIOD),
)
def test_exposure_adds_up(name: str, start: int, first: int, second: int) -> None:
    """Two intervals have the exposure of both together, within 0 and full intensity, also after days."""
    wave = Wave(PERIOD, 0.1, WAVES[name][0])
    left = wave.exposure_us(start, start + first)
    right = wave.exposure_us(start + first, start + first + second)
    assert left + right == pytest.approx(wave.exposure_us(start, start + first + second), abs=1e-6)
    assert -1e-6 <= left <= first + 1e-6


@given(name=st.sampled_from(sorted(WAVES)), start=st.integers(0, PERIOD), cycles=st.integers(0, 10**6))
def test_waves_repeat(name: str, start: int, cycles: int) -> None:
    """The same part of any period is the same."""
    wave = Wave(PERIOD, 0.0, WAVES[name][0])
    later = start + cycles * PERIOD
    assert wave.exposure_us(later, later + 5_000) == pytest.approx(wave.exposure_us(start, start + 5_000), abs=1e-6)


def test_half_a_period_ahead() -> None:
    """Two squares of opposite phase take turns."""
    one, other = (Wave(PERIOD, phase, temporal.square(0.5, 0)) for phase in (0.0, 0.5))
    assert (one.exposure_us(0, 5_000), other.exposure_us(0, 5_000)) == (5_000, 0)
    assert (one.exposure_us(500_000, 505_000), other.exposure_us(500_000, 505_000)) == pytest.approx((0, 5_000))
