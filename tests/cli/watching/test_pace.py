"""How often is drawn."""

import pytest

from damond.cli.watching.pace import MAX_CPU_SHARE, REDRAW_EVERY_S, Pace


class Machine:
    """A clock, and the CPU time of this process."""

    now_s = 0.0
    cpu_s = 0.0

    def pace(self) -> Pace:
        return Pace(lambda: self.now_s, lambda: self.cpu_s)


@pytest.mark.parametrize(
    ("cost_s", "share"),
    [(0.001, 0.004), (MAX_CPU_SHARE * REDRAW_EVERY_S, MAX_CPU_SHARE), (0.5, MAX_CPU_SHARE)],
    ids=["cheap", "at the bound", "dear"],
)
def test_cpu_is_bounded(cost_s: float, share: float) -> None:
    """Whatever a picture costs: no more than four a second, and no more than the share of a CPU."""
    machine = Machine()
    pace, drawn = machine.pace(), 0
    while machine.now_s < 100:
        if pace.is_due():
            machine.cpu_s += cost_s
            drawn += 1
        machine.now_s += 0.01
    assert drawn <= 100 / REDRAW_EVERY_S + 1
    assert machine.cpu_s / 100 <= share * 1.05
    assert pace.cpu_share == pytest.approx(share, rel=0.1)
