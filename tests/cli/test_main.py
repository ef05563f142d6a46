import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import click
import pytest

from damond import __version__
from damond.cli import COMMANDS, main
from damond.errors import UnreachableError


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Leave the root logger as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _command(monkeypatch: pytest.MonkeyPatch, ending: BaseException | int) -> None:
    @click.command()
    def command() -> int:
        if isinstance(ending, BaseException):
            raise ending
        return ending

    module = ModuleType("damond.cli.status")
    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "damond.cli.status", module)


@pytest.mark.parametrize(
    ("ending", "status", "printed"),
    [
        (
            UnreachableError("no supervisor answers", hint="damond serve"),
            os.EX_UNAVAILABLE,
            "damond: error: no supervisor answers\nhint: damond serve\n",
        ),
        (UnreachableError("gone"), os.EX_UNAVAILABLE, "damond: error: gone\n"),
        (click.UsageError("bad"), os.EX_USAGE, "damond: error: bad\nhint: see 'damond status --help'\n"),
        (KeyboardInterrupt(), 130, "\n"),
        (7, 7, ""),
        (0, 0, ""),
    ],
    ids=["with a hint", "without", "usage", "Ctrl-C", "a status", "success"],
)
def test_errors_become_words_and_a_status(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ending: BaseException | int,
    status: int,
    printed: str,
) -> None:
    """What a command raises is printed on standard error, and the exit status says its kind."""
    _command(monkeypatch, ending)
    assert main(["status"]) == status
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", printed)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["statsu"], "there is no command 'statsu': did you mean 'status'?"),
        (["--verbos"], "--verbos"),
        ([], "Usage: damond"),
    ],
    ids=["a mistyped command", "a mistyped option", "no command"],
)
def test_usage_errors_end_with_64(capsys: pytest.CaptureFixture[str], args: list[str], words: str) -> None:
    """Mistakes on the command line have a status of their own, and an answer."""
    assert main(args) == os.EX_USAGE
    assert words in capsys.readouterr().err


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody raised on purpose keeps its traceback."""
    _command(monkeypatch, ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        main(["status"])


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The version is that of the package; help lists every command."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"damond {__version__}\n"
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in COMMANDS)


def test_help_imports_no_command() -> None:
    """``damond --help`` is quick: neither rich nor zmq nor any command is imported for it."""
    code = (
        "import sys\nfrom damond.cli import main\nmain(['--help'])\n"
        "print(sorted({'rich', 'zmq', 'numpy', 'pydantic'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == "[]\n"


def test_a_closed_pipe_is_quiet() -> None:
    """A reader that goes away, as ``head`` does, gets no traceback for it."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as pipe:  # noqa: PTH123 - a file descriptor
        done = subprocess.run(
            [sys.executable, "-m", "damond", "plugins"], stdout=pipe, stderr=subprocess.PIPE, timeout=30, check=False
        )
    assert done.stderr == b""
    assert done.returncode == 1
