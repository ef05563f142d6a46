"""The clock is set, and the disk is full: in a guest kernel only, for this machine's are not ours."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from damond.client import subscribe
from damond.core import Snapshot
from tests.chaos.conftest import Serve
from tests.chaos.rig import LIMIT_S, synthetic
from tests.kernel import kernels
from tests.kernel.kernels import CHECKOUT, UML

in_guest = pytest.mark.skipif(
    "DAMOND_GUEST_JOB" not in os.environ, reason="sets the clock, mounts: test_in_a_guest runs it in a guest kernel"
)
HOUR_S = 3600
TIMEOUT_S = 100
"""Takes 20 s on an idle machine."""


@pytest.mark.timeout(TIMEOUT_S + 40)
@pytest.mark.skipif("DAMOND_GUEST_JOB" in os.environ, reason="this is a guest")
def test_in_a_guest() -> None:
    """The other tests of this file pass in a guest kernel."""
    if why := kernels.missing(UML):
        pytest.skip(why)
    guest = [sys.executable, "-m", "tests.kernel.guest", "--timeout", str(TIMEOUT_S), "--"]
    words = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "-p", "no:xdist", __file__]
    done = subprocess.run([*guest, *words], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed, 1 skipped" in done.stdout, done.stdout


@in_guest
@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S], ids=["forward", "back"])
@pytest.mark.timeout(TIMEOUT_S)
def test_clock_steps(serve: Serve, step_s: int) -> None:
    """An hour either way costs no message and no worker; windows keep their length, and new ones have the new time."""
    served = serve(synthetic("one"))
    pid = served.row("one")["pid"]
    with served.witness() as witness:
        witness.wait_for_snapshots(2, "one")
        time.clock_settime(time.CLOCK_REALTIME, time.time() + step_s)
        witness.wait_for_snapshots(2, "one")
        with subscribe("one", runtime_dir=served.run).open() as subscriber:
            snapshot = subscriber.receive(LIMIT_S)
        assert isinstance(snapshot, Snapshot)
        assert abs(time.time_ns() - snapshot.end_ns) < LIMIT_S * 10**9
        assert 80_000_000 < snapshot.end_ns - snapshot.start_ns < LIMIT_S * 10**9
        assert witness.lost("one") == []
    row = served.row("one")
    assert (row["pid"], row["restarts"], row["healthy"]) == (pid, 0, True)
    served.end()


@in_guest
@pytest.mark.timeout(TIMEOUT_S)
def test_restart_after_a_step_back(serve: Serve) -> None:
    """A worker that starts an hour before the one that it replaces is taken for a new one nevertheless."""
    served = serve(synthetic("one"))
    with served.witness() as witness:
        witness.wait_for_snapshots(1, "one")
        time.clock_settime(time.CLOCK_REALTIME, time.time() - HOUR_S)
        with served.client() as client:
            client.stop("one")
            client.start("one")
        witness.wait(lambda seen: any(each.restarted and each.kind == "snapshot" for each in seen))
        assert [each for each in witness.seen if each.missed] == []
    served.end()


@in_guest
@pytest.mark.timeout(TIMEOUT_S)
def test_no_room_for_sockets(tmp_path: Path) -> None:
    """A file system without room for the sockets is told as what it is, and leaves no process."""
    run = tmp_path / "run"
    run.mkdir()
    # One inode for the directory itself, one for the lock.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=2,mode=700", "none", run], check=True)
    (tmp_path / "damond.toml").write_text('[service]\nmax_cpu = "off"\n' + synthetic("one"))
    words = ["serve", "--config", str(tmp_path / "damond.toml"), "--runtime-dir", str(run)]
    done = subprocess.run(
        [sys.executable, "-m", "damond", *words], capture_output=True, text=True, check=False, timeout=LIMIT_S
    )
    assert done.returncode == os.EX_CANTCREAT, done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
