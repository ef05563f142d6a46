import numpy as np
import pytest

from damond.report.timeline import stepped


def test_steps_without_a_value_are_unknown() -> None:
    """A pause is no zero, and a long value fills all steps that it lasts."""
    found = stepped(np.array([0, 70]), np.array([40, 100]), np.array([5.0, 7.0]), 0, 100, 10)
    assert found.mean[:4].tolist() == [5.0] * 4
    assert np.isnan(found.mean[4:7]).all()
    assert found.mean[7:].tolist() == [7.0] * 3


def test_a_step_knows_its_extremes_and_weighs_by_time() -> None:
    """Three windows in one step: the least, the greatest, and the average over time."""
    found = stepped(np.array([0, 10, 20]), np.array([10, 20, 100]), np.array([0.0, 100.0, 10.0]), 0, 100, 1)
    assert (found.low[0], found.high[0]) == (0.0, 100.0)
    assert found.mean[0] == pytest.approx(18.0)
