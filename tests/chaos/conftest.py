"""Services that are given up for the tests here."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.rig import Served, synthetic

Serve = Callable[..., Served]

STEADY = ("steady0", "steady1")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start services; what is left of them at the end is ended."""
    made: list[Served] = []

    def start(text: str = "".join(map(synthetic, STEADY)), **how: Any) -> Served:
        made.append(Served(tmp_path, text, **how))
        return made[-1]

    yield start
    for each in made:
        each.abandon()
