"""The hooks that a plugin may implement.

A plugin is a module (or object) that an entry point of the group ``damond`` names. It says for which version
of this contract it was written, and implements hooks::

    from damond.plugin import hookimpl

    damond_api_version = 1

    @hookimpl
    def damond_primitives():
        return [MyPrimitive]
"""

from collections.abc import Sequence
from typing import Final

import pluggy

from damond.core import Policy, Primitive

PROJECT: Final = "damond"
"""The pluggy project and the entry-point group."""

API_VERSION: Final = 1
"""The version of the plugin contract: hooks, ``Primitive``, ``Policy``, and what of ``damond.core`` they work on."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def damond_primitives() -> Sequence[type[Primitive]]:  # type: ignore[empty-body]
    """Offer primitives, so that a context can select them by name.

    Called once per process, in the supervisor and in every worker, before any context exists: keep it cheap and do
    not touch the system (``Primitive.init`` is the place for that). A name that is already taken is refused, with
    both owners named; damond never picks one.
    """


@hookspec
def damond_policies() -> Sequence[type[Policy]]:  # type: ignore[empty-body]
    """Offer adaptation policies, so that a context can select them by name.

    Called when :func:`damond_primitives` is, under the same rules. A policy works with every primitive that leaves the
    regions to damond. damond's own are offered first, and always.
    """
