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
    fields = {field.name: field for field in dataclasses.fields(schema)}
    hints = typing.get_type_hints(schema)
    values = {}
    for name, value in given.items():
        if name not in fields:
            raise UnknownNameError("option", name, fields, hint=f"options of {owner!r}")
        values[name] = _value(f"{owner}: {name}", fields[name], hints[name], value)
    missing = [
        name
        for name, field in fields.items()
        if name not in values and field.default is field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InvalidOptionError(f"{owner}: {', '.join(missing)} must be given")
    try:
        return schema(**values)
    except DamondError:
        raise
    except (ValueError, TypeError) as error:
        raise InvalidOptionError(f"{owner}: {error}") from error


def _value(label: str, field: "dataclasses.Field[Any]", hint: Any, value: Any) -> Any:
    parse, choices = field.metadata.get("parse"), field.metadata.get("choices", ())
    if parse is not None:
        try:
            value = parse(value)
        except (ValueError, TypeError) as error:
            raise InvalidOptionError(f"{label} = {value!r}: {error}") from error
    else:
        value = _coerce(label, hint, value)
    if choices and value not in choices:
        raise UnknownNameError(field.name, str(value), map(str, choices), hint=label)
    return value


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


def _coerce(label: str, hint: Any, value: Any) -> Any:
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
        raise InvalidOptionError(f"{label} = {value!r}: must be of type {getattr(origin, '__name__', origin)}")
    return value
