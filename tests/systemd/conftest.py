"""One boot for all tests that judge it, whatever the number of pytest's own processes."""

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.tree import NotHere, proven


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What proof.py saw in the booted system."""
    shared: Path = tmp_path_factory.getbasetemp()
    if hasattr(request.config, "workerinput"):  # a process of pytest-xdist: its directory is beside the others'
        shared = shared.parent
    result = shared / "systemd-facts.json"
    with (shared / "systemd-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            try:
                result.write_text(json.dumps(proven()))
            except NotHere as reason:
                result.write_text(json.dumps({"not here": str(reason)}))
    found: dict[str, Any] = json.loads(result.read_text())
    if "not here" in found:
        pytest.skip(found["not here"])
    return found
