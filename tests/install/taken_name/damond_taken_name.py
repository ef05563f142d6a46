"""A plugin that takes a name that is taken, and offers another primitive that is fine."""

from damond.core import Context, Primitive
from damond.plugin import hookimpl

damond_api_version = 1


class Taken(Primitive):
    """The name is that of a primitive of damond's own."""

    name = "synthetic"

    def check_accesses(self, ctx: Context) -> int:
        """Find nothing."""
        return 0


class Fine(Taken):
    """A name of its own."""

    name = "fine"


@hookimpl
def damond_primitives() -> list[type[Primitive]]:
    """Offer both."""
    return [Taken, Fine]
