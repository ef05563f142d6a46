"""Patience with files that are busy."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from damond_accessbits import Root
from damond_kdamond.files import Files, patiently


def failing(times: int, number: int) -> Callable[[], str]:
    """Make an action that fails so often before it works."""
    answers = iter([OSError(number, "no")] * times)

    def action() -> str:
        error = next(answers, None)
        if error is not None:
            raise error
        return "done"

    return action


def test_busy_for_a_moment() -> None:
    """EBUSY passes when whoever looked has gone."""
    assert patiently(failing(3, errno.EBUSY)) == "done"


@pytest.mark.parametrize(
    ("number", "patience_s"),
    [pytest.param(errno.EBUSY, 0, id="busy for too long"), pytest.param(errno.EINVAL, 60, id="another error")],
)
def test_errors_pass(number: int, patience_s: float) -> None:
    """Patience has a limit, and is for EBUSY only."""
    with pytest.raises(OSError, match="no") as caught:
        patiently(failing(1, number), patience_s)
    assert caught.value.errno == number


def test_write_and_read(tmp_path: Path) -> None:
    """A value is written as echo would, and read without its newline."""
    (tmp_path / "file").write_text("something longer")
    files = Files(Root(str(tmp_path)))
    files.write("file", 7)
    assert (tmp_path / "file").read_text() == "7\n"
    assert files.read_int("file") == 7


def test_failed_write_names_the_file(tmp_path: Path) -> None:
    """What the kernel refuses is told with the name of the file."""
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        Files(Root(str(tmp_path))).write("full", 1)
    assert caught.value.filename == str(tmp_path / "full")


def test_directories(tmp_path: Path) -> None:
    """Directories are made and removed."""
    files = Files(Root(str(tmp_path)))
    files.mkdir("one")
    assert files.inode("one") == (tmp_path / "one").stat().st_ino
    files.rmdir("one")
    assert not (tmp_path / "one").exists()
