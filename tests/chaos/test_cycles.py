"""Starting and stopping, over and over: nothing grows."""

from typing import Final

import psutil
import pytest

from tests.chaos.conftest import Serve
from tests.chaos.rig import FULL, Served, synthetic, wait

NR_CYCLES: Final = 100 if FULL else 10
NR_CONTEXTS: Final = 20
WARM_UP: Final = 2
"""Cycles after which pools and caches have their size."""
KEPT_SZ: Final = 2048
"""Bytes that the supervisor keeps for replay of each message here, as Python's objects (hub.py): they are no leak."""


def pss(pid: int) -> int:
    return int(psutil.Process(pid).memory_full_info().pss)


def measure(served: Served) -> tuple[int, int, int, int]:
    """Count processes and descriptors, of supervisor and launcher each; add up what the replay buffer holds."""
    supervisor, launcher = (psutil.Process(pid) for pid in served.family)
    return len(served.processes()), supervisor.num_fds(), launcher.num_fds(), supervisor.num_threads()


@pytest.mark.timeout(1800 if FULL else 120)
def test_start_and_stop(serve: Serve) -> None:
    """Cycles of 20 contexts leave processes, descriptors and threads as they were, and no memory but what is kept."""
    names = [f"c{number}" for number in range(NR_CONTEXTS)]
    served = serve("".join(synthetic(name, "autostart = false") for name in names), names=[])
    memory: list[tuple[int, int]] = []
    with served.client() as client, served.witness(*names) as witness:
        before, seen = measure(served), 0
        for number in range(WARM_UP + NR_CYCLES):
            client.start(*names)
            assert client.status()["nr_running"] == NR_CONTEXTS
            client.stop(*names)
            wait(lambda: len(served.processes()) == 2)
            if number == WARM_UP - 1:
                before, seen = measure(served), len(witness.seen)
            if number >= WARM_UP - 1:
                memory.append((pss(served.family[0]), pss(served.family[1])))
        wait(lambda: measure(served) == before, lambda: (measure(served), before))
        assert client.status()["drops"]["missed"] == dict.fromkeys(names, 0)
        kept = (
            len(witness.seen) - seen + NR_CONTEXTS * NR_CYCLES
        )  # and a summary of each worker, which it does not read
        sizes = [after - first for first, after in zip(memory[0], memory[-1], strict=True)]
        print(f"{NR_CYCLES} cycles of {NR_CONTEXTS}: supervisor {sizes[0]:+} B, launcher {sizes[1]:+} B, {kept} kept")
        assert sizes[0] < kept * KEPT_SZ + (4 << 20)  # and the last events of each context
        assert sizes[1] < 1 << 20
        assert [each for each in witness.seen if each.missed] == []
    served.end()
