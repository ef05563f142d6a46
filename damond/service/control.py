"""The control socket: requests and replies, one msgpack map each way.

``{v: 1, id, verb, args}`` -> ``{v: 1, id, ok: true, result}`` or
``{v: 1, id, ok: false, error: {code, message, hint}}``. Anything malformed gets a typed error and changes nothing.
Verbs that only read are answered on ``query`` too, whose socket the service's group may connect to; those that change
something on ``control`` alone.

==========  =======================================  ==========================================================
verb        args                                     result
==========  =======================================  ==========================================================
hello       -                                        version, wire, pid, host, stream
list        -                                        list of {name, state}
status      -                                        all that is known of supervisor, workers and contexts
start       names and/or contexts (name -> table     names that run now; all or none
            as in the configuration), exclusive
stop        names                                    names
tune        context, attrs, goal, max_cpu,           nothing; the context goes on, its results are converted.
            add_targets, remove_targets              Given intervals stay as they are, unless a goal (a table as in
                                                     the configuration, or "off") is given as well
pause       context                                  nothing; sampling rests, what was counted is delivered
resume      context                                  nothing
snapshot    context, kind                            frames of the newest message (topic, header, body) or nil;
                                                     stale: whether its context is not running any more
replay      context, epoch, from_seq                 frames of the snapshots that are still kept, oldest first
plugins     -                                        what was found
reload      -                                        what was started, stopped, tuned, restarted
shutdown    -                                        nothing; the supervisor ends
==========  =======================================  ==========================================================
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final, Literal, TypeVar

import msgpack
import pydantic
import zmq
import zmq.asyncio
from pydantic import BaseModel, ConfigDict

from damond import __version__
from damond.errors import DamondError, NotPermittedError, ProtocolError, UnknownNameError, UsageError
from damond.service import config
from damond.service.pace import PaceTable, as_plain
from damond.service.supervisor import Supervisor
from damond.stream import wire

_log = logging.getLogger(__name__)

VERSION: Final = 1
MAX_REQUEST_SZ: Final = 256 * 1024
"""Bytes of the largest request that is read; a larger one is answered with an error."""
_MAX_FRAME_SZ: Final = 4 * 1024 * 1024
"""Bytes beyond which libzmq drops the connection."""
_MAX_PENDING: Final = 64
"""Requests that may be under way at once."""
_MAX_RATE: Final = 2000
"""Requests per second that are taken from one socket; what is more waits at its sender."""
_BURST: Final = 200
"""Requests that may come at once."""
_MAX_ID_SZ: Final = 64
_MAX_DEPTH: Final = 32
_REPLY_SZ: Final = 2 * 1024 * 1024
"""Bytes of replayed messages in one reply; the client asks again for the rest."""


def limit(router: zmq.asyncio.Socket) -> None:
    """Set the limits of a socket for requests, before it is bound."""
    router.setsockopt(zmq.LINGER, 200)
    router.setsockopt(zmq.SNDHWM, 16)
    router.setsockopt(zmq.RCVHWM, _MAX_PENDING)
    router.setsockopt(zmq.MAXMSGSIZE, _MAX_FRAME_SZ)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)  # a reply that can't be delivered is told, else it is dropped silently


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


STEERING: Final = frozenset({"start", "stop", "tune", "pause", "resume", "shutdown", "reload"})
"""Verbs that change something: only on the socket ``control``."""


class ControlServer:
    """Answers requests on behalf of a supervisor: all verbs on one socket, those that only read on the others too.

    Attributes:
        shutdown: Set once somebody asked for the end.
        reload: Called to read the configuration again; returns what was done.
        counts: Requests, those that were refused (malformed ones and our own defects apart), and replies whose
            client did not read them or was gone.
    """

    def __init__(self, supervisor: Supervisor, reload: Callable[[], Awaitable[dict[str, Any]]] | None = None) -> None:
        self.shutdown = asyncio.Event()
        self.reload = reload
        self._supervisor = supervisor
        self._tasks: set[asyncio.Task[None]] = set()
        self._context = zmq.asyncio.Context(io_threads=1)
        self.counts = dict.fromkeys(("requests", "refused", "malformed", "internal", "replies_lost"), 0)
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
            "plugins": (_NoArgs, self._plugins),
            "reload": (_NoArgs, self._reload),
            "shutdown": (_NoArgs, self._shutdown),
        }

    def bind(self, endpoint: str) -> zmq.asyncio.Socket:
        """Make a socket for requests; pass it to :meth:`serve`."""
        router = self._context.socket(zmq.ROUTER)
        limit(router)
        router.bind(endpoint)
        return router

    async def serve(self, router: zmq.asyncio.Socket, *, may_steer: bool) -> None:
        """Answer what comes over a socket, until cancelled."""
        budget, counted_s = float(_BURST), time.monotonic()
        slots = asyncio.Semaphore(_MAX_PENDING)  # of this socket: readers can't keep those who steer waiting
        while True:
            frames = await router.recv_multipart()
            now_s = time.monotonic()
            budget, counted_s = min(_BURST, budget + (now_s - counted_s) * _MAX_RATE) - 1, now_s
            if budget < 0:
                await asyncio.sleep(-budget / _MAX_RATE)
            await slots.acquire()
            task = asyncio.create_task(self._answer(router, frames, may_steer=may_steer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: slots.release())

    async def _answer(self, router: zmq.asyncio.Socket, frames: list[bytes], *, may_steer: bool) -> None:
        request_id: Any = None
        self.counts["requests"] += 1
        try:
            request = _parse(frames[1:])
            request_id = request["id"]
            _check_permission(request["verb"], may_steer=may_steer)
            reply = {"ok": True, "result": await self._dispatch(request["verb"], request["args"])}
        except DamondError as error:
            self.counts["malformed" if isinstance(error, ProtocolError) else "refused"] += 1
            reply = {"ok": False, "error": {"code": error.code, "message": error.message, "hint": error.hint}}
        except Exception as error:  # noqa: BLE001 - logged with its traceback
            self.counts["internal"] += 1
            # The edge of a request: a defect of ours must not leave the client waiting, nor end the service.
            _log.exception("a request could not be answered")
            message = f"{type(error).__name__}: {error}"
            reply = {"ok": False, "error": {"code": "internal", "message": message, "hint": "see the service's log"}}
        raw = msgpack.packb({"v": VERSION, "id": request_id, **reply})
        try:
            await router.send_multipart([frames[0], raw], zmq.DONTWAIT)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            self.counts["replies_lost"] += 1
            _log.debug("a reply is lost: %s", "its client does not read" if error.errno == zmq.EAGAIN else "no client")

    async def _dispatch(self, verb: str, args: Mapping[str, Any]) -> Any:
        if verb not in self._verbs:
            raise UnknownNameError("verb", verb, self._verbs)
        model, function = self._verbs[verb]
        return await function(_validated(verb, model, args))

    def close(self) -> None:
        """Close the socket, after the last replies have gone."""
        for task in self._tasks:
            task.cancel()
        self._context.destroy(linger=200)

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
        return {**self._supervisor.status(), "control": dict(self.counts)}

    async def _start(self, args: _StartArgs) -> list[str]:
        known = self._supervisor.known
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
        pace = {"intervals_goal": args.goal, "max_cpu": args.max_cpu}
        table = _validated("tune", PaceTable, {**args.attrs, **pace})
        if table.max_cpu is not None:
            self._supervisor.bound(args.context, None if isinstance(table.max_cpu, str) else table.max_cpu)
        goal = table.goal()
        await self._supervisor.tune(
            args.context,
            table.given(),
            add=args.add_targets,
            remove=args.remove_targets,
            goal="keep" if goal is None else as_plain(goal),
        )

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
        for frames in self._supervisor.hub.replay(args.context, args.epoch, args.from_seq):
            size += sum(map(len, frames))
            if size > _REPLY_SZ and rows:
                return {"frames": rows, "end": False}
            rows.append(frames)
        return {"frames": rows, "end": True}

    def _known(self, name: str) -> dict[str, Any]:
        rows: dict[str, dict[str, Any]] = {each["name"]: each for each in self._supervisor.status()["contexts"]}
        if name not in rows:
            raise UnknownNameError("context", name, rows)
        return rows[name]

    async def _plugins(self, _: _NoArgs) -> list[dict[str, Any]]:
        return [asdict(report) for report in self._supervisor.registry.reports]

    async def _reload(self, _: _NoArgs) -> dict[str, Any]:
        if self.reload is None:
            raise UsageError("this supervisor has no configuration file to read again")
        return await self.reload()

    async def _shutdown(self, _: _NoArgs) -> None:
        self.shutdown.set()


_Model = TypeVar("_Model", bound=BaseModel)


def _validated(what: str, model: type[_Model], given: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(given)
    except pydantic.ValidationError as error:
        raise UsageError(f"{what}: {'; '.join(config.explain(error, model))}") from error


def _is_deep(value: Any) -> bool:
    """Whether lists and maps are nested more deeply than anything that makes sense; asked without recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        containers = [each for each in level if isinstance(each, dict | list)]
        level = [inner for each in containers for inner in (each.values() if isinstance(each, dict) else each)]
        if not level:
            return False
    return True


