import logging
from pathlib import Path

import pytest

from tests.kdamond.fakes import FakeKernel


@pytest.fixture
def kernel(tmp_path: Path) -> FakeKernel:
    """A kernel with DAMON and tracefs, and nobody who uses them."""
    return FakeKernel(tmp_path)


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "damond_kdamond")
