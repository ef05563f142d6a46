"""What all tests share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# A BLAS nobody calls would start threads in every process of every test.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# What a property takes on a busy machine says nothing about it.
hypothesis.settings.register_profile("no-deadline", deadline=None)
hypothesis.settings.load_profile("no-deadline")


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory that other users may enter; those of pytest are private, and are made so again by every run of it."""
    with tempfile.TemporaryDirectory(prefix="damond-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A runtime directory with a path short enough for sockets."""
    directory = tmp_path / "run"
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    return directory
