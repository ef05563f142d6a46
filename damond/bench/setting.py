"""How the memory is monitored in a run."""

from dataclasses import dataclass, field

from damond.core import Attrs


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How the memory is monitored in a run.

    Attributes:
        attrs: Intervals and number of regions to begin with.
        block: Pages that one check looks at.
    """

    attrs: Attrs = field(default_factory=Attrs)
    block: int = 1
