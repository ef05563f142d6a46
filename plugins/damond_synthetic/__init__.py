"""The primitive ``synthetic``: memory with scripted accesses, of any size, whose truth is known exactly.

The reference for tests and benchmarks, and the example of the smallest primitive: it needs nothing of the machine.
"""

from collections.abc import Sequence
from typing import Final

from damond.core import Primitive
from damond.plugin import hookimpl
from damond_synthetic.memory import Memory, Moment
from damond_synthetic.options import SyntheticOptions
from damond_synthetic.primitive import Synthetic
from damond_synthetic.track_options import TrackOptions

__all__ = [
    "Memory",
    "Moment",
    "Synthetic",
    "SyntheticOptions",
    "TrackOptions",
    "damond_api_version",
    "damond_primitives",
]

damond_api_version: Final = 1


@hookimpl
def damond_primitives() -> Sequence[type[Primitive]]:
    """Offer the one primitive."""
    return [Synthetic]
