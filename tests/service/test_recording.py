"""The service records by itself: a process of its own, kept alive, seen in status."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from damond.client import Client
from damond.errors import ConfigError
from damond.plugin import Registry
from damond.record import Record, Recorder
from damond.service import config
from damond.service.privileges import Identity
from damond.service.recording import Recording, RecordSettings
from damond.service.state_dir import hand_over

LIMIT_S = 50.0
CONTEXTS = """
[context.one]
primitive = "synthetic"
sample_interval = "20ms"
[context.two]
primitive = "synthetic"
sample_interval = "20ms"
"""


class Served:
    """``damond serve`` with a [record] table."""

    def __init__(self, directory: Path, table: str) -> None:
        self.runtime = directory / "run"
        self.config = directory / "damond.toml"
        self.config.write_text("service.max_cpu = 'off'\n" + table + CONTEXTS)
        line = [
            sys.executable,
            "-m",
            "damond",
            "serve",
            "--config",
            str(self.config),
            "--runtime-dir",
            str(self.runtime),
        ]
        env = {name: value for name, value in os.environ.items() if name != "STATE_DIRECTORY"}
        self._process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env=env)
        assert self._process.stderr is not None
        for each in self._process.stderr:
            if "serving" in each:
                return
        pytest.fail("it does not serve")

    def record(self) -> dict[str, Any]:
        with Client(self.runtime) as client:
            return dict(client.status()["record"])

    def wait(self, what: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until the recorder is as it should be."""
        deadline_s = time.monotonic() + LIMIT_S
        while not what(state := self.record()):
            assert time.monotonic() < deadline_s, "\n".join(f"{name}: {value}" for name, value in state.items())
            threading.Event().wait(0.1)  # polls what has no event of its own
        return state

    def end(self) -> str:
        """End it; return what it wrote to standard error."""
        self._process.send_signal(signal.SIGTERM)
        _, text = self._process.communicate(timeout=LIMIT_S)
        return text


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[str], Served]]:
    """Start services; all are ended."""
    started: list[Served] = []

    def start(table: str) -> Served:
        started.append(Served(tmp_path, table))
        return started[-1]

    yield start
    for each in started:
        if each._process.poll() is None:
            each.end()


def _seqs(path: Path, name: str) -> list[int]:
    with Record.open(path) as record:
        return [each.origin.seq for each in record.snapshots(name) if each.origin]


def test_the_service_records(serve: Callable[[str], Served], tmp_path: Path) -> None:
    """From the first snapshot of all contexts to their last event; members of the group may read it."""
    path = tmp_path / "a.damond"
    served = serve(f'[record]\npath = "{path}"\n')
    state = served.wait(lambda record: (record["nr_snapshots"] or 0) > 20)
    assert (state["state"], state["path"], state["trouble"], state["restarts"]) == ("running", str(path), "", 0)
    assert path.stat().st_mode & 0o777 == 0o640
    served.end()
    assert [each.name for each in tmp_path.glob("a.*")] == ["a.damond"]
    with Record.open(path) as record:
        assert [each.name for each in record.contexts()] == ["one", "two"]
        assert [each.event for each in record.events("one")][-2:] == ["stopping", "stopped"]
        assert list(record.gaps("one")) == []
    assert _seqs(path, "one") == list(range(len(_seqs(path, "one"))))


def test_only_some_contexts(serve: Callable[[str], Served], tmp_path: Path) -> None:
    """Those that are named."""
    path = tmp_path / "a.damond"
    served = serve(f'[record]\npath = "{path}"\ncontexts = ["two"]\n')
    served.wait(lambda record: (record["nr_snapshots"] or 0) > 5)
    served.end()
    with Record.open(path) as record:
        assert [each.name for each in record.contexts()] == ["two"]


def test_a_recorder_that_dies_is_started_again(serve: Callable[[str], Served], tmp_path: Path) -> None:
    """Monitoring goes on, and what came meanwhile is fetched: nothing is missing in the record."""
    path = tmp_path / "a.damond"
    served = serve(f'[record]\npath = "{path}"\n')
    first = served.wait(lambda record: (record["nr_snapshots"] or 0) > 10)
    os.kill(first["pid"], signal.SIGKILL)
    second = served.wait(lambda record: record["restarts"] == 1 and (record["nr_snapshots"] or 0) > 10)
    assert second["pid"] != first["pid"]
    assert "the recorder has ended (signal 9)" in served.end()
    for name in ("one", "two"):
        seqs = _seqs(path, name)
        assert seqs == list(range(len(seqs)))


