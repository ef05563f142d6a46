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


def exposure_us(wave: Wave, start_us: int, end_us: int) -> float:
    """Integrate over one interval."""
    return float(wave.exposures_us(np.array([start_us]), np.array([end_us]))[0])


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
        assert exposure_us(wave, start, end) == pytest.approx(summed, rel=2e-3, abs=1e-3)


@given(
    name=st.sampled_from(sorted(WAVES)),
    start=st.integers(0, 10**12),
    first=st.integers(0, 3 * PERIOD),
    second=st.integers(0, 3 * PERIOD),
)
def test_exposure_adds_up(name: str, start: int, first: int, second: int) -> None:
    """Two intervals have the exposure of both together, within 0 and full intensity, also after days."""
    wave = Wave(PERIOD, 0.1, WAVES[name][0])
    left = exposure_us(wave, start, start + first)
    right = exposure_us(wave, start + first, start + first + second)
    assert left + right == pytest.approx(exposure_us(wave, start, start + first + second), abs=1e-6)
    assert -1e-6 <= left <= first + 1e-6


@given(name=st.sampled_from(sorted(WAVES)), start=st.integers(0, PERIOD), cycles=st.integers(0, 10**6))
def test_waves_repeat(name: str, start: int, cycles: int) -> None:
    """The same part of any period is the same."""
    wave = Wave(PERIOD, 0.0, WAVES[name][0])
    later = start + cycles * PERIOD
    assert exposure_us(wave, later, later + 5_000) == pytest.approx(exposure_us(wave, start, start + 5_000), abs=1e-6)


def test_half_a_period_ahead() -> None:
    """Two squares of opposite phase take turns."""
    one, other = (Wave(PERIOD, phase, temporal.square(0.5, 0)) for phase in (0.0, 0.5))
    assert (exposure_us(one, 0, 5_000), exposure_us(other, 0, 5_000)) == (5_000, 0)
    assert (exposure_us(one, 500_000, 505_000), exposure_us(other, 500_000, 505_000)) == pytest.approx((0, 5_000))
