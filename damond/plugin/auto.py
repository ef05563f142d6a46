"""Options beside ``primitive = "auto"``: they choose too, for a primitive that does not take them is passed over."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from damond.core import Primitive
from damond.errors import DamondError, InvalidOptionError, UnknownNameError
from damond.plugin.options import option_problems, read_option

Candidates = Sequence[type[Primitive]]


def takers(candidates: Candidates, given: Mapping[str, Any]) -> list[type[Primitive]]:
    """List the candidates that take all of the options."""
    return [each for each in candidates if not option_problems(each.name, each.Options, given)]


def auto_problems(candidates: Candidates, given: Mapping[str, Any]) -> list[DamondError]:
    """List why no candidate takes the options: unknown ones, bad values, or that they don't go together.

    Args:
        candidates: The primitives that ``auto`` may choose.
        given: Name -> value.
    """
    if not candidates or takers(candidates, given):
        return []
    problems = [each for name, value in given.items() if (each := _problem(candidates, name, value)) is not None]
    if problems:
        return problems
    reasons = [
        f"{cls.name}: {error.message.removeprefix(f'{cls.name}: ')}"
        for cls in candidates
        for error in option_problems(cls.name, cls.Options, given)
    ]
    return [
        InvalidOptionError(
            f"no primitive that auto may choose takes these options together: {'; '.join(reasons)}",
            hint="name the primitive that is meant instead of auto",
        )
    ]


def _problem(candidates: Candidates, name: str, value: Any) -> DamondError | None:
    """Say why no candidate takes one option; None if one does."""
    fields = {cls: {each.name: each for each in dataclasses.fields(cls.Options)} for cls in candidates}
    knowing = [cls for cls in candidates if name in fields[cls]]
    tried = f"auto tries {', '.join(cls.name for cls in candidates)}"
    if not knowing:
        return UnknownNameError("option", name, {each for known in fields.values() for each in known}, hint=tried)
    refusals: dict[str, DamondError] = {}
    for cls in knowing:
        try:
            read_option(cls.name, cls.Options, name, value)
        except DamondError as error:
            refusals[cls.name] = error
        else:
            return None
    if all(isinstance(each, UnknownNameError) for each in refusals.values()):
        choices = {str(each) for cls in knowing for each in fields[cls][name].metadata["choices"]}
        return UnknownNameError(name, str(value), choices, hint=tried)
    reasons = "; ".join(each.message for each in refusals.values())
    hints = dict.fromkeys(each.hint for each in refusals.values() if each.hint)
    return InvalidOptionError(f"no primitive takes it: {reasons}", hint="; or ".join(hints))
