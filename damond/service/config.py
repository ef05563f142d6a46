"""The configuration file: TOML, checked as a whole before anything starts."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from damond.core import Attrs, IntervalsGoal
from damond.core.context import check_name
from damond.errors import ConfigError, DamondError, nearest
from damond.plugin import Registry, parse_options
from damond.service.pace import ATTRS, DEFAULT_MAX_CPU, MaxChecks, MaxCpu, PaceTable, pace, policy
from damond.service.selector import Selector
from damond.service.spec import ContextSpec, TargetSpec

_Pid = Annotated[int, Field(gt=0, le=2**22)]  # PID_MAX_LIMIT, include/linux/threads.h


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContextTable(PaceTable):
    """One ``[context.NAME]``."""

    primitive: str = "auto"
    pid: _Pid | None = None
    pids: list[_Pid] = Field(default_factory=list)
    targets: list[Annotated[int, Field(ge=0, lt=2**63)]] = Field(default_factory=list)
    select: Selector | None = None
    children: bool = False
    command: list[str] = Field(default_factory=list)
    autostart: bool = True
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    def spec(self, name: str, defaults: PaceTable) -> ContextSpec:
        """Make what a worker needs."""
        ids = ([] if self.pid is None else [self.pid]) + self.pids + self.targets
        return ContextSpec(
            name=name,
            primitive=self.primitive,
            options=self.options,
            **pace(self, defaults),
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
    max_cpu: MaxCpu = DEFAULT_MAX_CPU
    max_checks_per_s: MaxChecks = None

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
    defaults: PaceTable = PaceTable()
    context: dict[str, ContextTable] = {}

    def specs(self, *, autostart_only: bool = False) -> list[ContextSpec]:
        """List the contexts, in the order of the file."""
        return [
            table.spec(name, self.defaults)
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
    yield from _policy_problems(where, table, config, registry)
    # By itself, so that a fault elsewhere in the file hides nothing of this one.
    given = {key: value for key, value in table.items() if key in (*ATTRS, "intervals_goal")}
    defaults = {} if config is None else config.defaults.given()
    try:
        own = PaceTable.model_validate(given)
        attrs = Attrs(**{**defaults, **own.given()})  # type: ignore[arg-type]
        if isinstance(own.intervals_goal, IntervalsGoal) and own.sample_interval is not None:
            own.intervals_goal.check(attrs)
    except DamondError as error:
        yield f"{where}: {error}"
    except pydantic.ValidationError:
        return  # told by the check of the whole


def _policy_problems(where: str, table: Mapping[str, Any], config: Config | None, registry: Registry) -> Iterable[str]:
    try:
        own = PaceTable.model_validate({key: table[key] for key in ("policy", "policy_options") if key in table})
    except pydantic.ValidationError:
        return  # told by the check of the whole
    chosen = policy(own, PaceTable() if config is None else config.defaults)
    try:
        parse_options(chosen["policy"], registry.policy(chosen["policy"]).Options, chosen["policy_options"])
    except DamondError as error:
        yield f"{where}: {error}"


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
        "defaults": PaceTable,
        "context": ContextTable,
    }
    for part in path:
        model = Selector if part in ("select", "any", "all", "not") else tables.get(str(part), model)
    return list(model.model_fields)
