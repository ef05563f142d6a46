"""Errors: what programs may rely on."""

import ast
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from damond import errors
from damond.errors import (
    AlreadyServedError,
    BusyError,
    ConfigError,
    ContextExistsError,
    DamondError,
    InvalidAttrsError,
    InvalidNameError,
    InvalidOptionError,
    InvalidRegionError,
    KdamondRunningError,
    NoSuchProcessError,
    NothingRecordedError,
    NotPermittedError,
    NotRunningError,
    PluginError,
    ProcessAccessError,
    ProtocolError,
    RecordBusyError,
    RecordError,
    RecordFullError,
    RemoteError,
    RuntimeDirError,
    ServiceFailedError,
    SourceUnavailableError,
    UnknownNameError,
    UnreachableError,
    UsageError,
    WorkerFailedError,
    from_code,
    nearest,
)

ROOT = Path(__file__).parents[1]

PLAIN = [
    AlreadyServedError,
    BusyError,
    ContextExistsError,
    InvalidNameError,
    InvalidOptionError,
    InvalidRegionError,
    KdamondRunningError,
    NoSuchProcessError,
    NotPermittedError,
    NotRunningError,
    NothingRecordedError,
    PluginError,
    ProcessAccessError,
    ProtocolError,
    RecordBusyError,
    RecordError,
    RecordFullError,
    RuntimeDirError,
    ServiceFailedError,
    UnreachableError,
    UsageError,
    WorkerFailedError,
]

WITH_OWN_HINT = {InvalidAttrsError, UnknownNameError}
"""What makes its hint itself where none is given."""

EVERY = [
    *(cls("it broke", hint="mend it") for cls in PLAIN),
    ConfigError("it broke", ["one", "two"], hint="mend it"),
    InvalidAttrsError("min_nr_regions", 1, "must be at least 3"),
    SourceUnavailableError("page_idle", "is not there", hint="use another"),
    UnknownNameError("primitive", "fysical", ["physical"]),
]


def test_every_error_is_here() -> None:
    """The table below has every error that damond defines, but for those made by it alone."""
    defined = {each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, DamondError)}
    assert defined - {type(each) for each in EVERY} == {DamondError, RemoteError, errors.InvalidUnitError}


def _raised() -> Iterator[tuple[str, ast.Call]]:
    """Find every place in the sources where an error is made."""
    classes = {name for name, each in vars(errors).items() if isinstance(each, type) and issubclass(each, DamondError)}
    classes -= {each.__name__ for each in WITH_OWN_HINT}
    for path in sorted(each for folder in ("damond", "plugins") for each in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_error_says_what_to_do() -> None:
    """Wherever an error is made on purpose, it is given a hint, and no empty one."""
    made = dict(_raised())
    assert len(made) > 100
    hints = {where: [each.value for each in node.keywords if each.arg == "hint"] for where, node in made.items()}
    without = [where for where, found in hints.items() if not found]
    empty = [
        where for where, found in hints.items() if found and isinstance(found[0], ast.Constant) and not found[0].value
    ]
    assert (without, empty) == ([], [])


@pytest.mark.parametrize("error", EVERY, ids=lambda each: each.code)
def test_hints_are_there(error: DamondError) -> None:
    """Also those that make their hint themselves have one."""
    assert error.hint


def test_codes_are_unique() -> None:
    """A code names one class."""
    codes = [each.code for each in EVERY]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("error", EVERY, ids=lambda each: each.code)
def test_crosses_processes(error: DamondError) -> None:
    """Code, message and hint are enough to raise the same error elsewhere."""
    rebuilt = from_code(error.code, error.message, error.hint)
    assert type(rebuilt) is type(error)
    assert (rebuilt.code, rebuilt.message, rebuilt.hint) == (error.code, error.message, error.hint)
    assert (rebuilt.errno, rebuilt.exit_code, str(rebuilt)) == (error.errno, error.exit_code, str(error))


@pytest.mark.parametrize("error", EVERY, ids=lambda each: each.code)
def test_exit_codes_are_sysexits(error: DamondError) -> None:
    """Every error ends the process with a code of sysexits.h that is no success."""
    assert os.EX_USAGE <= error.exit_code <= os.EX_CONFIG


def test_subclasses_do_not_take_a_code() -> None:
    """A plugin may refine an error: what arrives elsewhere is still the class that the code belongs to."""

    class HiddenError(SourceUnavailableError):
        pass

    error = HiddenError("page_idle", "is hidden", hint="be root")
    assert type(from_code(error.code, error.message, error.hint)) is SourceUnavailableError


def test_unknown_code() -> None:
    """An error of a newer version keeps its code and words."""
    error = from_code("quota_exceeded", "too much", "ask for less")
    assert isinstance(error, RemoteError)
    assert (error.code, str(error)) == ("quota_exceeded", "too much (ask for less)")


def test_unknown_names_keep_what_they_are_of() -> None:
    """The code of an unknown name says what it should have been."""
    assert UnknownNameError("verb", "n" * 250_000, []).message == f"unknown verb '{'n' * 80}...'"
    assert UnknownNameError("access source", "x", []).code == "unknown_access_source"
    assert isinstance(from_code("unknown_access_source", "m", "h"), UnknownNameError)


@pytest.mark.parametrize(
    ("cls", "number"),
    [
        (InvalidRegionError, errno.EINVAL),
        (ContextExistsError, errno.EBUSY),
        (BusyError, errno.EBUSY),
        (NotRunningError, errno.EPERM),
        (NoSuchProcessError, errno.ESRCH),
        (ProcessAccessError, errno.EPERM),
    ],
    ids=lambda each: getattr(each, "code", each),
)
def test_errno_is_the_kernels(cls: type[DamondError], number: int) -> None:
    """What the kernel's DAMON would return."""
    assert cls("m").errno == number


def test_text() -> None:
    """The message, and the hint in brackets if there is one."""
    assert str(UsageError("wrong")) == "wrong"
    assert str(UsageError("wrong", hint="do right")) == "wrong (do right)"


def test_config_error_lists_its_problems() -> None:
    """Every problem has its line."""
    error = ConfigError("two problems", ["one", "two"])
    assert str(error).splitlines() == ["two problems", "  - one", "  - two"]
    assert error.problems == ("one", "two")


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("fysical", ["vaddr", "physical"], "did you mean 'physical'?"),
        ("zzz", ["vaddr", "physical"], "known: physical, vaddr"),
        ("zzz", [], "none is known"),
        ("x" * 80, ["x" * 79, "y"], f"did you mean {'x' * 79!r}?"),
        ("x" * 81, ["x" * 79, "y"], f"known: {'x' * 79}, y"),
    ],
    ids=["near", "far", "nothing known", "long", "too long to be compared"],
)
def test_nearest(name: str, known: list[str], expected: str) -> None:
    """The nearest word if one is near, else all of them."""
    assert nearest(name, known) == expected
