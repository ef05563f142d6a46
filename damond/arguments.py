"""Types of arguments, checked by their annotations: what a compiler does for the functions of damon.h."""

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from damond.errors import UsageError

_P = ParamSpec("_P")
_R = TypeVar("_R")

Words = Mapping[type, tuple[str, str]]
"""Type -> what it is called, and how to come by one."""


def checker(words: Words) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Make a decorator that refuses arguments of wrong types as the kernel would: EINVAL.

    ``int`` takes every whole number (numpy's too) and no truth value, and a sequence anything that can be iterated;
    the function gets an ``int`` and a ``list`` then. Other annotations are classes, ``None`` and alternatives.

    Args:
        words: What to say of a type.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
            bound = signature.bind(*args, **kwargs)
            hints = _hints(function)
            for name, value in bound.arguments.items():
                label = f"{function.__name__}: {name}"
                if signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                    bound.arguments[name] = tuple(_take(label, each, hints[name], words) for each in value)
                else:
                    bound.arguments[name] = _take(label, value, hints[name], words)
            return function(*bound.args, **bound.kwargs)

        return call

    return decorate


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    return typing.get_type_hints(function)


def _take(label: str, value: Any, hint: Any, words: Words) -> Any:
    """Return a value as the annotation has it.

    Raises:
        UsageError: It is something else.
    """
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = [each for each in typing.get_args(hint) if each is not types.NoneType]
    origin = typing.get_origin(hint)
    if origin is not None:
        if not isinstance(value, Iterable) or isinstance(value, str):
            raise UsageError(f"{label} = {value!r} is no list", hint="give a list, also of one")
        (inner,) = typing.get_args(hint)
        return [_take(f"{label}[{index}]", each, inner, words) for index, each in enumerate(value)]
    if hint is int and not isinstance(value, bool) and hasattr(value, "__index__"):
        return operator.index(value)
    if hint is int or not isinstance(value, hint):
        what, how = words.get(hint, (hint.__name__, f"give a {hint.__name__}"))
        raise UsageError(f"{label} = {value!r} is no {what}", hint=how)
    return value
