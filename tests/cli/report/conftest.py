"""Records to report on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from damond.cli import main
from damond.core import Origin, Snapshot
from damond.record import RecordWriter
from tests.cli.report.make import as_process, summary
from tests.report.synthetic import MIB, monitor


@pytest.fixture(scope="session")
def snapshots() -> list[Snapshot]:
    """A minute of 128 MiB: 20 MiB of table.db are hot all the time, 20 MiB of the rest in the first half of 20 s."""
    pulsing = {"start": 80 * MIB, "size": 20 * MIB, "temporal": "square", "period": "20s"}
    tracks = [{"start": 40 * MIB, "size": 20 * MIB}, pulsing]
    return as_process(monitor({"size": 128 * MIB, "tracks": tracks}, 60).snapshots)


@pytest.fixture(scope="session")
def record(snapshots: list[Snapshot], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That minute in a record, without 10 s of it, and with the memory of its process."""
    path = tmp_path_factory.mktemp("record") / "web.damond"
    with RecordWriter(path) as writer:
        for seq, each in enumerate(snapshots):
            if not 200 <= seq < 300:
                writer.add(replace(each, context="web", origin=Origin(host="box", epoch=1, seq=seq)))
            if seq % 50 == 0:
                writer.add(summary(each))
    return path


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run `damond report` in 80 columns; return status, output and errors."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*args: str | Path) -> tuple[int, str, str]:
        status = main(["report", *map(str, args)])
        return status, *capsys.readouterr()

    return run
