"""What all tests share."""

import os
from pathlib import Path

import hypothesis
import pytest

# A BLAS nobody calls would start threads in every process of every test.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What a property takes on a busy machine says nothing about it.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory with a path short enough for sockets."""
    directory = tmp_path / "run"
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    return directory
