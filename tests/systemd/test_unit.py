"""The unit as the checkout has it."""

import re
import shutil
import subprocess

import pytest

from tests.kernel.kernels import CHECKOUT


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here: apt-get install systemd")
def test_exposure() -> None:
    """The unit leaves open at most 3.5 of 10, as systemd counts."""
    line = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(CHECKOUT / "systemd/damond.service")]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    found = re.search(r"Overall exposure level for damond.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= 3.5
