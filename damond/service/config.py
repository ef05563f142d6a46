"""The configuration file: TOML, checked as a whole before anything starts."""

import contextlib
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from damond.core import IntervalsGoal
from damond.core.attrs import Attrs, attrs_problems
from damond.errors import ConfigError, DamondError, UnknownNameError, UsageError, nearest
from damond.plugin import Registry
from damond.record import Retention
from damond.service import config_files
from damond.service.checks import context_problems
from damond.service.config_files import Files, Place
from damond.service.pace import ATTRS, DEFAULT_MAX_CPU, AttrsTable, MaxChecks, MaxCpu, PaceTable, pace, policy
from damond.service.recording import RecordSettings
from damond.service.replay import LIMIT_SZ
from damond.service.selector import Selector
from damond.service.spec import ContextSpec, TargetSpec
from damond.units import parse_interval, parse_size

_Pid = Annotated[int, Field(gt=0, le=2**22)]  # PID_MAX_LIMIT, include/linux/threads.h
_Path = Annotated[Path, Strict(strict=False)]  # TOML has texts

_WORDS: Final = {
    **dict.fromkeys(("model_type", "dict_type", "model_attributes_type"), "must be a table"),
    "list_type": "must be a list, [...]",
    "string_type": "must be a text in quotes",
    "path_type": "must be a text in quotes: a path",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
}
"""What pydantic says in the words of Python: error type -> in those of TOML."""

_HINT: Final = (
    "nothing has been changed; mend what is listed: the damond.toml that comes with damond explains every key"
)

DEFAULT_RECORD: Final = "record.damond"
"""Name of the record in the directory for the state of the service."""

DEFAULT_MAX_RECORD_SZ: Final = 1024**3
"""Bytes: about twelve days of one context at 10 Hz with 100 regions."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def state_directory() -> str:
    """Tell the directory for the state of the service, as systemd gives it; "" if there is none (systemd.exec(5))."""
    return os.environ.get("STATE_DIRECTORY", "").split(":")[0]


def _age(value: Any) -> int | None:
    """Read the greatest age of a record. Microseconds."""
    return _limited(value, "7d", lambda text: Retention.checked(parse_interval(text), None).max_age_us)


def _size(value: Any) -> int | None:
    """Read the greatest size of a record. Bytes."""
    return _limited(value, "1GiB", lambda text: Retention.checked(None, parse_size(text)).max_sz_bytes)


def _replay(value: Any) -> int | None:
    """Read the memory for replay. Bytes."""
    return _limited(value, "32MiB", parse_size)


def _limited(value: Any, example: str, parse: Callable[[str], int | None]) -> int | None:
    try:
        if isinstance(value, str):
            return parse(value)
    except DamondError as error:
        raise ValueError(str(error)) from error
    raise ValueError(f'must be a text with a unit, such as "{example}"')


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


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

    runtime_dir: _Path | None = None
    user: str | None = None
    group: str | None = None
    plugins: list[str] | None = None
    max_cpu: MaxCpu = DEFAULT_MAX_CPU
    max_checks_per_s: MaxChecks = None
    replay: Annotated[int, BeforeValidator(_replay)] = LIMIT_SZ


class RemoteTable(_Table):
    """``[remote]``: over the network, with keys only."""

    stream: str | None = Field(default=None, pattern="^tcp://")
    query: str | None = Field(default=None, pattern="^tcp://")
    key: _Path | None = None
    authorized: _Path | None = None


class RecordTable(_Table):
    """``[record]``: the service records by itself, if the table is there."""

    path: _Path | None = None
    contexts: list[str] = Field(default_factory=list)
    max_age: Annotated[int, BeforeValidator(_age)] | None = None
    max_size: Annotated[int, BeforeValidator(_size)] = DEFAULT_MAX_RECORD_SZ

    def settings(self) -> RecordSettings:
        """Make what the recorder needs.

        Raises:
            ConfigError: Nothing says where to.
        """
        state = state_directory()
        if self.path is None and not state:
            raise ConfigError(
                "[record] needs path: there is no directory for the state of the service",
                hint='path = "/var/lib/damond/record.damond"; under systemd, StateDirectory= gives one',
            )
        path = self.path if self.path is not None else Path(state) / DEFAULT_RECORD
        return RecordSettings(path, tuple(self.contexts), self.max_age, self.max_size)


class Config(_Table):
    """The whole file."""

    service: ServiceTable = ServiceTable()
    remote: RemoteTable = RemoteTable()
    record: RecordTable | None = None
    defaults: PaceTable = PaceTable()
    context: dict[str, ContextTable] = {}

    def specs(self, *, autostart_only: bool = False) -> list[ContextSpec]:
        """List the contexts, in the order of the file."""
        return [
            table.spec(name, self.defaults)
            for name, table in self.context.items()
            if table.autostart or not autostart_only
        ]


def load(path: Path, registry: Registry | None = None) -> Config:
    """Read a configuration, with what lies in ``conf.d`` beside it, and check it as a whole.

    Args:
        path: The file.
        registry: The primitives; None finds those that the file allows.

    Raises:
        ConfigError: It is missing, no TOML, or wrong; every problem is listed.
    """
    files = config_files.read(path)
    return _check(files, registry or Registry(allowed=_allowed(files.table)), str(path))


def _allowed(table: Mapping[str, Any]) -> list[str] | None:
    service = table.get("service")
    allowed = service.get("plugins") if isinstance(service, Mapping) else None
    return allowed if isinstance(allowed, list) else None


def parse(table: Mapping[str, Any], registry: Registry, where: str) -> Config:
    """Check a configuration as a whole.

    Raises:
        ConfigError: Something is wrong; every problem is listed.
    """
    return _check(Files(table=dict(table)), registry, where)


def _check(files: Files, registry: Registry, where: str) -> Config:
    problems = list(files.problems)
    config: Config | None = None
    try:
        config = Config.model_validate(files.table)
    except pydantic.ValidationError as error:
        problems += [files.prefix(place) + words for place, words in _findings(error, Config)]
    problems += [
        f"{files.prefix(place)}{'.'.join(place)}: {error}" for place, error in _own_findings(files.table, registry)
    ]
    if config is None or problems:
        counted = f"{len(problems)} problem{'s'[: len(problems) > 1]}"
        raise ConfigError(f"{where}: {counted}", problems, hint=_HINT)
    return config


def _own_findings(table: Mapping[str, Any], registry: Registry) -> Iterator[tuple[tuple[str, ...], DamondError]]:
    """List what pydantic can't know, or does not look at while something else is wrong; with where it is."""
    sections = {name: each for name, each in table.items() if isinstance(each, Mapping)}
    service, remote = sections.get("service", {}), sections.get("remote", {})
    if service.get("group") and not service.get("user"):
        yield ("service",), UsageError("group needs user", hint="the supervisor becomes both: give user too")
    if (remote.get("stream") or remote.get("query")) and not (remote.get("key") and remote.get("authorized")):
        hint = "give key (the supervisor's secret key) and authorized (a directory of clients' keys): damond keys"
        yield ("remote",), UsageError("nothing goes over the network without keys", hint=hint)
    known = {each.name for each in registry.reports}
    for plugin in _allowed(table) or ():
        if isinstance(plugin, str) and plugin not in known:
            yield ("service", "plugins"), UnknownNameError("plugin", str(plugin), known)
    contexts = sections.get("context", {})
    recorded = sections.get("record", {}).get("contexts", [])
    for name in recorded if isinstance(recorded, list) else []:
        if isinstance(name, str) and name not in contexts:
            yield ("record", "contexts"), UnknownNameError("context", str(name), contexts)
    defaults = _readable_attrs(sections.get("defaults", {}))
    told = {}
    for error in attrs_problems(defaults):
        told[str(error)] = error
        yield ("defaults",), error
    for name, each in sections.get("context", {}).items():
        if isinstance(each, Mapping):
            attrs = {**defaults, **_readable_attrs(each)}
            found = context_problems(name, each, attrs, registry)
            yield from ((("context", name), error) for error in found if str(error) not in told)
            yield from ((("context", name), error) for error in _goal_problems(each, attrs))
            common = sections.get("defaults", {})
            yield from ((("context", name), error) for error in _policy_problems(each, common, registry))


