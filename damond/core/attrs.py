"""Attributes of a monitoring context: what accuracy is asked for, and at which cost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from damond.errors import InvalidAttrsError
from damond.units import USEC_PER_SEC, Usec, format_interval, parse_interval

MIN_NR_REGIONS_FLOOR: Final = 3
"""The least ``min_nr_regions``: the vaddr primitive needs three regions (damon_set_attrs, Linux 5.15)."""

MAX_NR_REGIONS: Final = 1_000_000
"""The greatest ``max_nr_regions``: a thousand times the kernel's default, 40 MB of columns."""
MAX_INTERVAL: Final = Usec(1000 * 24 * 3600 * USEC_PER_SEC)
"""The longest interval: a thousand days."""

SAMPLES_PER_AGGR: Final = 10
"""Samples of an aggregation where only one of the two intervals is asked for, and the kernel's other one can't be."""

_UINT_MAX: Final = 2**32 - 1
_DEFAULT_WORDS: Final = {"sample_interval": "5ms", "aggr_interval": "100ms", "primitive_update_interval": "60s"}
_INTERVALS: Final = tuple(_DEFAULT_WORDS)


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
        for problem in attrs_problems({name: getattr(self, name) for name in self.__dataclass_fields__}):
            raise problem

    @classmethod
    def fitting(cls, given: Mapping[str, int], **preferred: int) -> Self:
        """Make attributes of those that were asked for; the others are chosen so that they contradict none of these.

        Args:
            given: Fields that were asked for. Microseconds and counts.
            preferred: Fields that are wanted unless they were asked for or would contradict; else the kernel's.

        Raises:
            InvalidAttrsError: What was asked for is impossible or contradicts itself.
        """
        wanted: dict[str, Any] = {name: each.default for name, each in cls.__dataclass_fields__.items()} | preferred
        chosen = {**wanted, **given}
        if "aggr_interval" not in given and "sample_interval" in given:
            long_enough = max(wanted["aggr_interval"], SAMPLES_PER_AGGR * given["sample_interval"])
            chosen["aggr_interval"] = min(long_enough, MAX_INTERVAL)
        if "sample_interval" not in given and chosen["aggr_interval"] < wanted["sample_interval"]:
            chosen["sample_interval"] = max(1, chosen["aggr_interval"] // SAMPLES_PER_AGGR)
        if "max_nr_regions" not in given:
            chosen["max_nr_regions"] = max(wanted["max_nr_regions"], chosen["min_nr_regions"])
        if "min_nr_regions" not in given:
            chosen["min_nr_regions"] = max(
                MIN_NR_REGIONS_FLOOR, min(wanted["min_nr_regions"], chosen["max_nr_regions"])
            )
        return cls(**chosen)

    @property
    def samples_per_aggr(self) -> int:
        """Samples in one aggregation, hence the greatest ``nr_accesses`` (damon_max_nr_accesses, Linux 6.7)."""
        return min(max(1, self.aggr_interval // self.sample_interval), _UINT_MAX)

    @property
    def samples_per_update(self) -> int:
        """Samples between two updates of the primitive."""
        return max(1, self.primitive_update_interval // self.sample_interval)


def attrs_problems(given: Mapping[str, int]) -> Iterator[InvalidAttrsError]:
    """Find all that is impossible in attributes; one that is not given contradicts none.

    Args:
        given: Fields of :class:`Attrs`. Microseconds and counts.
    """
    for name in _INTERVALS:
        yield from _interval_problems(name, given.get(name, 1))
    least, most = given.get("min_nr_regions", MIN_NR_REGIONS_FLOOR), given.get("max_nr_regions", MAX_NR_REGIONS)
    if least < MIN_NR_REGIONS_FLOOR:
        reason = f"must be at least {MIN_NR_REGIONS_FLOOR}"
        yield InvalidAttrsError("min_nr_regions", least, reason, hint="the kernel's default is 10")
    if most > MAX_NR_REGIONS:
        reason = f"must be at most {MAX_NR_REGIONS}"
        yield InvalidAttrsError("max_nr_regions", most, reason, hint="the kernel's default is 1000")
    sample, aggr = given.get("sample_interval", 0), given.get("aggr_interval", MAX_INTERVAL)
    if 1 <= aggr < sample:
        reason = f"must not be shorter than sample_interval, {_words(sample)}"
        hint = "lengthen aggr_interval, or shorten sample_interval"
        yield InvalidAttrsError("aggr_interval", _words(aggr), reason, hint=hint)
    if most < least:
        reason = f"must not be below min_nr_regions, {least}"
        hint = "raise max_nr_regions, or lower min_nr_regions"
        yield InvalidAttrsError("max_nr_regions", most, reason, hint=hint)


def _interval_problems(name: str, interval: int) -> Iterator[InvalidAttrsError]:
    least = 0 if name == "primitive_update_interval" else 1
    if interval < least:
        words = "must be at least 1 us" if least else "must not be negative"
        yield InvalidAttrsError(name, f"{interval} us", words, hint=f"the kernel's default is {_DEFAULT_WORDS[name]}")
    if interval > MAX_INTERVAL:
        yield InvalidAttrsError(name, _words(interval), "must be at most 1000 days", hint="shorten it")


def _words(interval: int) -> str:
    """Write an interval in a large unit if that is exact: two that differ must not look the same."""
    text = format_interval(interval)
    return text if parse_interval(text) == interval else f"{interval} us"