def _check_permission(verb: str, *, may_steer: bool) -> None:
    if verb in STEERING and not may_steer:
        raise NotPermittedError(
            f"{verb!r} is not permitted here", hint="ask as root, or as the user who runs the service"
        )


def _parse(frames: list[bytes]) -> dict[str, Any]:
    """Read a request.

    Raises:
        ProtocolError: It is oversized, no msgpack, no map, of another version, or lacks a field.
    """
    size = sum(map(len, frames))
    if len(frames) != 1:
        raise ProtocolError(f"a request of {len(frames)} frames", hint="send one msgpack map in one frame")
    if size > MAX_REQUEST_SZ:
        raise ProtocolError(f"a request of {size} bytes", hint=f"at most {MAX_REQUEST_SZ} bytes are read")
    try:
        request = msgpack.unpackb(frames[0])
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise ProtocolError(f"a request that is not msgpack: {error}", hint="send one msgpack map") from error
    if not isinstance(request, dict):
        raise ProtocolError(f"a request that is a {type(request).__name__}, not a map", hint="send one msgpack map")
    if _is_deep(request):
        raise ProtocolError("a request that is nested too deeply", hint=f"at most {_MAX_DEPTH} levels are read")
    if request.get("v") != VERSION:
        raise ProtocolError(f"control version {request.get('v')!r}", hint=f"this damond speaks version {VERSION}")
    args = request.setdefault("args", {})
    request_id = request.setdefault("id", None)
    if not isinstance(request_id, int | str | None) or len(str(request_id)) > _MAX_ID_SZ:
        raise ProtocolError("a request whose id is neither a number nor a short text", hint="count your requests")
    if not isinstance(request.get("verb"), str) or not isinstance(args, dict):
        raise ProtocolError("a request without a verb (text) or with args that are no map")
    return request