def test_a_record_that_can_not_be_written_is_told(serve: Callable[[str], Served], tmp_path: Path) -> None:
    """In status, with what to do; it is tried again, and goes on once it can."""
    path = tmp_path / "a.damond"
    path.write_text("not a record\n" * 1000)
    served = serve(f'[record]\npath = "{path}"\n')
    state = served.wait(lambda record: record["error"])
    assert "no record" in state["error"]["message"]
    done = subprocess.run(
        [sys.executable, "-m", "damond", "status", "--runtime-dir", str(served.runtime)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"recording into {path}: " in done.stdout.replace("\n", " ")
    path.unlink()
    served.wait(lambda record: (record["nr_snapshots"] or 0) > 5)


def test_reload_changes_what_is_recorded(serve: Callable[[str], Served], tmp_path: Path) -> None:
    """Another path is another file; without the table nothing is recorded; contexts go on."""
    one, two = tmp_path / "a.damond", tmp_path / "b.damond"
    served = serve(f'[record]\npath = "{one}"\n')
    served.wait(lambda record: (record["nr_snapshots"] or 0) > 5)
    served.config.write_text(f'service.max_cpu = "off"\n[record]\npath = "{two}"\nmax_age = "1h"\n' + CONTEXTS)
    with Client(served.runtime) as client:
        assert client.reload()["recording"] == [f"into {two}"]
        served.wait(lambda record: record["path"] == str(two) and (record["nr_snapshots"] or 0) > 5)
        assert len(_seqs(one, "one")) > 0
        served.config.write_text('service.max_cpu = "off"\n' + CONTEXTS)
        assert client.reload()["recording"] == ["off"]
        status = client.status()
    assert status["record"] is None
    assert status["nr_running"] == 2


def test_reloads_come_one_after_the_other(serve: Callable[[str], Served], tmp_path: Path) -> None:
    """Whoever asks twice leaves no recorder behind that nobody knows of: the service ends, and its record is free."""
    served = serve(f'[record]\npath = "{tmp_path / "a.damond"}"\n')
    served.wait(lambda record: record["state"] == "running")
    two = tmp_path / "b.damond"
    served.config.write_text(f'service.max_cpu = "off"\n[record]\npath = "{two}"\n' + CONTEXTS)
    for _ in range(2):
        served._process.send_signal(signal.SIGHUP)
    served.wait(lambda record: record["path"] == str(two) and (record["nr_snapshots"] or 0) > 5)
    served.end()
    with Recorder(two):
        assert len(_seqs(two, "one")) > 0


def test_a_recorder_that_can_not_be_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why, with what helps; it is tried again, and the service can end."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    async def serve() -> dict[str, Any]:
        recording = Recording(tmp_path, RecordSettings(tmp_path / "a.damond"))
        recording.start()
        async with asyncio.timeout(LIMIT_S):
            while recording.describe()["restarts"] < 2:  # noqa: ASYNC110 - it has no event of its own
                await asyncio.sleep(0.01)
        found = recording.describe()
        await recording.close()
        return found

    found = asyncio.run(serve())
    assert found["state"] == "backoff"
    assert "can't be run: No such file or directory" in found["error"]["message"]
    assert found["error"]["hint"]


def test_no_recorder_outlives_its_supervisor(serve: Callable[[str], Served], tmp_path: Path) -> None:
    """A supervisor that is killed takes the recorder with it, which still writes the rest."""
    path = tmp_path / "a.damond"
    served = serve(f'[record]\npath = "{path}"\n')
    state = served.wait(lambda record: (record["nr_snapshots"] or 0) > 5)
    pidfd = os.pidfd_open(state["pid"])
    served._process.kill()
    served._process.communicate(timeout=LIMIT_S)
    assert _ends(pidfd)
    assert [each.name for each in tmp_path.glob("a.*")] == ["a.damond"]
    assert len(_seqs(path, "one")) > 0


def _ends(pidfd: int) -> bool:
    ready = select.select([pidfd], (), (), LIMIT_S)[0]
    os.close(pidfd)
    return bool(ready)


def _parse(text: str) -> config.Config:
    return config.parse(tomllib.loads(text + CONTEXTS), Registry(), "x")


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is that of the service's state, where systemd gives one; a size bounds it in any case."""
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/damond:/var/lib/other")
    table = _parse("[record]\nmax_age = '7d'").record
    assert table is not None
    settings = table.settings()
    assert str(settings.path) == "/var/lib/damond/record.damond"
    assert (settings.max_age_us, settings.max_sz_bytes) == (7 * 86400 * 1_000_000, 1 << 30)
    assert _parse("").record is None
    monkeypatch.delenv("STATE_DIRECTORY")
    with pytest.raises(ConfigError, match="needs path"):
        table.settings()


BAD = {
    "an unknown context": ("contexts = ['thre']", "unknown context 'thre'"),
    "an unknown key": ("max_agee = '7d'", "unknown key 'max_agee' (did you mean 'max_age'?)"),
    "no unit": ("max_age = 7", 'such as "7d"'),
    "a wrong unit": ("max_size = '7d'", "unknown unit"),
    "too small": ("max_size = '1MiB'", "16 MiB"),
    "too short": ("max_age = '1s'", "below a minute"),
    "no list": ("contexts = 'one'", "must be a list"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_told(case: str) -> None:
    """Where it is, and what would be right."""
    text, words = BAD[case]
    with pytest.raises(ConfigError) as caught:
        _parse(f"[record]\n{text}")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("record")
    assert words in caught.value.problems[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files away: run it as root")
def test_the_state_is_handed_over(tmp_path: Path) -> None:
    """Directory and plain files go to the user; what may be elsewhere by another name does not."""
    state, outside = tmp_path / "state", tmp_path / "outside"
    state.mkdir()
    outside.write_text("root's")
    (state / "record.damond").write_text("")
    (state / "link").symlink_to(outside)
    (state / "hard").hardlink_to(outside)
    hand_over(state, Identity(65534, 65534))
    assert (state.stat().st_uid, state.stat().st_gid, state.stat().st_mode & 0o777) == (65534, 65534, 0o750)
    assert (state / "record.damond").stat().st_uid == 65534
    assert outside.stat().st_uid == 0
    with pytest.raises(ValueError, match="is no directory of the service"):
        hand_over(Path(), Identity(65534, 65534))
