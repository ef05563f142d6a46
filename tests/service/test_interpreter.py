"""Parts of the service in interpreters of their own."""

import subprocess
from pathlib import Path

import pytest

from damond.service import interpreter


def test_the_working_directory_is_no_place_for_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that lies where the service happens to be started is not run; what this process can import is."""
    (tmp_path / "msgpack.py").write_text("raise SystemExit('a stranger's')\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "damond_said.py").write_text("import msgpack; print(msgpack.packb(1))\n")
    monkeypatch.syspath_prepend(tmp_path / "other")
    done = subprocess.run(
        interpreter.command("damond_said"),
        env=interpreter.environment(), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("b'\\x01'\n", "")
