"""The runtime directory is private, and serves one supervisor at a time."""

import os
from pathlib import Path

import pytest

from damond.errors import AlreadyServedError, RuntimeDirError
from damond.service.runtime_dir import RuntimeDir
from damond.stream.endpoints import default_runtime_dir


def test_made_private(runtime: Path) -> None:
    """It is made with mode 0700 and let go of on close."""
    with RuntimeDir(runtime):
        assert runtime.stat().st_mode & 0o777 == 0o700
    with RuntimeDir(runtime):
        pass


def test_one_at_a_time(runtime: Path) -> None:
    """A second supervisor is refused, and the first one's pid is named."""
    with RuntimeDir(runtime), pytest.raises(AlreadyServedError, match=f"pid {os.getpid()}"):
        RuntimeDir(runtime)


def test_not_private(runtime: Path) -> None:
    """A directory that others may write to is refused, with the remedy."""
    runtime.mkdir()
    runtime.chmod(0o777)
    with pytest.raises(RuntimeDirError, match="not private") as caught:
        RuntimeDir(runtime)
    assert "chmod 700" in caught.value.hint


@pytest.mark.parametrize("mode", [0o755, 0o1777], ids=["as /etc", "as /tmp"])
def test_somebody_elses_directory_is_left_alone(runtime: Path, mode: int) -> None:
    """A directory with other things in it is not made private, nor is the user told to: it may be /etc or /tmp."""
    runtime.mkdir()
    (runtime / "passwd").write_text("")
    runtime.chmod(mode)
    with pytest.raises(RuntimeDirError, match="not damond's own: it holds 'passwd'") as caught:
        RuntimeDir(runtime)
    assert "chmod" not in caught.value.hint
    assert runtime.stat().st_mode & 0o7777 == mode
    assert [each.name for each in runtime.iterdir()] == ["passwd"]


def test_only_sockets_are_removed(runtime: Path) -> None:
    """What has the name of a socket and is none stays where it is."""
    runtime.mkdir(mode=0o700)
    (runtime / "stream").write_text("mine")
    with RuntimeDir(runtime):
        pass
    assert (runtime / "stream").read_text() == "mine"


def test_empty_directory_is_made_private(runtime: Path) -> None:
    """An empty one that others may read, as mkdir makes it, becomes private."""
    runtime.mkdir(mode=0o755)
    with RuntimeDir(runtime):
        assert runtime.stat().st_mode & 0o777 == 0o700


def test_no_directory(runtime: Path) -> None:
    """A file in its place is refused."""
    runtime.write_text("")
    with pytest.raises(RuntimeDirError, match="is no directory"):
        RuntimeDir(runtime)


def test_symlink(runtime: Path, tmp_path: Path) -> None:
    """A link in its place is refused: it may lead anywhere."""
    runtime.symlink_to(tmp_path)
    with pytest.raises(RuntimeDirError, match="no directory"):
        RuntimeDir(runtime)


def test_no_parent(tmp_path: Path) -> None:
    """Parents are not made."""
    with pytest.raises(RuntimeDirError, match="No such file"):
        RuntimeDir(tmp_path / "a" / "b")


def test_too_long(tmp_path: Path) -> None:
    """A path that no socket could have is refused before anything is made."""
    with pytest.raises(RuntimeDirError, match="too long"):
        RuntimeDir(tmp_path / ("x" * 120))


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        pytest.param({"RUNTIME_DIRECTORY": "/run/x:/run/y"}, "/run/x", id="systemd's first"),
        pytest.param({"XDG_RUNTIME_DIR": "/run/user/1"}, "/run/user/1/damond", id="the user's"),
    ],
)
def test_default(env: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Systemd's directory comes first, then root's, then the user's own."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert str(default_runtime_dir()) == expected
