"""When the processes of the machine are looked at."""

from dataclasses import dataclass, field

import pytest

from damond.service.looks import Looks


@dataclass
class Machine:
    """A machine whose processes are looked at once a second, if it is time to.

    Attributes:
        cost_s: CPU time of a look.
        max_cpu: Budget of the service.
        newest: The newest process.
        looks: When it was looked at.
    """

    cost_s: float = 0.001
    max_cpu: float | None = 0.01
    newest: int = 1
    now_s: float = 0.0
    looks: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.when = Looks(lambda: self.max_cpu, lambda: str(self.newest), lambda: self.now_s)

    def run(self, seconds: int, *, forks: bool = False) -> list[float]:
        """Let time pass; return when there was a look."""
        self.looks = []
        for _ in range(seconds):
            self.now_s += 1
            self.newest += forks
            if self.when.due():
                self.when.looked(self.cost_s)
                self.looks.append(self.now_s)
        return self.looks


def test_at_rest_it_is_looked_now_and_then() -> None:
    """Without a sign that processes have come or gone, once in ten seconds."""
    machine = Machine()
    machine.run(10)
    assert machine.run(40) == [12, 22, 32, 42]


def test_who_comes_is_found_soon() -> None:
    """A new process is looked at within a second, and once more: it may run another program by then."""
    machine = Machine()
    machine.run(15)
    machine.newest += 1
    assert machine.run(3) == [16, 17]


@pytest.mark.parametrize(("cost_s", "every_s"), [(0.0005, 1), (0.005, 5), (0.02, 20)])
def test_looks_cost_a_tenth_of_the_budget(cost_s: float, every_s: int) -> None:
    """Where processes come and go all the time, and there are many of them, looks are as rare as the budget wants."""
    machine = Machine(cost_s)
    machine.run(60, forks=True)
    assert len(machine.run(600, forks=True)) == pytest.approx(600 / every_s, abs=1)


def test_without_a_budget() -> None:
    """A look a second, whatever it costs."""
    assert len(Machine(0.5, None).run(20, forks=True)) == 20


def test_who_was_not_there_is_looked_for() -> None:
    """A context that goes on after a pause has not seen what came meanwhile, and nobody forks for it."""
    machine = Machine()
    machine.run(15)
    assert machine.when.due(["a"])
    for _ in range(2):
        machine.when.looked(0)
    assert not machine.when.due(["a"])
    assert machine.when.due(["a", "b"])


def test_what_could_not_be_made_use_of_is_looked_for_again() -> None:
    """As a worker that did not take its new targets."""
    machine = Machine()
    machine.run(15)
    machine.when.again()
    assert machine.run(2) == [16]


def test_without_a_sign_it_is_looked_all_the_time() -> None:
    """Where the kernel tells nothing, once a second."""
    when = Looks(lambda: None, lambda: None)
    for _ in range(5):
        assert when.due()
        when.looked(0.001)
