"""Options of a primitive or a policy: a frozen dataclass is their schema.

Fields of type ``str``, ``int``, ``float``, ``bool`` and lists or tuples of anything are taken as they are. A field
made by :func:`option` may carry a parser (``parse_size``, ``parse_interval``) and the values it allows. Checks that
involve several fields go into ``__post_init__`` and raise ``ValueError`` (or ``InvalidOptionError``).
"""

import contextlib
import dataclasses
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from damond.errors import DamondError, InvalidOptionError, UnknownNameError


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str = "",  # noqa: A002
    parse: Callable[[Any], Any] | None = None,
    choices: Sequence[Any] = (),
) -> Any:
    """Declare one option as a dataclass field.

    Args:
        default: The value where the user gives none; without it the option is required.
        help: One line for people.
        parse: Turns what the user wrote into the value; raises ``ValueError`` where it can't.
        choices: The values allowed; empty means any.
    """
    metadata = {"help": help, "parse": parse, "choices": tuple(choices)}
    return dataclasses.field(default=default, metadata=metadata)


def parse_options(owner: str, schema: type, given: Mapping[str, Any]) -> Any:
    """Make the options of a primitive or a policy from a table of the configuration.

    Args:
        owner: Its name, for messages.
        schema: A frozen dataclass: ``Primitive.Options`` or ``Policy.Options``.
        given: Name -> value, as TOML or the command line gave it.

    Returns:
        An instance of ``schema``.

    Raises:
        UnknownNameError: An option is not in the schema; the nearest known one is named.
        InvalidOptionError: A value is missing, of a wrong type, or refused by the schema.
    """
    values, problems = _read(owner, schema, given)
    for problem in problems:
        raise problem
    return _make(owner, schema, values)


def option_problems(owner: str, schema: type, given: Mapping[str, Any]) -> list[DamondError]:
    """List everything that :func:`parse_options` would refuse, not the first only; arguments as there."""
    values, problems = _read(owner, schema, given)
    # What is unknown changes no meaning; beside a value that is missing or wrong the others can't be judged together.
    if all(isinstance(each, UnknownNameError) and each.code == "unknown_option" for each in problems):
        try:
            _make(owner, schema, values)
        except DamondError as error:
            problems.append(error)
    return problems


def _read(owner: str, schema: type, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[DamondError]]:
    """Read every option by itself; return what can be read, and what is wrong."""
    values: dict[str, Any] = {}
    problems: list[DamondError] = []
    for name, value in given.items():
        try:
            values[name] = read_option(owner, schema, name, value)
        except DamondError as error:
            problems.append(error)
    missing = [
        field.name
        for field in dataclasses.fields(schema)
        if field.name not in given and field.default is field.default_factory is dataclasses.MISSING
    ]
    if missing:
        words = f"{owner}: {', '.join(missing)} must be given"
        problems.append(InvalidOptionError(words, hint=f"add it to the options, or -O {missing[0]}=VALUE"))
    return values, problems


def read_option(owner: str, schema: type, name: str, value: Any) -> Any:
    """Read one option by itself; arguments and errors as those of :func:`parse_options`."""
    fields = {field.name: field for field in dataclasses.fields(schema)}
    if name not in fields:
        raise UnknownNameError("option", name, fields, hint=f"options of {owner!r}")
    return _value(f"{owner}: {name}", fields[name], typing.get_type_hints(schema)[name], value)


def _make(owner: str, schema: type, values: Mapping[str, Any]) -> Any:
    try:
        return schema(**values)
    except DamondError:
        raise
    except (ValueError, TypeError) as error:
        raise InvalidOptionError(f"{owner}: {error}", hint="change one of these options") from error


def _value(label: str, field: "dataclasses.Field[Any]", hint: Any, value: Any) -> Any:
    parse, choices = field.metadata.get("parse"), field.metadata.get("choices", ())
    try:
        value = _coerce(hint, value) if parse is None else parse(value)
    except (ValueError, TypeError) as error:
        raise _refused(label, value, error, field) from error
    if choices and value not in choices:
        raise UnknownNameError(field.name, str(value), map(str, choices), hint=label)
    return value


def _refused(label: str, value: Any, error: Exception, field: "dataclasses.Field[Any]") -> InvalidOptionError:
    """Say why a value can't be read, in the words of the error; the hint is the error's, or the option's help."""
    message, hint = (error.message, error.hint) if isinstance(error, DamondError) else (str(error), "")
    words = field.metadata.get("help", "")
    return InvalidOptionError(
        f"{label} = {value!r}: {message}", hint=hint or (f"it is: {words}" if words else "change it")
    )


_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


_NEEDED = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text in quotes",
    tuple: "a list, [...]",
}


def _coerce(hint: Any, value: Any) -> Any:
    """Check a value against simple types; text from the command line becomes a number or a truth value."""
    if isinstance(hint, types.UnionType):
        allowed = typing.get_args(hint)
        if value is None and type(None) in allowed:
            return None
        hint = next(each for each in allowed if each is not type(None))
    if hint is bool and isinstance(value, str):
        value = _WORDS.get(value.lower(), value)
    elif hint in (int, float) and isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = hint(value.replace("_", ""))
    origin = typing.get_origin(hint) or hint
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if origin is tuple and isinstance(value, list):
        value = tuple(value)
    if isinstance(origin, type) and (not isinstance(value, origin) or (origin is int and isinstance(value, bool))):
        name = getattr(origin, "__name__", str(origin))
        raise InvalidOptionError(f"must be of type {name}", hint=f"{_NEEDED.get(origin, f'a {name}')} is needed")
    return value
