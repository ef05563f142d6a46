"""The primitive ``physical``: the physical memory of the machine.

- :mod:`~damond_physical.primitive`: the primitive itself;
- :mod:`~damond_physical.ram`: where the memory is, from /proc/iomem or /proc/zoneinfo.
"""

from damond.plugin import hookimpl
from damond_physical.primitive import Physical, PhysicalOptions

__all__ = ["Physical", "PhysicalOptions", "damond_primitives"]

damond_api_version = 1


@hookimpl
def damond_primitives() -> list[type[Physical]]:
    """Offer the primitive ``physical``."""
    return [Physical]
