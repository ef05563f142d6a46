"""The verbs of the control socket, each with its arguments; described in :mod:`damond.service.control`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from damond import __version__
from damond.client import VERSION
from damond.errors import NotPermittedError, UnknownNameError, UsageError
from damond.service import config
from damond.service.pace import PaceTable, as_plain
from damond.service.supervisor import Supervisor
from damond.stream import wire

_REPLY_SZ: Final = 2 * 1024 * 1024
"""Bytes of replayed messages in one reply; the client asks again for the rest."""

_MAX_LOST: Final = 2**31
"""Messages that a reader may say it has lost, of one context and at once: 80 years of 10 Hz in a minute is a lie."""

STEERING: Final = frozenset({"start", "stop", "tune", "pause", "resume", "shutdown", "reload"})
"""Verbs that change something: only on the socket ``control``."""


class _Args(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _NoArgs(_Args):
    pass


class _StartArgs(_Args):
    names: list[str] = []
    contexts: dict[str, dict[str, Any]] = {}
    exclusive: bool = False


class _StopArgs(_Args):
    names: list[str]


class _SnapshotArgs(_Args):
    context: str
    kind: Literal["snapshot", "summary", "event"] = "snapshot"


class _ContextArgs(_Args):
    context: str


class _TuneArgs(_ContextArgs):
    attrs: dict[str, str | int] = {}
    goal: dict[str, str | int] | str | None = None
    max_cpu: str | None = None
    add_targets: list[int] = []
    remove_targets: list[int] = []


class _ReplayArgs(_Args):
    context: str
    epoch: int
    from_seq: int = 0


class _LostArgs(_Args):
    stream: Literal["local", "remote"]
    lost: Annotated[dict[str, Annotated[int, Field(gt=0, le=_MAX_LOST)]], Field(max_length=256)]


class Verbs:
    """What can be asked of a supervisor.

    Args:
        supervisor: Whom the requests are for.
        reload: Reads the configuration again; returns what was done. None if there is none.

    Attributes:
        more_status: Keys of ``status`` beyond what the supervisor knows, and who tells them.
        shutdown: Set once somebody asked for the end.
    """

    def __init__(self, supervisor: Supervisor, reload: Callable[[], Awaitable[dict[str, Any]]] | None) -> None:
        self.shutdown = asyncio.Event()
        self.more_status: dict[str, Callable[[], Any]] = {}
        self._supervisor = supervisor
        self._reload_all = reload
        self._verbs: dict[str, tuple[type[_Args], Callable[[Any], Awaitable[Any]]]] = {
            "hello": (_NoArgs, self._hello),
            "list": (_NoArgs, self._list),
            "status": (_NoArgs, self._status),
            "start": (_StartArgs, self._start),
            "stop": (_StopArgs, self._stop),
            "tune": (_TuneArgs, self._tune),
            "pause": (_ContextArgs, self._pause),
            "resume": (_ContextArgs, self._resume),
            "snapshot": (_SnapshotArgs, self._snapshot),
            "replay": (_ReplayArgs, self._replay),
            "lost": (_LostArgs, self._lost),
            "plugins": (_NoArgs, self._plugins),
            "reload": (_NoArgs, self._reload),
            "shutdown": (_NoArgs, self._shutdown),
        }

    async def dispatch(self, verb: str, args: Mapping[str, Any], *, may_steer: bool) -> Any:
        """Do what a request asks for, and return the result.

        Raises:
            DamondError: It was refused.
        """
        if verb in STEERING and not may_steer:
            raise NotPermittedError(
                f"{verb!r} is not permitted here", hint="ask as root, or as the user who runs the service"
            )
        if verb not in self._verbs:
            raise UnknownNameError("verb", verb, self._verbs)
        model, function = self._verbs[verb]
        return await function(_validated(verb, model, args))

    async def _hello(self, _: _NoArgs) -> dict[str, Any]:
        status = self._supervisor.status()
        return {
            "version": __version__,
            "control": VERSION,
            "wire": wire.SCHEMA,
            **{name: status[name] for name in ("pid", "host", "started_ns", "stream")},
        }

    async def _list(self, _: _NoArgs) -> list[dict[str, str]]:
        return [{"name": each["name"], "state": each["state"]} for each in self._supervisor.status()["contexts"]]

    async def _status(self, _: _NoArgs) -> dict[str, Any]:
        return {**self._supervisor.status(), **{name: tell() for name, tell in self.more_status.items()}}

    async def _start(self, args: _StartArgs) -> list[str]:
        known = self._supervisor.contexts.known
        specs = []
        for name in args.names:
            if name not in known:
                raise UnknownNameError("context", name, known, hint="only contexts of the configuration start by name")
            specs.append(known[name])
        given = config.parse({"context": args.contexts}, self._supervisor.registry, "start")
        specs += given.specs()
        if not specs:
            raise UsageError("start: nothing to start", hint="give names or contexts")
        await self._supervisor.start(specs, exclusive=args.exclusive)
        return [spec.name for spec in specs]

    async def _stop(self, args: _StopArgs) -> list[str]:
        await self._supervisor.stop(args.names)
        return args.names

    async def _tune(self, args: _TuneArgs) -> None:
        texts = {key: f"{each}us" if _is_usec(key, each) else each for key, each in args.attrs.items()}
        pace = {"intervals_goal": args.goal, "max_cpu": args.max_cpu}
        table = _validated("tune", PaceTable, {**texts, **pace})
        goal = table.goal()
        await self._supervisor.tune(
            args.context,
            table.given(),
            add=args.add_targets,
            remove=args.remove_targets,
            goal="keep" if goal is None else as_plain(goal),
        )
        if table.max_cpu is not None:
            self._supervisor.bound(args.context, None if isinstance(table.max_cpu, str) else table.max_cpu)

    async def _pause(self, args: _ContextArgs) -> None:
        await self._supervisor.pause(args.context, paused=True)

    async def _resume(self, args: _ContextArgs) -> None:
        await self._supervisor.pause(args.context, paused=False)

    async def _snapshot(self, args: _SnapshotArgs) -> dict[str, Any]:
        row = self._known(args.context)
        frames = self._supervisor.hub.newest.get(wire.topic(args.context, args.kind))
        return {"frames": frames, "stale": row.get("stale", True)}

    async def _replay(self, args: _ReplayArgs) -> dict[str, Any]:
        self._known(args.context)
        rows: list[list[bytes]] = []
        size = 0
        for frames in self._supervisor.hub.replay.find(args.context, args.epoch, args.from_seq):
            size += sum(map(len, frames))
            if size > _REPLY_SZ and rows:
                return {"frames": rows, "end": False}
            rows.append(frames)
        return {"frames": rows, "end": True}

    async def _lost(self, args: _LostArgs) -> None:
        for name in args.lost:
            self._known(name)
        self._supervisor.lost.add(args.stream, args.lost)

    def _known(self, name: str) -> dict[str, Any]:
        rows: dict[str, dict[str, Any]] = {each["name"]: each for each in self._supervisor.status()["contexts"]}
        if name not in rows:
            raise UnknownNameError("context", name, rows)
        return rows[name]

    async def _plugins(self, _: _NoArgs) -> list[dict[str, Any]]:
        return [asdict(report) for report in self._supervisor.registry.reports]

    async def _reload(self, _: _NoArgs) -> dict[str, Any]:
        if self._reload_all is None:
            raise UsageError(
                "this supervisor has no configuration file to read again", hint="stop and start its contexts instead"
            )
        return await self._reload_all()

    async def _shutdown(self, _: _NoArgs) -> None:
        self.shutdown.set()


_Model = TypeVar("_Model", bound=BaseModel)


def _validated(what: str, model: type[_Model], given: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(given)
    except pydantic.ValidationError as error:
        raise UsageError(
            f"{what}: {'; '.join(config.explain(error, model))}",
            hint="'python3 -m pydoc damond.service.control' lists the arguments of every verb",
        ) from error


def _is_usec(name: str, value: str | int) -> bool:
    return name.endswith("_interval") and isinstance(value, int)
