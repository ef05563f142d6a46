"""Which parts of a file are read, by anybody: a page that was dropped from the page cache and is back was read.

An example of a primitive written by somebody else. Addresses are offsets in the file; read-ahead brings in neighbours
of what is read, so a region may look larger than it is.
"""

import os
from dataclasses import dataclass

from damond.core import AddrRange, Context, Primitive, Probe, Target
from damond.core.adaptation import initial_regions
from damond.core.regions import align_up
from damond.errors import InvalidOptionError
from damond.plugin import hookimpl, option
from damond.units import PAGE_SIZE

damond_api_version = 1


@dataclass(frozen=True)
class Options:
    """Options of the context."""

    path: str = option(help="the file")


class Residency(Primitive):
    """One target: the file."""

    name = "residency"
    Options = Options

    @classmethod
    def probe(cls) -> Probe:
        """Linux has both calls that are used since 4.14."""
        return Probe(works=hasattr(os, "RWF_NOWAIT"), reason="reads a file's pages without waiting for the disk")

    def init(self, ctx: Context) -> None:
        """Take the whole file."""
        self.fd = os.open(self.options.path, os.O_RDONLY)
        size = os.fstat(self.fd).st_size
        if size == 0:
            raise InvalidOptionError(f"{self.options.path} is empty", hint="choose a file with something in it")
        whole = [AddrRange(0, align_up(size, PAGE_SIZE))]
        ctx.targets[:] = [Target(0)]
        ctx.targets[0].set_ranges(initial_regions(whole, ctx.attrs.min_nr_regions))

    def prepare_access_checks(self, ctx: Context) -> None:
        """Drop one page of each region from the cache."""
        for address in ctx.targets[0].regions.pick_sampling_addrs(ctx.rng).tolist():
            os.posix_fadvise(self.fd, address // PAGE_SIZE * PAGE_SIZE, PAGE_SIZE, os.POSIX_FADV_DONTNEED)

    def check_accesses(self, ctx: Context) -> int:
        """See which of them are back."""
        regions = ctx.targets[0].regions
        regions.nr_accesses += [self._is_resident(address) for address in regions.sampling_addr.tolist()]
        ctx.checks += len(regions)
        return int(regions.nr_accesses.max())

    def _is_resident(self, address: int) -> bool:
        try:
            return os.preadv(self.fd, [bytearray(1)], address, os.RWF_NOWAIT) > 0
        except BlockingIOError:
            return False

    def cleanup(self, ctx: Context) -> None:
        """Close the file."""
        if hasattr(self, "fd"):
            os.close(self.fd)


@hookimpl
def damond_primitives() -> list[type[Primitive]]:
    """Offer the primitive."""
    return [Residency]
