"""Attributes of a monitoring context: what accuracy is asked for, and at which cost."""

from dataclasses import dataclass
from typing import Final

from damond.errors import InvalidAttrsError
from damond.units import USEC_PER_SEC, Usec

MIN_NR_REGIONS_FLOOR: Final = 3
"""The least ``min_nr_regions``: the vaddr primitive needs three regions (damon_set_attrs, Linux 5.15)."""

MAX_NR_REGIONS: Final = 1_000_000
"""The greatest ``max_nr_regions``: a thousand times the kernel's default, 40 MB of columns."""
MAX_INTERVAL: Final = Usec(1000 * 24 * 3600 * USEC_PER_SEC)
"""The longest interval: a thousand days."""

_UINT_MAX: Final = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Attrs:
    """Accuracy and cost of one context: the arguments of ``damon_set_attrs``, with the kernel's defaults.

    Attributes:
        sample_interval: Time between two access checks of a region. Microseconds.
        aggr_interval: Time over which ``nr_accesses`` is counted before it is reported and reset.
            Microseconds. Counted in samples: ``samples_per_aggr`` of them.
        primitive_update_interval: Time between two looks at what there is to monitor (mappings that
            came and went). Microseconds.
        min_nr_regions: Least number of regions, at least 3: no region grows above the total size
            divided by this.
        max_nr_regions: Greatest number of regions: the bound of the cost, whatever the size of memory.

    Raises:
        InvalidAttrsError: A value is impossible; the error names the field.
    """

    sample_interval: Usec = Usec(5_000)
    aggr_interval: Usec = Usec(100_000)
    primitive_update_interval: Usec = Usec(60 * USEC_PER_SEC)
    min_nr_regions: int = 10
    max_nr_regions: int = 1000

    def __post_init__(self) -> None:
        for name in ("sample_interval", "aggr_interval", "primitive_update_interval"):
            if getattr(self, name) > MAX_INTERVAL:
                raise InvalidAttrsError(name, f"{getattr(self, name)} us", "must be at most 1000 days")
        if self.max_nr_regions > MAX_NR_REGIONS:
            raise InvalidAttrsError("max_nr_regions", self.max_nr_regions, f"must be at most {MAX_NR_REGIONS}")
        if self.sample_interval < 1:
            raise InvalidAttrsError("sample_interval", f"{self.sample_interval} us", "must be at least 1 us")
        if self.aggr_interval < self.sample_interval:
            raise InvalidAttrsError(
                "aggr_interval",
                f"{self.aggr_interval} us",
                f"must not be shorter than sample_interval, {self.sample_interval} us",
            )
        if self.primitive_update_interval < 0:
            raise InvalidAttrsError(
                "primitive_update_interval", f"{self.primitive_update_interval} us", "must not be negative"
            )
        if self.min_nr_regions < MIN_NR_REGIONS_FLOOR:
            raise InvalidAttrsError("min_nr_regions", self.min_nr_regions, f"must be at least {MIN_NR_REGIONS_FLOOR}")
        if self.max_nr_regions < self.min_nr_regions:
            raise InvalidAttrsError(
                "max_nr_regions",
                self.max_nr_regions,
                f"must not be below min_nr_regions, {self.min_nr_regions}",
            )

    @property
    def samples_per_aggr(self) -> int:
        """Samples in one aggregation, hence the greatest ``nr_accesses`` (damon_max_nr_accesses, Linux 6.7)."""
        return min(max(1, self.aggr_interval // self.sample_interval), _UINT_MAX)

    @property
    def samples_per_update(self) -> int:
        """Samples between two updates of the primitive."""
        return max(1, self.primitive_update_interval // self.sample_interval)
