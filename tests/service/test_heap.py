"""What the allocator of a worker holds on to."""

import subprocess
import sys

_FAULTS = """
import resource, sys
import numpy as np
from damond.service import heap
if sys.argv[1] == "keep":
    heap.keep()
def work():
    arrays = [np.ones(20_000) for _ in range(5)]
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
before = faults()
for _ in range(100):
    work()
print((faults() - before) // 100)
"""


def faults(what: str) -> int:
    """Count the page faults of making and dropping five arrays of 160 kB, in a process that does it again and again."""
    command = [sys.executable, "-c", _FAULTS, what]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def test_arrays_cost_no_page_faults() -> None:
    """What is free stays with the process, up to a mebibyte; by itself it is given back and faulted in again."""
    assert faults("keep") == 0
    assert faults("as it is") > 50
