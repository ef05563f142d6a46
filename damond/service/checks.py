"""What is wrong with a context beyond the types of its keys: plugins, options, targets, attributes."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from damond.core.attrs import attrs_problems
from damond.core.context import check_name
from damond.core.primitive import Primitive
from damond.errors import DamondError, UsageError
from damond.plugin import Registry

_PROCESSES: Final = ("pid", "pids", "select", "children", "command")
_TARGETS: Final = ("pid", "pids", "targets", "select", "command")


def context_problems(
    name: str, table: Mapping[str, Any], attrs: Mapping[str, int], registry: Registry
) -> Iterator[DamondError]:
    """List what is wrong with the table of one context.

    Args:
        name: Its name.
        table: As it was written; what has a wrong type is passed over here.
        attrs: Its attributes that can be read, with the defaults.
        registry: The primitives.
    """
    try:
        check_name(name)
    except DamondError as error:
        yield error
    primitive, options = table.get("primitive", "auto"), table.get("options", {})
    if isinstance(primitive, str):
        yield from registry.option_problems(primitive, options if isinstance(options, Mapping) else {})
        yield from target_problems(registry, primitive, [key for key in (*_TARGETS, "children") if table.get(key, [])])
    yield from attrs_problems(attrs)


def target_problems(registry: Registry, primitive: str, given: Collection[str]) -> Iterator[UsageError]:
    """Say whether a primitive has what it is to monitor: processes, or none.

    Args:
        registry: The primitives; one that is unknown has no problem here.
        primitive: Its name, or ``auto``.
        given: Those of the keys ``pid``, ``pids``, ``targets``, ``select``, ``children`` and ``command`` that the
            context has.
    """
    if primitive != "auto" and primitive not in registry.primitives:
        return
    needs = registry.watches_processes(primitive)
    if needs and not set(_TARGETS) & set(given):
        yield UsageError(
            f"nothing to monitor: primitive {primitive!r} watches processes, and none is given",
            hint="give pid, pids, select or command",
        )
    changing = [key for key in ("select", "children") if key in given]
    if changing and primitive != "auto" and registry.primitive(primitive).retarget is Primitive.retarget and needs:
        yield UsageError(
            f"primitive {primitive!r} can't change its targets while it runs, as {' and '.join(changing)} does",
            hint='give pid, pids or command; or another primitive ("auto" chooses one that can)',
        )
    idle = [key for key in _PROCESSES if key in given]
    if idle and not needs:
        yield UsageError(
            f"primitive {primitive!r} watches no processes, but {', '.join(idle)} names some",
            hint="leave that out, or choose a primitive for processes: 'damond plugins' lists them",
        )
