"""The part of the configuration that says how fast contexts go and what they may cost."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from damond.core import Attrs, IntervalsGoal
from damond.errors import nearest
from damond.units import parse_interval, parse_percent

ATTRS: Final = tuple(Attrs.__dataclass_fields__)
_INTERVALS: Final = ("sample_interval", "aggr_interval")

DEFAULT_GOAL: Final = IntervalsGoal(saturation_bp=5_000)
"""4 % of the accesses that could be, 3 aggregations, 5 ms to 10 s, and no longer than shows more."""

DEFAULT_MAX_CPU: Final = 0.01
"""1 % of one CPU, for all that the service does."""

_SHARE_BEGUN_WITH: Final = 2
"""Contexts begin with half of the regions that they may have: the number from which on none is split."""

Off = str
"""The word "off", where a number or a table is the other choice."""


def parse_goal(given: Any) -> IntervalsGoal | Off | None:
    """Read ``intervals_goal``: "off", or a table whose intervals are called ``min_sample`` and ``max_sample``.

    Raises:
        ValueError: It is neither, or a key or a value is wrong.
    """
    if given is None or given == "off":
        return None if given is None else "off"
    if isinstance(given, IntervalsGoal):
        return given
    if not isinstance(given, Mapping):
        example = '{access_bp = 400, aggrs = 3, min_sample = "5ms", max_sample = "10s"}'
        raise ValueError(f'a table or "off" is needed: {example}')  # noqa: TRY004 - what pydantic takes from a validator
    names = {field.name.removesuffix("_us"): field.name for field in fields(IntervalsGoal)}
    values = asdict(DEFAULT_GOAL)
    for key, value in given.items():
        if key not in names:
            raise ValueError(f"unknown key {key!r} ({nearest(str(key), names)})")
        values[names[key]] = parse_interval(value) if names[key].endswith("_us") else value
        if isinstance(value, bool) or not isinstance(values[names[key]], int):
            raise ValueError(f"{key} = {value!r}: must be a whole number")  # noqa: TRY004 - as above
    return IntervalsGoal(**values)


def parse_max_cpu(given: Any) -> float | Off | None:
    """Read ``max_cpu``: a text such as ``"1%"`` (of one CPU), or "off".

    Raises:
        ValueError: It is neither, or not above 0.
    """
    if given is None or given == "off":
        return None if given is None else "off"
    share = parse_percent(given)
    if not share:
        raise ValueError('must be above 0; "off" is no bound')
    return share


MaxCpu = Annotated[float | Off | None, BeforeValidator(parse_max_cpu)]
MaxChecks = Annotated[float | None, Field(gt=0, allow_inf_nan=False)]


class AttrsTable(BaseModel):
    """Attributes as the file has them; intervals are texts such as ``"5ms"`` or microseconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sample_interval: Annotated[int, BeforeValidator(parse_interval)] | None = None
    aggr_interval: Annotated[int, BeforeValidator(parse_interval)] | None = None
    primitive_update_interval: Annotated[int, BeforeValidator(parse_interval)] | None = None
    min_nr_regions: int | None = None
    max_nr_regions: int | None = None

    def given(self) -> dict[str, int]:
        """Return the attributes that were given."""
        return {name: getattr(self, name) for name in ATTRS if getattr(self, name) is not None}


class PaceTable(AttrsTable):
    """Attributes, and what may change them while a context runs."""

    intervals_goal: Annotated[IntervalsGoal | Off | None, BeforeValidator(parse_goal)] = None
    max_cpu: MaxCpu = None
    max_checks_per_s: MaxChecks = None
    initial_nr_regions: Annotated[int, Field(ge=1)] | None = None
    strict_min_nr_regions: bool | None = None

    def goal(self) -> IntervalsGoal | Off | None:
        """Return the goal that this table sets: its own, or "off" where it says how long intervals are; else None."""
        fixed = any(getattr(self, name) is not None for name in _INTERVALS)
        return self.intervals_goal or ("off" if fixed else None)


def as_plain(goal: IntervalsGoal | Off) -> dict[str, int] | None:
    """Make of a goal what crosses processes."""
    return None if isinstance(goal, str) else asdict(goal)


def pace(own: PaceTable, defaults: PaceTable) -> dict[str, Any]:
    """Make of a context's table and the defaults what a worker is told, as arguments of ContextSpec."""
    goal = own.goal() or defaults.goal() or DEFAULT_GOAL

    def chosen(name: str, otherwise: Any) -> Any:
        found = [getattr(table, name) for table in (own, defaults) if getattr(table, name) is not None]
        return found[0] if found else otherwise

    attrs = {**defaults.given(), **own.given()}
    most = attrs.get("max_nr_regions", Attrs().max_nr_regions)
    max_cpu = chosen("max_cpu", None)
    return {
        "attrs": attrs,
        "intervals_goal": as_plain(goal),
        "max_cpu": None if max_cpu == "off" else max_cpu,
        "max_checks_per_s": chosen("max_checks_per_s", None),
        "initial_nr_regions": chosen("initial_nr_regions", max(1, most // _SHARE_BEGUN_WITH)),
        "strict_min_nr_regions": chosen("strict_min_nr_regions", otherwise=True),
    }
