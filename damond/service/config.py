"""The configuration file: TOML, checked as a whole before anything starts."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from damond.core import Attrs
from damond.core.context import check_name
from damond.errors import ConfigError, DamondError, nearest
from damond.plugin import Registry, parse_options
from damond.service.selector import Selector
from damond.service.spec import ContextSpec, TargetSpec
from damond.units import parse_interval

ATTRS: Final = tuple(Attrs.__dataclass_fields__)

_Pid = Annotated[int, Field(gt=0, le=2**22)]  # PID_MAX_LIMIT, include/linux/threads.h
_Interval = Annotated[int, BeforeValidator(parse_interval)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AttrsTable(_Table):
    """Attributes as the file has them; intervals are texts such as ``"5ms"`` or microseconds."""

    sample_interval: _Interval | None = None
    aggr_interval: _Interval | None = None
    primitive_update_interval: _Interval | None = None
    min_nr_regions: int | None = None
    max_nr_regions: int | None = None

    def given(self) -> dict[str, int]:
        """Return the attributes that were given."""
        return {name: getattr(self, name) for name in ATTRS if getattr(self, name) is not None}


class ContextTable(AttrsTable):
    """One ``[context.NAME]``."""

    primitive: str = "auto"
    pid: _Pid | None = None
    pids: list[_Pid] = []
    targets: list[Annotated[int, Field(ge=0, lt=2**63)]] = []
    select: Selector | None = None
    children: bool = False
    command: list[str] = []
    autostart: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    options: dict[str, Any] = {}

    def spec(self, name: str, defaults: Mapping[str, int]) -> ContextSpec:
        """Make what a worker needs."""
        ids = ([] if self.pid is None else [self.pid]) + self.pids + self.targets
        return ContextSpec(
            name=name,
            primitive=self.primitive,
            options=self.options,
            attrs={**defaults, **self.given()},
            targets=tuple(map(TargetSpec, dict.fromkeys(ids))),
            seed=self.seed,
            select=None if self.select is None else self.select.model_dump(exclude_none=True, by_alias=True),
            children=self.children,
            command=tuple(self.command),
            # What was chosen by what it is may come back; a pid never does.
            waits_for_targets=self.select is not None,
        )


class ServiceTable(_Table):
    """``[service]``."""

    runtime_dir: Path | None = None
    user: str | None = None
    group: str | None = None
    plugins: list[str] | None = None

    @pydantic.model_validator(mode="after")
    def _group_needs_user(self) -> "ServiceTable":
        if self.group and not self.user:
            raise ValueError("group needs user: the supervisor becomes both")
        return self


class RemoteTable(_Table):
    """``[remote]``: over the network, with keys only."""

    stream: str | None = Field(default=None, pattern="^tcp://")
    query: str | None = Field(default=None, pattern="^tcp://")
    key: Path | None = None
    authorized: Path | None = None

    @pydantic.model_validator(mode="after")
    def _never_in_the_clear(self) -> "RemoteTable":
        if (self.stream or self.query) and not (self.key and self.authorized):
            raise ValueError(
                "tcp needs key (the supervisor's secret key) and authorized (a directory of clients' keys)"
            )
        return self


class Config(_Table):
    """The whole file."""

    service: ServiceTable = ServiceTable()
    remote: RemoteTable = RemoteTable()
    defaults: AttrsTable = AttrsTable()
    context: dict[str, ContextTable] = {}

    def specs(self, *, autostart_only: bool = False) -> list[ContextSpec]:
        """List the contexts, in the order of the file."""
        return [
            table.spec(name, self.defaults.given())
            for name, table in self.context.items()
            if table.autostart or not autostart_only
        ]


def read(path: Path) -> dict[str, Any]:
    """Read a configuration file and what lies in ``conf.d/*.toml`` beside it, as one table.

    Files of conf.d come in the order of their names; a context or a key that is there already is an error.

    Raises:
        ConfigError: A file is missing or no TOML, or two say the same.
    """
    table = _read_one(path)
    problems: list[str] = []
    for extra in sorted((path.parent / "conf.d").glob("*.toml")):
        problems += [f"{extra}: {each} is given twice" for each in _merge(table, _read_one(extra))]
    if problems:
        raise ConfigError(f"{path}: {_counted(problems)}", problems)
    return table


def _read_one(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="name another with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}", hint="see https://toml.io for the syntax") from error


def _merge(into: dict[str, Any], extra: Mapping[str, Any], where: str = "") -> Iterable[str]:
    """Add one table to another; yield what both have, other than the tables of the first two levels."""
    for key, value in extra.items():
        if key in into and isinstance(into[key], dict) and isinstance(value, dict) and not where:
            yield from _merge(into[key], value, f"{key}.")
        elif key in into:
            yield f"{where}{key}"
        else:
            into[key] = value


def _counted(problems: Sequence[str]) -> str:
    return f"{len(problems)} problem{'s'[: len(problems) > 1]}"


def load(path: Path, registry: Registry | None = None) -> Config:
    """Read a configuration and check it as a whole.

    Args:
        path: The file.
        registry: The primitives; None finds those that the file allows.

    Raises:
        ConfigError: It is missing, no TOML, or wrong; every problem is listed.
    """
    table = read(path)
    return parse(table, registry or Registry(allowed=_allowed(table)), str(path))


def _allowed(table: Mapping[str, Any]) -> list[str] | None:
    service = table.get("service")
    allowed = service.get("plugins") if isinstance(service, Mapping) else None
    return allowed if isinstance(allowed, list) else None


def parse(table: Mapping[str, Any], registry: Registry, where: str) -> Config:
    """Check a configuration as a whole.

    Raises:
        ConfigError: Something is wrong; every problem is listed.
    """
    problems: list[str] = []
    config: Config | None = None
    try:
        config = Config.model_validate(table)
    except pydantic.ValidationError as error:
        problems += explain(error, Config)
    contexts = table.get("context", {})
    if isinstance(contexts, Mapping):
        for name, each in contexts.items():
            problems += _context_problems(name, each, config, registry)
    if config is None or problems:
        raise ConfigError(f"{where}: {_counted(problems)}", problems)
    return config


def _context_problems(name: str, table: Any, config: Config | None, registry: Registry) -> Iterable[str]:
    """List what pydantic can't know: names, plugins, their options, attributes that contradict each other."""
    if not isinstance(table, Mapping):
        return
    where = f"context.{name}"
    primitive, options = table.get("primitive", "auto"), table.get("options", {})
    try:
        check_name(name)
    except DamondError as error:
        yield f"{where}: {error}"
    if isinstance(primitive, str) and primitive != "auto" and isinstance(options, Mapping):
        try:
            parse_options(primitive, registry.primitive(primitive).Options, options)
        except DamondError as error:
            yield f"{where}: {error}"
    # By itself, so that a fault elsewhere in the file hides nothing of this one.
    given = {key: value for key, value in table.items() if key in ATTRS}
    defaults = {} if config is None else config.defaults.given()
    try:
        Attrs(**{**defaults, **AttrsTable.model_validate(given).given()})  # type: ignore[arg-type]
    except DamondError as error:
        yield f"{where}: {error}"
    except pydantic.ValidationError:
        return  # told by the check of the whole


def explain(error: pydantic.ValidationError, model: type[BaseModel]) -> list[str]:
    """Put pydantic's findings into words of ours: where, what, and the nearest known key."""
    rows = []
    for each in error.errors():
        where = ".".join(str(part) for part in each["loc"]) or "top level"
        if each["type"] == "extra_forbidden":
            *parents, key = each["loc"]
            rows.append(f"{where}: unknown key {key!r} ({nearest(str(key), _keys(model, parents))})")
        else:
            rows.append(f"{where} = {each['input']!r}: {each['msg'].removeprefix('Value error, ')}")
    return rows


def _keys(model: type[BaseModel], path: Iterable[int | str]) -> list[str]:
    """List the keys that a table at a path may have."""
    tables: dict[str, type[BaseModel]] = {
        "service": ServiceTable,
        "remote": RemoteTable,
        "defaults": AttrsTable,
        "context": ContextTable,
    }
    for part in path:
        model = Selector if part in ("select", "any", "all", "not") else tables.get(str(part), model)
    return list(model.model_fields)
