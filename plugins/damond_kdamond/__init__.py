"""The primitives ``kdamond`` and ``kdamond_paddr``: the kernel's own DAMON monitors, damond publishes what it finds.

- :mod:`~damond_kdamond.primitive`: the primitives themselves;
- :mod:`~damond_kdamond.options`: what a configuration may say about them;
- :mod:`~damond_kdamond.admin`: the kdamond, by the files below /sys/kernel/mm/damon/admin;
- :mod:`~damond_kdamond.owner`: whose it is, so that none is touched that somebody else made;
- :mod:`~damond_kdamond.files`: the one place that reads and writes those files;
- :mod:`~damond_kdamond.trace`: results from the tracepoint ``damon_aggregated``;
- :mod:`~damond_kdamond.pages`: the binary pages of a trace buffer;
- :mod:`~damond_kdamond.assembly`: events to aggregations;
- :mod:`~damond_kdamond.tried`: results from ``tried_regions``, where there is no tracepoint;
- :mod:`~damond_kdamond.cost`: what the kernel spends: access checks and CPU time;
- :mod:`~damond_kdamond.probing`: what of this works on this machine.
"""

from damond.plugin import hookimpl
from damond_kdamond.options import KdamondPaddrOptions, KdamondVaddrOptions
from damond_kdamond.primitive import KdamondPaddr, KdamondVaddr

__all__ = [
    "KdamondPaddr",
    "KdamondPaddrOptions",
    "KdamondVaddr",
    "KdamondVaddrOptions",
    "damond_primitives",
]

damond_api_version = 1


@hookimpl
def damond_primitives() -> list[type[KdamondVaddr]]:
    """Offer the primitives ``kdamond`` (processes) and ``kdamond_paddr`` (physical memory)."""
    return [KdamondVaddr, KdamondPaddr]
