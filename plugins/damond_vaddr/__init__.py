"""The primitive ``vaddr``: the virtual memory of processes.

- :mod:`~damond_vaddr.primitive`: the primitive itself, the seven functions of ``struct damon_primitive``;
- :mod:`~damond_vaddr.process`: a process that is monitored, and never another one with its pid;
- :mod:`~damond_vaddr.ranges`: three regions instead of a whole address space;
- :mod:`~damond_vaddr.sources`: where "accessed" is read from: ``page_idle`` or ``referenced``.
"""

from damond.plugin import hookimpl
from damond_vaddr.primitive import Vaddr, VaddrOptions
from damond_vaddr.ranges import apply_three_regions, evenly_split, three_regions

__all__ = ["Vaddr", "VaddrOptions", "apply_three_regions", "damond_primitives", "evenly_split", "three_regions"]

damond_api_version = 1


@hookimpl
def damond_primitives() -> list[type[Vaddr]]:
    """Offer the primitive ``vaddr``."""
    return [Vaddr]