def _goal_problems(table: Mapping[str, Any], attrs: Mapping[str, int]) -> Iterator[DamondError]:
    """Say whether a goal contradicts the intervals beside it; faults of either by itself are told elsewhere."""
    given = {key: value for key, value in table.items() if key in (*ATTRS, "intervals_goal")}
    try:
        own, chosen = PaceTable.model_validate(given), Attrs.fitting(attrs)
    except (pydantic.ValidationError, DamondError):
        return
    if isinstance(own.intervals_goal, IntervalsGoal) and own.sample_interval is not None:
        try:
            own.intervals_goal.check(chosen)
        except DamondError as error:
            yield error


def _readable_attrs(table: Mapping[str, Any]) -> dict[str, int]:
    """Read those attributes of a table that can be read, each by itself."""
    found: dict[str, int] = {}
    for name in ATTRS:
        if name in table:
            with contextlib.suppress(pydantic.ValidationError):  # told by the check of the whole
                found |= AttrsTable.model_validate({name: table[name]}).given()
    return found


def _policy_problems(
    table: Mapping[str, Any], defaults: Mapping[str, Any], registry: Registry
) -> Iterator[DamondError]:
    """Say what is wrong with the policy of a context and its options; wrong types are told elsewhere."""
    try:
        own, common = (
            PaceTable.model_validate({key: each[key] for key in ("policy", "policy_options") if key in each})
            for each in (table, defaults)
        )
    except pydantic.ValidationError:
        return
    chosen = policy(own, common)
    yield from registry.policy_problems(chosen["policy"], chosen["policy_options"])


def explain(error: pydantic.ValidationError, model: type[BaseModel]) -> list[str]:
    """Put pydantic's findings into words of ours: where, what, and the nearest known key."""
    return [words for _, words in _findings(error, model)]


def _findings(error: pydantic.ValidationError, model: type[BaseModel]) -> Iterator[tuple[Place, str]]:
    for each in error.errors():
        where = ".".join(str(part) for part in each["loc"]) or "top level"
        if each["type"] == "extra_forbidden":
            *parents, key = each["loc"]
            yield each["loc"], f"{where}: unknown key {key!r} ({nearest(str(key), _keys(model, parents))})"
        elif each["type"] == "missing":
            yield each["loc"], f"{where} must be given"
        else:
            words = _WORDS.get(each["type"]) or each["msg"].removeprefix("Value error, ")
            yield each["loc"], f"{where} = {_short.repr(each['input'])}: {words}"


def _keys(model: type[BaseModel], path: Iterable[int | str]) -> list[str]:
    """List the keys that a table at a path may have."""
    tables: dict[str, type[BaseModel]] = {
        "service": ServiceTable,
        "remote": RemoteTable,
        "record": RecordTable,
        "defaults": PaceTable,
        "context": ContextTable,
    }
    for part in path:
        model = Selector if part in ("select", "any", "all", "not") else tables.get(str(part), model)
    return [field.alias or name for name, field in model.model_fields.items()]
